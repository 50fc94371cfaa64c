"""Refinement at test time: gradient steps on the strokes inferred for one picture (method.md 10.11).

Nothing is learned. The recognition network places strokes in one look; a hundred small corrections take much
of the error away.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from dood_jax.errors import require_choice
from dood_jax.geometry import affine
from dood_jax.model.config import ModelConfig
from dood_jax.model.renderer import make_renderer, pen_limits
from dood_jax.rendering import compositing
from dood_jax.types import Array, BrushParams, StrokeLatents

_POINT_RATE = 4e-3  # of Adam, at the first step
PEN_RATES = BrushParams(ink_width=8e-4, ink_slope=4e-3, canvas_slope=4e-3)
_LAST_SHARE = 0.1  # of the cosine
_SQUARE_WEIGHT = 2.0  # of squared errors against absolute ones
_UNMOVED = jnp.array([0.0, 0.0, 1.0, 0.0])  # the layout that leaves points where they are


class Traces(NamedTuple):
    """What is moved: the marks of a drawing on its canvas."""

    points: Array  # [T, P, 2] control points on the canvas, unit square
    brush: BrushParams


def refine(
    config: ModelConfig, image: Array, strokes: StrokeLatents, brush: BrushParams, num_steps: int
) -> tuple[StrokeLatents, BrushParams]:
    """Moves control points and pens so that the canvas comes closer to a [H, W] picture.

    Minimises Σ |error| + 2 Σ error² by Adam, with a cosine to a tenth of its rate. Layouts and presence stay.

    Args:
      config: of the model that drew.
      image: to be drawn.
      strokes: inferred for it, T of them.
      brush: their pens.
      num_steps: gradient steps; 100 are enough to halve the error.

    Returns:
      Strokes and pens of the same shapes.

    Raises:
      BadInput: for a model that places pictures, whose pens shrink with the window.
    """
    require_choice("model.placement", config.placement, ("points",))
    traces = trace(strokes, brush)
    rates = Traces(_POINT_RATE, PEN_RATES)
    adam = optax.adam(optax.cosine_decay_schedule(1.0, num_steps, _LAST_SHARE))

    def step(carry, _):
        traces, state = carry
        error = lambda traces: error_of(image, canvas_of(config, strokes.presence, traces))
        gradient = jax.grad(error)(traces)
        updates, state = adam.update(gradient, state)
        moved = jax.tree_util.tree_map(
            lambda value, rate, update: value + rate * update, traces, rates, updates
        )
        return (moved._replace(brush=within_range(config, moved.brush)), state), None

    (traces, _), _ = jax.lax.scan(step, (traces, adam.init(traces)), length=num_steps)
    return strokes._replace(control_points=in_frames(strokes.layout, traces.points)), traces.brush


def trace(strokes: StrokeLatents, brush: BrushParams) -> Traces:
    """The marks of T strokes."""
    matrices = jax.vmap(affine.layout_to_matrix)(strokes.layout)
    return Traces(jax.vmap(affine.place_points)(matrices, strokes.control_points), brush)


def in_frames(layout: Array, points: Array) -> Array:
    """[T, P, 2] points on the canvas in their strokes' own frames, those of [T, 4] layouts."""
    matrices = jax.vmap(lambda layout: affine.invert(affine.layout_to_matrix(layout)))(layout)
    return jax.vmap(affine.place_points)(matrices, points)


def canvas_of(config: ModelConfig, presence: Array, traces: Traces) -> Array:
    """[H, W] the finished canvas of T strokes with [T] bits."""
    render = make_renderer(config)
    pens = (traces.brush.ink_width, traces.brush.ink_slope)
    ink = jax.vmap(render, in_axes=(None, 0, 0, 0))(_UNMOVED, traces.points, *pens)
    return compositing.composite((ink * presence[:, None, None]).sum(0), traces.brush.canvas_slope)


def error_of(image: Array, canvas: Array) -> Array:
    """[] Σ |error| + 2 Σ error² of a canvas."""
    error = jnp.abs(image - canvas)
    return (error + _SQUARE_WEIGHT * error**2).sum()


def within_range(config: ModelConfig, brush: BrushParams) -> BrushParams:
    """Pens within the ranges that the heads of a model give."""
    return BrushParams(
        *(jnp.clip(pen, *limits) for pen, limits in zip(brush, pen_limits(config), strict=True))
    )
