"""The task `samples`, and what all tasks of generated drawings share (method.md 10.5, the paper's Fig. 6)."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.config.groups import Config
from dood_jax.evaluation import results
from dood_jax.evaluation.metrics import labelled_images
from dood_jax.inference import image_sets
from dood_jax.model.prior import Spread
from dood_jax.model.variation import SMALL_NOISE, TypeNoise
from dood_jax.types import BrushParams, Sketch

_MEDIAN_IMAGES = 64  # images whose median brush is taken, as published
_MAX_BRUSHES = 512  # images whose brushes are drawn with
PUBLISHED_NOISE = {  # of exemplars, where it is not `SMALL_NOISE`
    "quickdraw": SMALL_NOISE._replace(ink_width=0.001, ink_slope=0.01, canvas_slope=0.01)
}
_GRID = 8  # images along a side of each grid in the figure


def without_iterations(model: Model) -> Model:
    """The model that makes initial drawings alone, without iterative inference: several times faster."""
    return dataclasses.replace(model, config=dataclasses.replace(model.config, iterations=0))


def spread_of(config: Config) -> Spread:
    """How far samples stray from what is most likely, by the settings."""
    settings = config.generation
    return Spread(settings.shift_spread, settings.size_spread, settings.points_spread, settings.temperature)


def noise_of(config: Config, factor: float = 1.0) -> TypeNoise:
    """The noise of exemplars: as published for the set, times the settings' factor and another one.

    Brushes vary in exemplars of Quick, Draw! alone (method.md 10.7).
    """
    published = PUBLISHED_NOISE.get(config.data.name, SMALL_NOISE)
    return published.times(config.generation.exemplar_noise * factor)


def samples(model: Model, config: Config, brushes: BrushParams, count: int, seed: int) -> Sketch:
    """`count` generated drawings with the spread of the settings, each with one of [M] brushes at random."""
    random = np.random.default_rng([config.evaluation.seed, seed])
    rows = random.integers(len(brushes.canvas_slope), size=count)
    brush = BrushParams(*(value[rows] for value in brushes))
    return model.sample(count, seed, config.evaluation.num_strokes or None, spread_of(config), brush)


def brushes_of(model: Model, config: Config) -> BrushParams:
    """[M] brushes to generate with, by `generation.brush`.

    `drawn`: the brushes of the first strokes of the model's drawings of training images; `median`: the median
    of these; `trained`: the mean brush of training. Only the first two draw, without iterative inference.
    """
    which = config.generation.brush
    if which == "trained":
        return BrushParams(*(np.reshape(value, 1) for value in model.brush))
    count = _MEDIAN_IMAGES if which == "median" else _MAX_BRUSHES
    training = labelled_images.load(config.data, "train", count)
    found = without_iterations(model).infer(training.floats, config.evaluation.seed).brush
    brushes = BrushParams(found.ink_width[:, 0], found.ink_slope[:, 0], found.canvas_slope)
    if which == "median":
        return BrushParams(*(np.median(value, keepdims=True) for value in brushes))
    return brushes


def run_samples(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Generates 64 drawings; writes `samples-<dataset>.json` and a figure with real images beside them.

    The values are means over generated drawings and over test images: the ink of an image (the sum of its
    pixels), the number of strokes, and the fraction of drawings without strokes.
    """
    (model,) = models
    config = config.unoptimized()
    measurement = results.Measurement("samples", config, models)
    real = image_sets.test_images(config.data, config.evaluation)
    sketch = samples(model, config, brushes_of(model, config), _GRID**2, config.evaluation.seed)
    generated = np.asarray(sketch.canvases[:, -1])
    num_strokes = sketch.strokes.presence.sum(1)
    values = {
        "strokes": float(num_strokes.mean()),
        "ink": float(generated.sum((1, 2)).mean()),
        "real_ink": float(real.sum((1, 2)).mean()),
        "blank": float((num_strokes == 0).mean()),
    }
    record = measurement.write(workdir, values, len(generated))
    rows = np.arange(_GRID**2) % len(real)
    blocks: dict[str, np.ndarray] = {f"{config.data.name}: real": real[rows], "generated": generated}
    blocks["stroke by stroke"] = figures.coloured_drawings(np.asarray(sketch.canvases))
    grids = {title: block.reshape(_GRID, _GRID, *block.shape[1:]) for title, block in blocks.items()}
    figures.image_blocks(record.with_suffix(".png"), grids)
    return values
