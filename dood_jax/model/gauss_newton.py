"""Gauss-Newton steps: how iterative inference ends, once strokes lie near their place (method.md 5.3).

The learned corrector finds the place of strokes; near it the error Σ h(e) + 2 Σ e² of a canvas is nearly a
square of points and brush, and a step to the lowest point of that square comes nearer than many corrections.
Here h(e) is |e| - c/2 beyond c = 0.03 and e²/2c within (Huber's): no step would settle at the corner of |e|.
With the slopes J of the canvas in all numbers and weights w = h'(e) / e + 4 (least squares that are
reweighted), the step takes d away from the numbers, where

    (J^T w J + λ D) d = gradient of the error,    D = diagonal of J^T w J + 1 / unit².

The damping λ falls after a step that brings the error down; any other step is not made, and λ rises
(Levenberg and Marquardt). The gradient is exact. The curvature J^T w J is that of all strokes together, since
strokes that overlap share their error, but not through the grid of the source, and holds for a few steps.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.model.dood import DooD
from dood_jax.model.families import brush_of
from dood_jax.model.iterative_inference import InferenceState, drawn
from dood_jax.model.observation import SQUARE_WEIGHT
from dood_jax.model.renderer import BRUSHES, canvas_of
from dood_jax.rendering import brushes
from dood_jax.rendering.source_grid import to_source_grid
from dood_jax.types import Array, BrushParams, StrokeLatents

_CORNER = 0.03  # the error of a pixel that is c above
_DAMPING, _LESS, _MORE = 0.01, 0.4, 4.0  # λ at first, and what it is multiplied by after each step
_POINT_UNIT, _BRUSH_UNIT = 0.01, 0.3  # moves of points and of raw numbers of brushes that are free of charge
_SAME_CURVATURE = 3  # steps of one curvature, which takes longer than all else
_SOLVED = 32  # steps of conjugate gradients
_TINY = 1e-30  # keeps quotients finite once a system is solved


class _Place(NamedTuple):
    """Where the steps have come to: V numbers, all points and then all raw numbers of brushes."""

    numbers: Array  # [V]
    error: Array  # []
    gradient: Array  # [V]
    off: Array  # [H, W] the image less the canvas, on the image's own grid


_Carry = tuple[_Place, Array]  # and the [] damping


def minimise(
    model: DooD, image: Array, strokes: StrokeLatents, state: InferenceState, steps: int
) -> InferenceState:
    """Brings the error of a drawing down by so many steps; it never rises.

    Args:
      model: that draws, with the brush `soft_distance` at points.
      image: [H, W] to be drawn.
      strokes: T of them, whose bits stay.
      state: of the drawing.
      steps: so many.
    """
    config = model.config
    start, back = ravel_pytree((state.points, state.raw_brush))
    units = (
        jnp.full_like(state.points, _POINT_UNIT),
        jax.tree_util.tree_map(lambda raw: jnp.full_like(raw, _BRUSH_UNIT), state.raw_brush),
    )
    stiffness = 1 / ravel_pytree(units)[0] ** 2

    render = model.renderer.finished_canvas

    def error_and_off(numbers: Array) -> tuple[Array, Array]:
        canvas = drawn(config, strokes, render, *back(numbers))
        off = image - to_source_grid(config.source_size, image, canvas)
        return smooth_error(off), off

    def place_at(numbers: Array) -> _Place:
        (error, off), gradient = jax.value_and_grad(error_and_off, has_aux=True)(numbers)
        return _Place(numbers, error, gradient, off)

    def step(curvature: Array, carry: _Carry, _: None) -> tuple[_Carry, None]:
        place, damping = carry
        matrix = curvature + jnp.diag(damping * (_diagonal(curvature) + stiffness))
        reached = place_at(place.numbers - solve(matrix, place.gradient))
        is_nearer = reached.error < place.error  # never if it is not finite
        place = jax.tree_util.tree_map(lambda new, old: jnp.where(is_nearer, new, old), reached, place)
        return (place, damping * jnp.where(is_nearer, _LESS, _MORE)), None

    def some_steps(count: int, carry: _Carry) -> _Carry:
        slopes = canvas_slopes(config, strokes.presence, *back(carry[0].numbers))
        curvature = _curvature(slopes, carry[0].off)
        return lax.scan(functools.partial(step, curvature), carry, None, length=count)[0]

    rounds, rest = divmod(steps, _SAME_CURVATURE)
    carry = place_at(start), jnp.float32(_DAMPING)
    carry = lax.fori_loop(0, rounds, lambda _, carry: some_steps(_SAME_CURVATURE, carry), carry)
    place, _ = some_steps(rest, carry) if rest else carry
    points, raw_brush = back(place.numbers)
    return state._replace(points=points, raw_brush=raw_brush)


def smooth_error(off: Array) -> Array:
    """[] Σ ρ(e) + 2 Σ e² of [H, W] differences, with Huber's ρ: what the steps bring down (method.md 5.3)."""
    size = jnp.abs(off)
    rounded = jnp.where(size < _CORNER, off**2 / (2 * _CORNER), size - _CORNER / 2)
    return (rounded + SQUARE_WEIGHT * off**2).sum()


