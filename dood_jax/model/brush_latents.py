"""The brush as latent variables: Gaussians over the logarithms of its numbers (method.md 9.7).

A stroke has four: width, ink slope and the taper at either end, which is a logarithm already. A drawing has
one more, the canvas slope. Posterior and prior are densities of the same logarithms, so limits of a brush
bind only the means.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.distributions.gaussian import Gaussian
from dood_jax.model.networks import bounded
from dood_jax.types import Array, BrushParams

STROKE_NUMBERS = 4  # of the brush of a stroke
_WIDTHS = (0.01, 0.5)  # of the posterior's Gaussians
# The width, slope and factors at the ends that numbers of 0 stand for.
_USUAL = np.log(np.array([0.015, 0.4, 1.0, 1.0], np.float32))
_USUAL_CANVAS_SLOPE = np.float32(np.log(0.6))


class BrushPosterior(NamedTuple):
    """The posterior of one stroke's brush, and of the canvas slope, with their numbers in logarithms."""

    of_stroke: Gaussian  # [..., 4]
    of_canvas: Gaussian  # [...]


class BrushNoise(NamedTuple):
    """The randomness of the brush of T strokes of one drawing: standard normal."""

    of_stroke: Array  # [T, 4]
    of_canvas: Array  # []


def stroke_numbers(brush: BrushParams) -> Array:
    """[..., 4] logarithms of a stroke's brush, around 0."""
    logs = jnp.stack([jnp.log(brush.ink_width), jnp.log(brush.ink_slope)], axis=-1)
    taper = jnp.zeros_like(logs) if brush.taper is None else brush.taper
    numbers = jnp.concatenate([logs, taper], axis=-1)
    return numbers - jnp.broadcast_to(_USUAL, numbers.shape)


def canvas_number(brush: BrushParams) -> Array:
    """[...] logarithm of the canvas slope, around 0."""
    return jnp.log(brush.canvas_slope) - _USUAL_CANVAS_SLOPE


def brush_with(of_stroke: Array, of_canvas: Array) -> BrushParams:
    """The brush with [..., 4] numbers of strokes and [...] of the canvas."""
    numbers = of_stroke + jnp.broadcast_to(_USUAL, of_stroke.shape)
    ink_width, ink_slope = jnp.exp(numbers[..., 0]), jnp.exp(numbers[..., 1])
    return BrushParams(ink_width, ink_slope, canvas_slope_of(of_canvas), numbers[..., 2:])


def canvas_slope_of(number: Array) -> Array:
    """[...] canvas slope with this logarithm."""
    return jnp.exp(number + _USUAL_CANVAS_SLOPE)


def around(brush: BrushParams, raw_stroke_width: Array, raw_canvas_width: Array) -> BrushPosterior:
    """Gaussians around a brush; raw numbers say how wide they are."""
    width = lambda raw: bounded(raw, *_WIDTHS)
    return BrushPosterior(
        Gaussian(stroke_numbers(brush), width(raw_stroke_width)),
        Gaussian(canvas_number(brush), width(raw_canvas_width)),
    )


def sample(posterior: BrushPosterior, noise: Array) -> tuple[BrushParams, Array, Array]:
    """A brush, given [5] standard normal numbers, the last for the canvas; [] log-densities of both parts."""
    of_stroke, log_stroke = posterior.of_stroke.sample_and_log_prob(noise[:STROKE_NUMBERS])
    of_canvas, log_canvas = posterior.of_canvas.sample_and_log_prob(noise[STROKE_NUMBERS])
    return brush_with(of_stroke, of_canvas), log_stroke, log_canvas


def brush_noise(posterior: BrushPosterior, key: Array) -> BrushNoise:
    """Draws the randomness of the brush of T strokes; consumes the key."""
    key_strokes, key_canvas = jax.random.split(key)
    of_stroke = jax.random.normal(key_strokes, posterior.of_stroke.mean.shape)
    return BrushNoise(of_stroke, jax.random.normal(key_canvas))


def sample_all(posterior: BrushPosterior, noise: BrushNoise) -> tuple[BrushParams, Array]:
    """The brush of T strokes of one drawing and its [T] log-densities, of the canvas slope with the first."""
    drawn = jax.vmap(Gaussian.sample_and_log_prob)
    of_strokes, log_strokes = drawn(posterior.of_stroke, noise.of_stroke)
    of_canvas, log_canvas = posterior.of_canvas.sample_and_log_prob(noise.of_canvas)
    return brush_with(of_strokes, of_canvas), log_strokes.at[0].add(log_canvas)
