"""One optimiser for all that is fitted after training, and the strokes of one image fitted by it.

Nothing is learned here: parameters of the model stay as they are.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.model.dood import bind
from dood_jax.model.families import within_limits
from dood_jax.model.networks import Params
from dood_jax.model.observation import canvas_error
from dood_jax.types import Array, BrushParams, StrokeLatents

POINT_RATE = 4e-3  # of Adam for points on the canvas, at the first step
_BRUSH_RATES = BrushParams(ink_width=8e-4, ink_slope=4e-3, canvas_slope=4e-3, taper=2e-2)
_LEAST_SCALE = 0.25  # of a layout, for the rate of its points

Fitted = TypeVar("Fitted")


def descend(
    gradient: Callable[[Fitted, Any], Fitted],
    start: Fitted,
    rates: Any,
    inputs: Array,
    *,
    last_fraction: float = 0.1,
    project: Callable[[Fitted], Fitted] = lambda fitted: fitted,
) -> Fitted:
    """Takes a step of Adam for each of the inputs.

    Args:
      gradient: (what is fitted, one of the inputs) -> the gradient of what is to become small.
      start: a pytree of arrays to begin with.
      rates: Adam's rate of each leaf at the first step: a pytree like `start`, or one number for all.
      inputs: [N, ...] one for each step, such as random keys; where the gradient needs none, `jnp.arange(N)`.
      last_fraction: of the rates at the last step, to which they fall as a cosine; 1 keeps them.
      project: applied after every step, to keep what is fitted within its range.
    """
    import optax  # noqa: PLC0415 - takes long, and not all programs fit

    rates = jax.tree_util.tree_map(lambda _: rates, start) if isinstance(rates, float) else rates
    adam = optax.adam(optax.cosine_decay_schedule(1.0, max(len(inputs), 1), last_fraction))

    def step(carry, one):
        fitted, state = carry
        updates, state = adam.update(gradient(fitted, one), state)
        scaled = lambda value, rate, update: value + rate * update
        return (project(jax.tree_util.tree_map(scaled, fitted, rates, updates)), state), None

    (fitted, _), _ = lax.scan(step, (start, adam.init(start)), inputs)
    return fitted


class _Marks(NamedTuple):
    """What is moved of a drawing, or the rates of it."""

    control_points: Array  # [T, P, 2] in the strokes' own frames, unit square
    brush: BrushParams


def optimize_strokes(
    config: ModelConfig,
    params: Params,
    image: Array,
    strokes: StrokeLatents,
    brush: BrushParams,
    num_steps: int,
) -> tuple[StrokeLatents, BrushParams]:
    """Moves control points and brushes so that the canvas comes closer to a [H, W] image (method.md 10.11).

    Minimises Σ |error| + 2 Σ error² by Adam, with a cosine to a tenth of its rates. Layouts and bits stay.

    Args:
      config: of the model that drew.
      params: its parameters.
      image: to be drawn.
      strokes: inferred for it, T of them.
      brush: of each stroke.
      num_steps: gradient steps; 100 take a tenth of the error of digits after 24 iterations of inference.

    Returns:
      Strokes and brushes of the same shapes.
    """
    model = bind(config, params)

    def error(marks, _):
        moved = strokes._replace(control_points=marks.control_points)
        return canvas_error(config, image, model.finished_canvas(moved, marks.brush))

    found = descend(
        jax.grad(error),
        _Marks(strokes.control_points, brush),
        _Marks(point_rates(strokes.layout), brush_rates(brush)),
        jnp.arange(num_steps),
        project=lambda marks: marks._replace(brush=within_limits(config, marks.brush, brush)),
    )
    return strokes._replace(control_points=found.control_points), found.brush


def brush_rates(brush: BrushParams) -> BrushParams:
    """Rates of all numbers that a brush has."""
    return _BRUSH_RATES if brush.taper is not None else _BRUSH_RATES._replace(taper=None)


def point_rates(layout: Array) -> Array:
    """[T, 1, 1] rates of control points, which go as far on the canvas in [T, 4] layouts of any scale."""
    return POINT_RATE / jnp.maximum(jnp.abs(layout[:, 2, None, None]), _LEAST_SCALE)