def canvas_slopes(config: ModelConfig, presence: Array, points: Array, raw_brush: BrushParams) -> Array:
    """[V, H, W] slopes of the canvas in all numbers of T strokes: points, then raw numbers of brushes.

    Args:
      config: of a model with the brush `soft_distance`.
      presence: [T] bits.
      points: [T, P, 2] control points on the canvas.
      raw_brush: before its limits.
    """
    to_brush = functools.partial(brush_of, config)
    brush: BrushParams = to_brush(raw_brush)
    of_strokes = brush._replace(canvas_slope=None)
    ink, by_points, by_brush = jax.vmap(functools.partial(_ink_slopes, config))(points, of_strokes)
    of_drawn = lambda slopes: slopes * presence.reshape(-1, *[1] * (slopes.ndim - 1))
    total = of_drawn(ink).sum(0)
    by_ink = _slope(lambda total: canvas_of(config, total, brush.canvas_slope), total)
    by_canvas_slope = _slope(lambda slope: canvas_of(config, total, slope), brush.canvas_slope)
    by_points, by_brush = jax.tree_util.tree_map(
        lambda slopes: by_ink * of_drawn(slopes), (by_points, by_brush)
    )
    by_brush = by_brush._replace(canvas_slope=by_canvas_slope)
    by_raw = _slope(to_brush, raw_brush)
    by_brush = jax.tree_util.tree_map(lambda slopes, raw: slopes * raw[..., None, None], by_brush, by_raw)
    leaves = jax.tree_util.tree_leaves((by_points, by_brush))
    return jnp.concatenate([leaf.reshape(-1, *leaf.shape[-2:]) for leaf in leaves])


def _ink_slopes(
    config: ModelConfig, points: Array, brush: BrushParams
) -> tuple[Array, Array, BrushParams[Array]]:
    """[H, W] ink of one stroke, and its slopes: [P, 2, H, W] in points, [..., H, W] in its brush."""
    size, samples = (config.image_size, config.image_size), config.curve_samples
    of_ends = geometry.taper_basis(samples).astype(np.float32)
    of_points = geometry.bernstein_basis(config.num_points, samples).astype(np.float32)
    of_width = np.concatenate([np.ones((samples, 1), np.float32), of_ends], axis=1)
    taper = jnp.zeros(2) if brush.taper is None else brush.taper
    width = brush.ink_width * jnp.exp(of_ends @ taper)
    curve = geometry.bezier_curve(points, samples)
    nearness, by_points, by_width = brushes.soft_distance_slopes(curve, width, (of_points, of_width), size)
    finish = BRUSHES[config.brush].finish
    by_nearness = _slope(lambda nearness: finish(nearness, brush.ink_slope), nearness)
    by_slope = _slope(lambda slope: finish(nearness, slope), brush.ink_slope)
    by_width = by_nearness * by_width
    by_brush = BrushParams(
        by_width[0] / brush.ink_width, by_slope, None, None if brush.taper is None else by_width[1:]
    )
    return finish(nearness, brush.ink_slope), by_nearness * by_points, by_brush


def _slope(function: Callable[[Any], Any], value: Any) -> Any:
    """The slope of a function of one number, or of each of many alone, by one forward derivative."""
    return jax.jvp(function, (value,), (jax.tree_util.tree_map(jnp.ones_like, value),))[1]


def solve(matrix: Array, vector: Array) -> Array:
    """[V] nearly matrix^-1 @ vector, for a positive definite [V, V] matrix, by conjugate gradients.

    Numbers are scaled so that the diagonal is 1. What a few steps leave undone are directions of little
    curvature, in which a damped step would not go far either. Operations are plain ones, which can be
    exported; `jax.scipy.sparse.linalg.cg` has others.
    """
    scale = 1 / jnp.sqrt(_diagonal(matrix))
    scaled, rest = matrix * scale * scale[:, None], vector * scale

    def step(_: int, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        found, rest, way = carry
        ahead = jnp.matmul(scaled, way, precision=lax.Precision.HIGHEST)
        square = (rest**2).sum()
        length = square / jnp.maximum((way * ahead).sum(), _TINY)
        after = rest - length * ahead
        turn = (after**2).sum() / jnp.maximum(square, _TINY)
        return found + length * way, after, after + turn * way

    return scale * lax.fori_loop(0, _SOLVED, step, (jnp.zeros_like(rest), rest, rest))[0]


def _diagonal(matrix: Array) -> Array:
    """[V] of a [V, V] matrix, in plain operations: `jnp.diagonal` cannot be exported."""
    return (matrix * np.eye(len(matrix), dtype=np.float32)).sum(0)


def _curvature(jacobian: Array, off: Array) -> Array:
    """[V, V] curvature of the error whose [V, H, W] slopes and [H, W] differences are given."""
    weight = 1 / jnp.maximum(jnp.abs(off), _CORNER) + 2 * SQUARE_WEIGHT
    flat = jacobian.reshape(len(jacobian), -1)
    return jnp.matmul(flat * weight.ravel(), flat.T, precision=lax.Precision.HIGHEST)
