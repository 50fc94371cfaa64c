"""The importance-weighted bound on held-out pictures (method.md 10.1)."""

import time
from pathlib import Path
from typing import Any

import jax

from dood_jax.api import Model
from dood_jax.tasks import results
from dood_jax.training import evaluation
from dood_jax.training.config import Config


def run(model: Model, config: Config, workdir: Path) -> dict[str, Any]:
    """Measures a model on `data.name` and writes `likelihood-<dataset>.json`."""
    started = time.monotonic()
    images = evaluation.held_out_images(config.data, config.evaluation)
    blank = evaluation.blank_canvas_log_likelihood(config.data, images)
    keys = evaluation.held_out_keys(config.evaluation, len(images))
    devices = jax.local_devices()
    measured = evaluation.bound(model.config, model.params, images, keys, config.evaluation, devices)
    summary = measured.summary()
    values = {
        f"log_likelihood_{model.config.likelihood_scale}": {
            "mean": summary["log_likelihood"],
            "stderr": summary["stderr"],
        },
        "blank_canvas": blank,
        "elbo": summary["elbo"],
        "effective_samples": summary["effective_samples"],
    }
    results.write(workdir, "likelihood", values, config, model, len(images), started)
    return values
