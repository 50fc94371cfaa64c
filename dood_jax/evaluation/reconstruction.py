"""Test images redrawn: the tasks `reconstruction`, `stroke_counts` and `vectorize`.

Held-out images drawn again, stroke by stroke (method.md 10.2).

How many strokes a model draws when it may draw more than in training (method.md 10.3, Fig. 3b-d).

Images of any kind to ink, through the evaluation command: `--task=vectorize --input=FILES`.
"""

import dataclasses
import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax import figures, geometry
from dood_jax.api import Model
from dood_jax.config.groups import Config
from dood_jax.errors import BadInput
from dood_jax.evaluation import results
from dood_jax.inference import test_images
from dood_jax.types import Sketch
from dood_jax.vectorize import batch

_COLUMNS = 16


def run_reconstruction(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Draws the best of `evaluation.num_particles`; writes `reconstruction-<dataset>.json` and `.png`.

    Of several models the figure shows the finished drawings side by side, else those of one after every
    stroke, with the window that it looked through. With `evaluation.optimize_steps` the drawings are refined,
    and the names end in `-refined`.
    """
    measurement = results.Measurement("reconstruction", config, models)
    images = test_images.images(config.data, config.evaluation)
    sketches = {model.name: best_drawings(model, images, config) for model in models}
    values = {model.name: _figures(model, images, sketches[model.name]) for model in models}
    if len(models) == 1:
        values = values[models[0].name]
    record = measurement.write(workdir, values, len(images))
    shown = slice(0, _COLUMNS)
    image = record.with_suffix(".png")
    if len(models) == 1:
        (sketch,) = sketches.values()
        size = images.shape[-1]
        marks = windows(sketch, size)[shown]
        figures.step_by_step(image, images[shown], sketch.canvases[shown], windows=marks)
    else:
        figures.side_by_side(
            image, images[shown], {name: one.canvases[shown] for name, one in sketches.items()}
        )
    return values


def best_drawings(model: Model, images: np.ndarray, config: Config) -> Sketch:
    """The best of `evaluation.num_particles` drawings of every image, refined if settings say so."""
    settings = config.evaluation
    sketch = model.infer(images, settings.seed, settings.num_particles, settings.num_strokes or None)
    if settings.optimize_steps:
        sketch = model.refine(images, sketch, settings.optimize_steps)
    return sketch


def windows(sketch: Sketch, size: int) -> np.ndarray:
    """[N, T, 4, 2] corners, in pixels, of the window of every stroke; NaN where none was drawn."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    place = lambda layout: geometry.place_points(geometry.layout_to_matrix(layout), corners)
    placed = np.vectorize(place, signature="(l)->(p,c)")(sketch.strokes.layout)
    return np.where(sketch.strokes.presence[..., None, None] > 0, placed * size, np.nan)


def _figures(model: Model, images: np.ndarray, sketch: Sketch) -> dict[str, float]:
    recorded = model.to_source_grid(images, sketch.canvases[:, -1])
    return {
        "l1": float(np.abs(images - recorded).sum((1, 2)).mean()),
        "strokes": float(sketch.strokes.presence.sum(1).mean()),
    }


_MOST = 10  # strokes, as published, unless evaluation.num_strokes says another


def run_stroke_counts(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Draws every held-out image of all sets once; writes `stroke_counts-<dataset>.json` and a figure."""
    (model,) = models
    settings = config.evaluation
    settings = dataclasses.replace(settings, num_strokes=settings.num_strokes or _MOST)
    config = dataclasses.replace(config, evaluation=settings).unrefined()
    values = {name: _count(model, config.on(name), workdir) for name in config.data.sets}
    shares = {name: found["histogram"] for name, found in values.items()}
    figures.histograms(
        workdir / "results" / f"stroke_counts{results.suffix(config)}.png",
        shares,
        "strokes",
        "share of drawings",
    )
    return values


def _count(model: Model, config: Config, workdir: Path) -> dict[str, Any]:
    """Of one set: mean, share at the limit, and the share of every number from 0 to the limit."""
    measurement = results.Measurement("stroke_counts", config, [model])
    most = config.evaluation.num_strokes
    images = test_images.images(config.data, config.evaluation)
    sketch = model.infer(images, config.evaluation.seed, 1, most)
    counts = sketch.strokes.presence.sum(1).astype(int)
    shares = np.bincount(counts, minlength=most + 1) / len(counts)
    values = {
        "mean": float(counts.mean()),
        "at_limit": float(shares[most]),
        "histogram": [float(share) for share in shares],
    }
    measurement.write(workdir, values, len(images))
    return values


_FORMATS = ("svg", "json")


def run_vectorize(
    models: Sequence[Model], config: Config, workdir: Path, names: str | None
) -> dict[str, Any]:
    """Writes an SVG and a JSON of every image into `workdir/vectorize`, and `vectorize.json`.

    Args:
      models: the one that draws.
      config: kept with the result.
      workdir: of the run.
      names: files, folders or patterns, joined by commas.

    Raises:
      BadInput: no input, or one or more of the images could not be read or hold no drawing; the others
        are written.
    """
    if not names:
        raise BadInput("--task=vectorize without --input; give files or folders, joined by commas")
    measurement = results.Measurement("vectorize", config, models)
    (model,) = models
    inputs = [path for name in names.split(",") for path in sorted(glob.glob(name)) or [name]]
    outcome = batch.export(model.vectorize, inputs, _FORMATS, workdir / "vectorize")
    if outcome.failures:
        raise BadInput(f"{len(outcome.failures)} of the images were not drawn")
    seconds = measurement.seconds
    values = {
        "l1": float(np.mean(outcome.errors)),
        "strokes": float(np.mean(outcome.counts)),
        "seconds": round(seconds / len(outcome.counts), 4),
        "seconds_per_megapixel": round(seconds / sum(outcome.pixels) * 1e6, 4),
    }
    kept = {"path": "vectorize.json", "images": names}
    measurement.write(workdir, values, len(outcome.counts), **kept)
    return values
