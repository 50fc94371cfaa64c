"""The importance-weighted bound on held-out pictures, under both observation scales (method.md 4, 10.1).

The scale that a model was not trained with comes with a released model; for any other it is fitted first.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax

from dood_jax.api import Model
from dood_jax.model.networks import Params
from dood_jax.tasks import results
from dood_jax.training import evaluation, scale_fitting
from dood_jax.training.config import Config, resolve


def run(model: Model, config: Config, workdir: Path) -> dict[str, Any]:
    """Measures a model on `data.name` and writes `likelihood-<dataset>.json`."""
    started = time.monotonic()
    images = evaluation.held_out_images(config.data, config.evaluation)
    blank = evaluation.blank_canvas_log_likelihood(config.data, images)
    keys = evaluation.held_out_keys(config.evaluation, len(images))
    devices = jax.local_devices()
    params = with_both_scales(model, config)
    summaries = {
        scale: evaluation.bound(
            dataclasses.replace(model.config, likelihood_scale=scale),
            params,
            images,
            keys,
            config.evaluation,
            devices,
        ).summary()
        for scale in ("map", "canvas")
    }
    trained_with = summaries[model.config.likelihood_scale]
    values = {
        **{
            f"log_likelihood_{scale}": {"mean": summary["log_likelihood"], "stderr": summary["stderr"]}
            for scale, summary in summaries.items()
        },
        "blank_canvas": blank,
        "elbo": trained_with["elbo"],
        "effective_samples": trained_with["effective_samples"],
    }
    results.write(workdir, "likelihood", values, config, model, len(images), started)
    return values


def with_both_scales(model: Model, config: Config) -> Params:
    """The model's parameters with the other scale fitted, on the set that it was trained on."""
    if "fitted_scale" in model.meta:
        return model.params
    stored = model.meta["config"]["data"]
    data = resolve({"data": {**stored, "dir": config.data.dir or stored["dir"]}}).data
    return scale_fitting.fit_other_scale(model.config, model.params, data)
