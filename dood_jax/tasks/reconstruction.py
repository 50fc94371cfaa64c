"""Held-out pictures drawn again, stroke by stroke (method.md 10.2)."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.tasks import results
from dood_jax.training import evaluation
from dood_jax.training.config import Config

_COLUMNS = 16


def run(model: Model, config: Config, workdir: Path) -> dict[str, Any]:
    """Draws the best of `evaluation.num_particles`; writes `reconstruction-<dataset>.json` and `.png`.

    With `evaluation.refine_steps` the drawings are refined, and the names end in `-refined`.
    """
    started = time.monotonic()
    images = evaluation.held_out_images(config.data, config.evaluation)
    sketch = model.infer(
        images,
        config.evaluation.seed,
        config.evaluation.num_particles,
        config.evaluation.num_strokes or None,
    )
    if config.evaluation.refine_steps:
        sketch = model.refine(images, sketch, config.evaluation.refine_steps)
    values = {
        "l1": float(np.abs(images - sketch.canvases[:, -1]).sum((1, 2)).mean()),
        "strokes": float(sketch.strokes.presence.sum(1).mean()),
    }
    refined = bool(config.evaluation.refine_steps)
    record = results.write(workdir, "reconstruction", values, config, model, len(images), started, refined)
    shown = slice(0, _COLUMNS)
    figures.step_by_step(record.with_suffix(".png"), images[shown], sketch.canvases[shown])
    return values
