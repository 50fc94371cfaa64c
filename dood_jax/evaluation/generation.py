"""What all tasks of generated drawings share, and the task `samples`.

What tasks that invent drawings share: how far samples stray, and with what brushes (method.md 10.5).

Invented drawings beside real images (method.md 10.5, the paper's Fig. 6).
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.config.groups import Config
from dood_jax.evaluation import results
from dood_jax.evaluation.metrics.labelled_images import load_labelled
from dood_jax.inference import test_images
from dood_jax.model.exemplar import TypeNoise
from dood_jax.model.spread import Spread
from dood_jax.types import BrushParams, Sketch

_PUBLISHED_BATCH = 64  # images whose median brush is taken
_PUBLISHED_BRUSH_NOISE = {"quickdraw": (0.001, 0.01, 0.01)}  # noise of exemplars' brushes; none elsewhere
_MOST_BRUSHES = 512  # that are told apart


def first_look(model: Model) -> Model:
    """The same model, which draws with its first look alone: several times faster (method.md 5.1)."""
    return dataclasses.replace(model, config=dataclasses.replace(model.config, iterations=0))


def spread_of(config: Config) -> Spread:
    """How far samples stray."""
    settings = config.generation
    return Spread(settings.shift_spread, settings.size_spread, settings.points_spread, settings.temperature)


def noise_of(config: Config) -> TypeNoise:
    """The noise of exemplars; what the settings leave open is as published for the set (method.md 10.7)."""
    settings = config.generation
    published = _PUBLISHED_BRUSH_NOISE.get(config.data.name, (0.0, 0.0, 0.0))
    given = (settings.ink_width_noise, settings.ink_slope_noise, settings.canvas_slope_noise)
    brushes = (known if value < 0 else value for value, known in zip(given, published, strict=True))
    return TypeNoise(settings.middle_noise, settings.inner_noise, *brushes)


def samples(model: Model, config: Config, brushes: BrushParams, count: int, seed: int) -> Sketch:
    """Invented drawings with the spread of the settings, each with one of [M] brushes."""
    rows = np.random.default_rng([config.evaluation.seed, seed]).integers(
        len(brushes.canvas_slope), size=count
    )
    own = BrushParams(*(value[rows] for value in brushes))
    return model.sample(count, seed, config.evaluation.num_strokes or None, spread_of(config), own)


def brushes_of(model: Model, config: Config) -> BrushParams:
    """[M] brushes to draw with: many, or one.

    Those of the first strokes that the model's first look draws training images with, their median, or the
    mean one of training.
    """
    which = config.generation.brush
    if which == "trained":
        return BrushParams(*(np.reshape(value, 1) for value in model.brush))
    known = load_labelled(config.data, "train", _PUBLISHED_BATCH if which == "median" else _MOST_BRUSHES)
    found = first_look(model).infer(known.inks, config.evaluation.seed).brush
    brushes = BrushParams(found.ink_width[:, 0], found.ink_slope[:, 0], found.canvas_slope)
    if which == "median":
        return BrushParams(*(np.median(value, keepdims=True) for value in brushes))
    return brushes


_SIDE = 8  # images of a side of each grid


def run_samples(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Invents 64 drawings; writes `samples-<dataset>.json` and `.png`, real images beside them.

    The values are means over invented drawings and over held-out images: what they have in ink, and how
    many strokes were drawn.
    """
    (model,) = models
    config = config.unrefined()
    measurement = results.Measurement("samples", config, models)
    real = test_images.images(config.data, config.evaluation)
    brushes = brushes_of(model, config)
    sketch = samples(model, config, brushes, _SIDE**2, config.evaluation.seed)
    found = sketch.canvases[:, -1]
    values = {
        "strokes": float(sketch.strokes.presence.sum(1).mean()),
        "ink": float(found.sum((1, 2)).mean()),
        "real_ink": float(real.sum((1, 2)).mean()),
        "blank": float((sketch.strokes.presence.sum(1) == 0).mean()),
    }
    record = measurement.write(workdir, values, len(found))
    rows = np.arange(_SIDE**2) % len(real)
    blocks = {f"{config.data.name}: real": real[rows], "invented": found}
    blocks["stroke by stroke"] = figures.drawn(sketch.canvases)
    square = {title: block.reshape(_SIDE, _SIDE, *block.shape[1:]) for title, block in blocks.items()}
    figures.sheets(record.with_suffix(".png"), square)
    return values
