"""Held-out pictures drawn again, stroke by stroke (method.md 10.2)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.geometry import affine
from dood_jax.settings.config import Config
from dood_jax.tasks import results
from dood_jax.training import held_out
from dood_jax.types import Sketch

_COLUMNS = 16


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Draws the best of `evaluation.num_particles`; writes `reconstruction-<dataset>.json` and `.png`.

    Of several models the figure shows the finished drawings side by side, else those of one after every
    stroke, with the window that it looked through. With `evaluation.refine_steps` the drawings are refined,
    and the names end in `-refined`.
    """
    measurement = results.Measurement("reconstruction", config, models)
    images = held_out.images(config.data, config.evaluation)
    sketches = {model.name: best_drawings(model, images, config) for model in models}
    values = {model.name: _figures(model, images, sketches[model.name]) for model in models}
    if len(models) == 1:
        values = values[models[0].name]
    record = measurement.write(workdir, values, len(images))
    shown = slice(0, _COLUMNS)
    picture = record.with_suffix(".png")
    if len(models) == 1:
        (sketch,) = sketches.values()
        size = images.shape[-1]
        marks = windows(sketch, size)[shown]
        figures.step_by_step(picture, images[shown], sketch.canvases[shown], windows=marks)
    else:
        figures.side_by_side(
            picture, images[shown], {name: one.canvases[shown] for name, one in sketches.items()}
        )
    return values


def best_drawings(model: Model, images: np.ndarray, config: Config) -> Sketch:
    """The best of `evaluation.num_particles` drawings of every picture, refined if settings say so."""
    settings = config.evaluation
    sketch = model.infer(images, settings.seed, settings.num_particles, settings.num_strokes or None)
    if settings.refine_steps:
        sketch = model.refine(images, sketch, settings.refine_steps)
    return sketch


def windows(sketch: Sketch, size: int) -> np.ndarray:
    """[N, T, 4, 2] corners, in pixels, of the window of every stroke; NaN where none was drawn."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    place = lambda layout: affine.place_points(affine.layout_to_matrix(layout), corners)
    placed = np.vectorize(place, signature="(l)->(p,c)")(sketch.strokes.layout)
    return np.where(sketch.strokes.presence[..., None, None] > 0, placed * size, np.nan)


def _figures(model: Model, images: np.ndarray, sketch: Sketch) -> dict[str, float]:
    recorded = model.as_recorded(images, sketch.canvases[:, -1])
    return {
        "l1": float(np.abs(images - recorded).sum((1, 2)).mean()),
        "strokes": float(sketch.strokes.presence.sum(1).mean()),
    }
