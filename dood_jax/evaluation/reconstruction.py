"""The tasks `reconstruction`, `stroke_counts` and `vectorize`: given images drawn again, stroke by stroke."""

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
from dood_jax.inference import image_sets
from dood_jax.types import Sketch
from dood_jax.vectorize import batch

_SHOWN = 16  # images in a figure
_COUNTED_STROKES = 10  # most strokes where they are counted, as published; else `evaluation.num_strokes`
_FORMATS = ("svg", "json")


def run_reconstruction(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Draws test images; writes `reconstruction-<dataset>.json` and a figure (method.md 10.2).

    The values of a model are means over images: `l1`, the summed absolute error of the best of
    `evaluation.num_particles` drawings at the source resolution, and the number of `strokes`. One model's
    figure shows its drawings after every stroke with their windows, that of several models the finished
    drawings side by side. With `evaluation.optimize_steps` names end in `-optimized`.
    """
    measurement = results.Measurement("reconstruction", config, models)
    images = image_sets.test_images(config.data, config.evaluation)
    sketches = {model.name: best_drawings(model, images, config) for model in models}
    by_model = {model.name: _errors(model, images, sketches[model.name]) for model in models}
    values: dict[str, Any] = by_model if len(models) > 1 else by_model[models[0].name]
    record = measurement.write(workdir, values, len(images))
    figure, shown = record.with_suffix(".png"), slice(0, _SHOWN)
    if len(models) == 1:
        (sketch,) = sketches.values()
        marks = windows(sketch, images.shape[-1])[shown]
        figures.step_by_step(figure, images[shown], np.asarray(sketch.canvases[shown]), windows=marks)
    else:
        drawn = {name: np.asarray(sketch.canvases[shown]) for name, sketch in sketches.items()}
        figures.side_by_side(figure, images[shown], drawn)
    return values


def best_drawings(model: Model, images: np.ndarray, config: Config) -> Sketch:
    """The best of `evaluation.num_particles` drawings of each of [N, H, W] images.

    With `evaluation.revisions` they are revised, with `evaluation.optimize_steps` optimised.
    """
    settings = config.evaluation
    sketch = model.infer(
        images,
        settings.seed,
        settings.num_particles,
        settings.num_strokes or None,
        revisions=settings.revisions,
    )
    if settings.optimize_steps:
        sketch = model.optimize(images, sketch, settings.optimize_steps)
    return sketch


def windows(sketch: Sketch, size: int) -> np.ndarray:
    """[N, T, 4, 2] corners, in pixels, of the window of every stroke; NaN for strokes that are not drawn."""
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    place = lambda layout: geometry.place_points(geometry.layout_to_matrix(layout), corners)
    placed = np.vectorize(place, signature="(l)->(p,c)")(sketch.strokes.layout)
    return np.where(sketch.strokes.presence[..., None, None] > 0, placed * size, np.nan)


def _errors(model: Model, images: np.ndarray, sketch: Sketch) -> dict[str, float]:
    """Mean L1 error of drawings of [N, H, W] images at the source resolution, and mean number of strokes."""
    drawn = model.to_source_grid(images, sketch.canvases[:, -1])
    return {
        "l1": float(np.abs(images - drawn).sum((1, 2)).mean()),
        "strokes": float(sketch.strokes.presence.sum(1).mean()),
    }


def run_stroke_counts(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Counts the strokes of a drawing of every test image of all sets (method.md 10.3, Fig. 3b-d).

    Drawings may have more strokes than in training. Writes `stroke_counts-<dataset>.json` for each set and
    one figure. Values of a set: `mean`, the fraction `at_limit`, and the `histogram` of fractions from 0
    strokes to the limit.
    """
    (model,) = models
    most = config.evaluation.num_strokes or _COUNTED_STROKES
    settings = dataclasses.replace(config.evaluation, num_strokes=most, optimize_steps=0, brush_bits=0)
    config = dataclasses.replace(config, evaluation=settings)
    values = {name: _stroke_counts(model, config.on(name), workdir) for name in config.data.sets}
    histograms = {name: found["histogram"] for name, found in values.items()}
    path = workdir / "results" / f"stroke_counts{results.suffix(config)}.png"
    figures.histograms(path, histograms, "strokes", "fraction of drawings")
    return values


def _stroke_counts(model: Model, config: Config, workdir: Path) -> dict[str, Any]:
    """The values of one set, which are written as well."""
    measurement = results.Measurement("stroke_counts", config, [model])
    limit = config.evaluation.num_strokes
    images = image_sets.test_images(config.data, config.evaluation)
    settings = config.evaluation
    sketch = model.infer(images, settings.seed, 1, limit, revisions=settings.revisions)
    counts = sketch.strokes.presence.sum(1).astype(int)
    fractions = np.bincount(counts, minlength=limit + 1) / len(counts)
    values = {
        "mean": float(counts.mean()),
        "at_limit": float(fractions[limit]),
        "histogram": [float(fraction) for fraction in fractions],
    }
    measurement.write(workdir, values, len(images))
    return values


def run_vectorize(
    models: Sequence[Model], config: Config, workdir: Path, names: str | None
) -> dict[str, Any]:
    """Writes an SVG and a JSON of every image file into `workdir/vectorize`, and `vectorize.json`.

    Args:
      models: the one that draws.
      config: stored with the result.
      workdir: the run's folder.
      names: the value of --input: files, folders or patterns, joined by commas.

    Raises:
      BadInput: there is no input, or one or more of the images could not be read or hold no drawing; the
        others are written.
    """
    if not names:
        raise BadInput("--task=vectorize without --input; give files or folders, joined by commas")
    measurement = results.Measurement("vectorize", config, models)
    (model,) = models
    inputs = [path for name in names.split(",") for path in sorted(glob.glob(name)) or [name]]
    gathered = batch.gather(inputs)
    if not gathered.files:
        raise BadInput("; ".join(gathered.failures))
    options = batch.Options(_FORMATS, overwrite=True, quiet=True)
    outcome = batch.export(model.vectorize, gathered, options, workdir / "vectorize")
    if outcome.failures:
        raise BadInput(f"{len(outcome.failures)} of the images were not drawn")
    count, seconds = len(outcome.counts), measurement.seconds
    values = {
        "l1": float(np.mean(outcome.errors)),
        "strokes": float(np.mean(outcome.counts)),
        "seconds": round(seconds / count, 4),
        "seconds_per_megapixel": round(seconds / sum(outcome.pixels) * 1e6, 4),
    }
    measurement.write(workdir, values, count, path="vectorize.json", images=names)
    return values
