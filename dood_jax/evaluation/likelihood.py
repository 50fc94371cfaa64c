"""The importance-weighted bound on held-out images, under both observation scales (method.md 4, 10.1).

The scale that a model was not trained with comes with a released model; for any other it is fitted first. An
interrupted measurement goes on where it was. With `evaluation.optimize_steps` the posterior of every image is
refined first (method.md 10.11), and the result's name ends in `-refined`.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dood_jax.api import Model
from dood_jax.config.groups import Config, DataConfig
from dood_jax.config.resolving import resolve
from dood_jax.errors import BadInput
from dood_jax.evaluation import results
from dood_jax.evaluation.resume_cache import KeptWeights
from dood_jax.inference import bounds, test_images
from dood_jax.model.likelihood import SCALES
from dood_jax.model.networks import Params
from dood_jax.objectives import brush_code
from dood_jax.objectives.brush_code import BrushCode
from dood_jax.test_time import scales


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Measures one model on `data.name` and writes `likelihood-<dataset>.json`."""
    (model,) = models
    measurement = results.Measurement("likelihood", config, models)
    images = test_images.images(config.data, config.evaluation)
    values, kept = measure(model, config, images, workdir)
    seconds_before = sum(one.seconds_before for one in kept)
    measurement.write(workdir, values, len(images), seconds_before=seconds_before)
    for one in kept:
        one.discard()
    return values


def measure(
    model: Model, config: Config, images: np.ndarray, workdir: Path, params: Params | None = None
) -> tuple[dict[str, Any], list[KeptWeights]]:
    """What `likelihood-<dataset>.json` says of a model, and what is kept until that is saved.

    `params` are the model's with both scales, where these were fitted before.
    """
    blank = test_images.blank_canvas_log_likelihood(config.data, images)
    params = params or with_both_scales(model, config)
    bounds = _refined_bounds if config.evaluation.optimize_steps else _bounds
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
) -> tuple[dict[str, bounds.Bound], list[KeptWeights]]:
    keys = test_images.keys(config.evaluation, len(images))
    kept = KeptWeights(folder, model, config, images, params)
    devices = jax.devices()
    code = _brush_code(model, config, params)
    measured = bounds.bounds(model.config, params, images, keys, config.evaluation, devices, kept, code)
    return measured, [kept]


def _refined_bounds(
    model: Model, config: Config, params: Params, images: np.ndarray, folder: Path
) -> tuple[dict[str, bounds.Bound], list[KeptWeights]]:
    keys = test_images.keys(config.evaluation, len(images))
    devices, code = jax.devices(), _brush_code(model, config, params)
    measured, kept = {}, {}
    for scale in SCALES:
        kept[scale] = KeptWeights(folder, model, config, images, params, scale)
        under = dataclasses.replace(model.config, likelihood_scale=scale)
        settings = config.evaluation
        measured[scale] = bounds.bound(under, params, images, keys, settings, devices, kept[scale], code)
    return measured, list(kept.values())


def with_both_scales(model: Model, config: Config) -> Params:
    """The model's parameters with the scales that it lacks fitted, on the set that it was trained on.

    A released model has both. One that is asked to compare images on another grid than in training has
    neither: errors are others there.
    """
    if has_both_scales(model):
        return model.params
    data = _data_of_training(model, config)
    other = scales.other_scale(model.config)
    kinds = SCALES if results.is_on_another_grid(model) else (other,)
    return scales.fit_scales(model.config, model.params, data, kinds)


def _brush_code(model: Model, config: Config, params: Params) -> BrushCode | None:
    """The prior of brushes, fitted to drawings of the images that the model was trained on, where asked."""
    bits = config.evaluation.brush_bits
    if not bits:
        return None
    if not model.config.iterations:
        raise BadInput(f"evaluation.brush_bits={bits} needs a model that looks again; give 0")
    _, sketch = scales.training_drawings(model.config, params, _data_of_training(model, config))
    return brush_code.fit(model.config, sketch.brush, sketch.strokes.presence, bits)


def _data_of_training(model: Model, config: Config) -> DataConfig:
    stored = model.meta["config"]["data"]
    return resolve({"data": {**stored, "dir": config.data.dir or stored["dir"]}}).data


def has_both_scales(model: Model) -> bool:
    """Whether nothing is to be fitted before bounds are taken."""
    return "fitted_scale" in model.meta and not results.is_on_another_grid(model)
