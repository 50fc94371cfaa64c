"""What tasks that invent drawings share: how far samples stray, and with what pens (method.md 10.5)."""

import dataclasses

import numpy as np

from dood_jax.api import Model
from dood_jax.judging import pictures
from dood_jax.model.exemplar import TypeNoise
from dood_jax.model.spread import Spread
from dood_jax.settings.config import Config
from dood_jax.types import BrushParams, Sketch

_PUBLISHED_BATCH = 64  # pictures whose median pen is taken
_PUBLISHED_PENS = {"quickdraw": (0.001, 0.01, 0.01)}  # noise of exemplars' pens; none elsewhere
_MOST_PENS = 512  # that are told apart


def first_look(model: Model) -> Model:
    """The same model, which draws with its first look alone: several times faster (method.md 5.1)."""
    return dataclasses.replace(model, config=dataclasses.replace(model.config, looks=0))


def spread_of(config: Config) -> Spread:
    """How far samples stray."""
    settings = config.invention
    return Spread(settings.shift_spread, settings.size_spread, settings.points_spread, settings.temperature)


def noise_of(config: Config) -> TypeNoise:
    """The noise of exemplars; what the settings leave open is as published for the set (method.md 10.7)."""
    settings = config.invention
    published = _PUBLISHED_PENS.get(config.data.name, (0.0, 0.0, 0.0))
    given = (settings.ink_width_noise, settings.ink_slope_noise, settings.canvas_slope_noise)
    pens = (known if value < 0 else value for value, known in zip(given, published, strict=True))
    return TypeNoise(settings.middle_noise, settings.inner_noise, *pens)


def samples(model: Model, config: Config, pens: BrushParams, count: int, seed: int) -> Sketch:
    """Invented drawings with the spread of the settings, each with one of [M] pens."""
    rows = np.random.default_rng([config.evaluation.seed, seed]).integers(len(pens.canvas_slope), size=count)
    own = BrushParams(*(value[rows] for value in pens))
    return model.sample(count, seed, config.evaluation.num_strokes or None, spread_of(config), own)


def pens_of(model: Model, config: Config) -> BrushParams:
    """[M] pens to draw with: many, or one.

    Those of the first strokes that the model's first look draws training pictures with, their median, or the
    mean one of training.
    """
    which = config.invention.pens
    if which == "trained":
        return BrushParams(*(np.reshape(value, 1) for value in model.brush))
    known = pictures.load(config.data, "train", _PUBLISHED_BATCH if which == "median" else _MOST_PENS)
    found = first_look(model).infer(known.inks, config.evaluation.seed).brush
    pens = BrushParams(found.ink_width[:, 0], found.ink_slope[:, 0], found.canvas_slope)
    if which == "median":
        return BrushParams(*(np.median(value, keepdims=True) for value in pens))
    return pens
