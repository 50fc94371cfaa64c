"""What one stroke leaves to the next, and the scan over strokes that carries it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.model.brush_latents import STROKE_NUMBERS
from dood_jax.types import Array


class StrokeState(NamedTuple):
    """State of one drawing before a stroke; before the first as `initial_state` gives it."""

    presence: Array  # [] whether the drawing still goes on
    layout: Array  # [4] of the last stroke
    control_points: Array  # [P, 2] of the last stroke
    brush: Array  # [4] numbers of the last stroke's brush where that is latent, else [0]
    layout_hidden: Array  # [D]
    stroke_hidden: Array  # [D]
    ink_sum: Array  # [H, W] without gradient
    canvas_slope: Array  # [] decided with the first stroke

    @property
    def is_first(self) -> Array:
        """[] whether the next stroke is the first: only then the recurrent states are zero."""
        return ~self.stroke_hidden.any()


def initial_state(config: ModelConfig) -> StrokeState:
    """The state before the first stroke (method.md 4): blank canvas, zero vectors, o_0 = 1."""
    size = config.image_size
    return StrokeState(
        presence=jnp.ones(()),
        layout=jnp.zeros(4),
        control_points=jnp.zeros((config.num_points, 2)),
        brush=jnp.zeros(STROKE_NUMBERS * config.has_latent_brush),
        layout_hidden=jnp.zeros(config.features),
        stroke_hidden=jnp.zeros(config.features),
        ink_sum=jnp.zeros((size, size)),
        canvas_slope=jnp.ones(()),
    )


def scan_from_blank(config: ModelConfig, step: Callable, inputs: Any) -> tuple[StrokeState, Any]:
    """`lax.scan` of a step over strokes from the initial state, with the first stroke apart.

    The blank canvas and all that is computed from it alone then have no batch axis: under `vmap` it is
    computed once for all images.

    Args:
      config: the model.
      step: (state, inputs of one stroke) -> (state, outputs of one stroke).
      inputs: [T, ...] of each kind.

    Returns:
      The state after the last stroke, and [T, ...] outputs.
    """
    first_input, later_inputs = (
        jax.tree_util.tree_map(lambda one, part=part: one[part], inputs) for part in (0, slice(1, None))
    )
    state, first = step(initial_state(config), first_input)
    state, later = lax.scan(step, state, later_inputs, unroll=max(config.unroll - 1, 1))
    join = lambda first, later: jnp.concatenate([first[None], later])
    return state, jax.tree_util.tree_map(join, first, later)
