"""Further looks at a whole drawing: where it misses the image, all strokes are corrected (method.md 5.1).

Each look takes the gradient of the drawing's error in the points and pens of every stroke, and what can be
seen in its window, to a correction: inference that goes on, learned once for all images. What the first
look drew by chance is no latent variable here but something the posterior starts from, so any of it gives a
bound.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.distributions import gaussian
from dood_jax.distributions.bounded import bounded, unbounded
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.model import refinement
from dood_jax.model.networks import Networks, Params, bind
from dood_jax.model.parts import Parts, parts_of
from dood_jax.model.renderer import brush_limits, finished_canvas
from dood_jax.networks.corrector import MEMORY, Change
from dood_jax.types import Array, BrushParams, StrokeLatents

_POINT_STEP, _LAYOUT_STEP = 0.1, 0.05  # what a raw change of 1 moves
_POINT_WIDTH, _LAYOUT_WIDTH = 0.004, 0.08  # of the Gaussians, for a raw width of 0
_LEAST_SCALE = 0.05  # of a layout, where it divides the width of points
_LEAST_SLOPE = 1e-4  # of the error in points, where slopes are compared
_SLOPE_UNIT = 3.0  # of the same, where its logarithm takes over
_UNMOVED = np.array([0, 0, 1, 0], np.float32)  # the layout that leaves points where they are


class Correction(NamedTuple):
    """The posterior of T strokes whose bits are known."""

    layout: Gaussian  # [T, 4]
    points: Gaussian  # [T, P, 2] control points on the canvas
    brush: BrushParams


class Guess(NamedTuple):
    """A drawing between two looks."""

    points: Array  # [T, P, 2] control points on the canvas
    raw_pens: BrushParams  # before their ranges
    memory: Array  # [T, D] of the corrector


def correct(
    config: ModelConfig,
    params: Params,
    image: Array,
    strokes: StrokeLatents,
    brush: BrushParams,
    before: Array | int = 0,
) -> Correction:
    """Looks at a drawing of T strokes as often as the model does.

    Args:
      config: the model.
      params: its parameters.
      image: [H, W] to be drawn.
      strokes: as drawn so far; no gradient flows to them.
      brush: their pens.
      before: [] so many looks more, which come first and get no gradient.
    """
    strokes, brush = lax.stop_gradient((strokes, brush))
    step = lambda guess, params: look(parts_of(config), bind(config, params), image, strokes, guess)
    fixed = lax.stop_gradient(params)
    guess = lax.fori_loop(
        0, before, lambda _, guess: step(guess, fixed)[0], first_guess(config, strokes, brush)
    )
    guess, changes = lax.scan(lambda guess, _: step(guess, params), guess, length=config.iterations)
    change = jax.tree_util.tree_map(lambda values: values[-1], changes)
    layout = strokes.layout + _LAYOUT_STEP * change.layout
    return Correction(
        Gaussian(layout, _LAYOUT_WIDTH * jnp.exp(change.layout_width)),
        Gaussian(guess.points, _POINT_WIDTH * jnp.exp(change.point_width)),
        _with_limits(bounded, config, guess.raw_pens),
    )


def first_guess(config: ModelConfig, strokes: StrokeLatents, brush: BrushParams) -> Guess:
    """T strokes as first drawn."""
    points = place(strokes)
    return Guess(points, _with_limits(unbounded, config, brush), jnp.zeros((len(points), MEMORY)))


def place(strokes: StrokeLatents) -> Array:
    """[T, P, 2] control points of T strokes on the canvas."""
    matrices = jax.vmap(geometry.layout_to_matrix)(strokes.layout)
    return jax.vmap(geometry.place_points)(matrices, strokes.control_points)


def look(
    parts: Parts, nets: Networks, image: Array, strokes: StrokeLatents, guess: Guess
) -> tuple[Guess, Change]:
    """One look at a [H, W] image and what is drawn of it; says how it changes the guess."""
    seen = lax.stop_gradient(_see(parts, nets, image, strokes, guess))
    memory, change = nets.corrector(guess.memory, seen)
    points = guess.points + _POINT_STEP * change.points
    return Guess(points, _change_pens(guess.raw_pens, change.pens, strokes.presence), memory), change


def sample(correction: Correction, presence: Array, key: Array) -> tuple[StrokeLatents, Array, Array]:
    """Strokes with [T] bits, and [T] log-densities of their layouts and control points; consumes the key.

    Points are where the correction has them whatever layout is sampled: a stroke has the width of its points,
    seen in its own frame.
    """
    key_layout, key_points = jax.random.split(key)
    drawn = jax.vmap(gaussian.sample_and_log_prob)
    means = correction.layout.mean
    layout, log_layout = drawn(correction.layout, jax.random.normal(key_layout, means.shape))
    scale = jnp.maximum(jnp.abs(layout[:, 2, None, None]), _LEAST_SCALE)
    in_frame = Gaussian(_in_frames(layout, correction.points.mean), correction.points.scale / scale)
    points, log_points = drawn(in_frame, jax.random.normal(key_points, in_frame.mean.shape))
    return StrokeLatents(presence, layout, points), log_layout, log_points


def _in_frames(layout: Array, points: Array) -> Array:
    """[T, P, 2] points on the canvas in their strokes' own frames, those of [T, 4] layouts."""
    matrices = jax.vmap(lambda layout: geometry.invert(geometry.layout_to_matrix(layout)))(layout)
    return jax.vmap(geometry.place_points)(matrices, points)


