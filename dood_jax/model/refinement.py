"""Refinement at test time: gradient steps on the strokes inferred for one image (method.md 10.11).

Nothing is learned. The recognition network places strokes in one look; a hundred small corrections take much
of the error away.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from dood_jax.config.model import ModelConfig
from dood_jax.model.networks import Params, bind
from dood_jax.model.renderer import brush_limits, finished_canvas
from dood_jax.rendering.source_grid import to_source_grid
from dood_jax.types import Array, BrushParams, StrokeLatents

POINT_RATE = 4e-3  # of Adam on the canvas, at the first step
_LEAST_SCALE = 0.25  # of a layout, for the rate of its points
BRUSH_RATES = BrushParams(ink_width=8e-4, ink_slope=4e-3, canvas_slope=4e-3)
_LAST_SHARE = 0.1  # of the cosine
_SQUARE_WEIGHT = 2.0  # of squared errors against absolute ones


class Marks(NamedTuple):
    """What is moved of a drawing."""

    control_points: Array  # [T, P, 2] in the strokes' own frames, unit square
    brush: BrushParams


def refine(
    config: ModelConfig,
    params: Params,
    image: Array,
    strokes: StrokeLatents,
    brush: BrushParams,
    num_steps: int,
) -> tuple[StrokeLatents, BrushParams]:
    """Moves control points and pens so that the canvas comes closer to a [H, W] image.

    Minimises Σ |error| + 2 Σ error² by Adam, with a cosine to a tenth of its rate. Layouts and presence stay.

    Args:
      config: of the model that drew.
      params: its parameters.
      image: to be drawn.
      strokes: inferred for it, T of them.
      brush: their pens.
      num_steps: gradient steps; 100 take a tenth of the error of digits that were looked at 24 times.

    Returns:
      Strokes and pens of the same shapes.
    """
    marks = Marks(strokes.control_points, brush)
    rates = Marks(point_rates(strokes.layout), BRUSH_RATES)
    adam = optax.adam(optax.cosine_decay_schedule(1.0, num_steps, _LAST_SHARE))

    def error(marks):
        moved = strokes._replace(control_points=marks.control_points)
        return error_of(config, image, finished_canvas(bind(config, params), moved, marks.brush))

    def step(carry, _):
        marks, state = carry
        updates, state = adam.update(jax.grad(error)(marks), state)
        moved = jax.tree_util.tree_map(
            lambda value, rate, update: value + rate * update, marks, rates, updates
        )
        return (moved._replace(brush=within_range(config, moved.brush)), state), None

    (marks, _), _ = jax.lax.scan(step, (marks, adam.init(marks)), length=num_steps)
    return strokes._replace(control_points=marks.control_points), marks.brush


def point_rates(layout: Array) -> Array:
    """[T, 1, 1] rates of control points: as far a way on the canvas in [T, 4] layouts of any scale."""
    return POINT_RATE / jnp.maximum(jnp.abs(layout[:, 2, None, None]), _LEAST_SCALE)


def error_of(config: ModelConfig, image: Array, canvas: Array) -> Array:
    """[] Σ |error| + 2 Σ error² of a [H, W] canvas, as the image was recorded."""
    error = jnp.abs(image - to_source_grid(config.source_size, image, canvas))
    return (error + _SQUARE_WEIGHT * error**2).sum()


def within_range(config: ModelConfig, brush: BrushParams) -> BrushParams:
    """Pens within the ranges that the heads of a model give."""
    return BrushParams(
        *(jnp.clip(pen, *limits) for pen, limits in zip(brush, brush_limits(config), strict=True))
    )
