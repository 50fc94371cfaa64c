"""The importance-weighted bound on held-out pictures, under both observation scales (method.md 4, 10.1).

The scale that a model was not trained with comes with a released model; for any other it is fitted first. An
interrupted measurement goes on where it was. With `evaluation.refine_steps` the posterior of every picture is
refined first (method.md 10.11), and the result's name ends in `-refined`.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dood_jax.api import Model
from dood_jax.model.likelihood import SCALES
from dood_jax.model.networks import Params
from dood_jax.settings.config import Config
from dood_jax.settings.resolving import resolve
from dood_jax.tasks import results
from dood_jax.tasks.kept import KeptWeights
from dood_jax.training import evaluation, held_out, scale_fitting


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Measures one model on `data.name` and writes `likelihood-<dataset>.json`."""
    (model,) = models
    measurement = results.Measurement("likelihood", config, models)
    images = held_out.images(config.data, config.evaluation)
    values, kept = measure(model, config, images, workdir)
    measurement.write(workdir, values, len(images))
    for one in kept:
        one.discard()
    return values


def measure(
    model: Model, config: Config, images: np.ndarray, workdir: Path
) -> tuple[dict[str, Any], list[KeptWeights]]:
    """What `likelihood-<dataset>.json` says of a model, and what is kept until that is saved."""
    blank = held_out.blank_canvas_log_likelihood(config.data, images)
    params = with_both_scales(model, config)
    bounds = _refined_bounds if config.evaluation.refine_steps else _bounds
    measured, kept = bounds(model, config, params, images, workdir / "results")
    summaries = {scale: bound.summary() for scale, bound in measured.items()}
    own = summaries[model.config.likelihood_scale]
    values = {
        **{f"log_likelihood_{scale}": _figures(summary) for scale, summary in summaries.items()},
        "blank_canvas": blank,
        **{name: own[name] for name in ("elbo", "effective_samples", "strokes", "l1")},
    }
    return values, kept


def _figures(summary: dict[str, float]) -> dict[str, float]:
    names = {"mean": "log_likelihood", "stderr": "stderr"}
    return {
        **{ours: summary[theirs] for ours, theirs in names.items()},
        **{name: summary[name] for name in ("elbo", "effective_samples")},
    }


def _bounds(
    model: Model, config: Config, params: Params, images: np.ndarray, folder: Path
) -> tuple[dict[str, evaluation.Bound], list[KeptWeights]]:
    keys = held_out.keys(config.evaluation, len(images))
    kept = KeptWeights(folder, model, config, images, params)
    devices = jax.devices()
    bounds = evaluation.bounds(model.config, params, images, keys, config.evaluation, devices, kept)
    return bounds, [kept]


def _refined_bounds(
    model: Model, config: Config, params: Params, images: np.ndarray, folder: Path
) -> tuple[dict[str, evaluation.Bound], list[KeptWeights]]:
    keys = held_out.keys(config.evaluation, len(images))
    kept = {scale: KeptWeights(folder, model, config, images, params, scale) for scale in SCALES}
    devices = jax.devices()
    bounds = {}
    for scale in SCALES:
        under = dataclasses.replace(model.config, likelihood_scale=scale)
        settings = config.evaluation
        bounds[scale] = evaluation.bound(under, params, images, keys, settings, devices, kept[scale])
    return bounds, list(kept.values())


def with_both_scales(model: Model, config: Config) -> Params:
    """The model's parameters with the other scale fitted, on the set that it was trained on."""
    if "fitted_scale" in model.meta:
        return model.params
    stored = model.meta["config"]["data"]
    data = resolve({"data": {**stored, "dir": config.data.dir or stored["dir"]}}).data
    return scale_fitting.fit_other_scale(model.config, model.params, data)