def _see(parts: Parts, nets: Networks, image: Array, strokes: StrokeLatents, guess: Guess) -> Array:
    """[T, D] what a look sees of each stroke: its place and pen, how they err, and what is in its window."""
    config, presence = nets.config, strokes.presence

    def error(points, raw_pens):
        unmoved = StrokeLatents(presence, jnp.broadcast_to(_UNMOVED, strokes.layout.shape), points)
        canvas = finished_canvas(nets, unmoved, _with_limits(bounded, config, raw_pens))
        return refinement.error_of(config, image, canvas), canvas

    gradient = jax.value_and_grad(error, (0, 1), has_aux=True)
    (value, canvas), (slopes, pen_slopes) = gradient(guess.points, guess.raw_pens)
    target = parts.guidance.prepare(nets, image)
    steepness = jnp.sqrt((slopes**2).mean((1, 2)) + _LEAST_SLOPE**2)
    look = lambda layout: jnp.concatenate(parts.guidance.look(nets, target, canvas, layout).features)
    flat = lambda points: points.reshape(len(points), -1)
    column = lambda values: jnp.broadcast_to(values, presence.shape)[:, None]
    return jnp.concatenate(
        [
            flat(guess.points - 0.5),
            flat(slopes / steepness[:, None, None]),
            flat(_compressed(slopes / _SLOPE_UNIT)),
            _compressed(column(steepness)),
            *(column(pen) for pen in guess.raw_pens),
            *(_compressed(column(slope)) for slope in pen_slopes),
            column(jnp.log1p(value) / 5),
            strokes.layout,
            jax.vmap(look)(strokes.layout),
        ],
        axis=1,
    )


def _compressed(values: Array) -> Array:
    """Near zero the values, far from it their logarithm."""
    return jnp.sign(values) * jnp.log1p(jnp.abs(values))


def _change_pens(raw_pens: BrushParams, change: BrushParams, presence: Array) -> BrushParams:
    """Moves raw pens: of each stroke its own, of the canvas by the mean of drawn strokes."""
    of_canvas = (change.canvas_slope * presence).sum() / jnp.maximum(presence.sum(), 1)
    return jax.tree_util.tree_map(jnp.add, raw_pens, change._replace(canvas_slope=of_canvas))


def _with_limits(range_map: Callable, config: ModelConfig, pens: BrushParams) -> BrushParams:
    """Applies a range map or its inverse to pens."""
    return BrushParams(
        *(range_map(pen, *limits) for pen, limits in zip(pens, brush_limits(config), strict=True))
    )
