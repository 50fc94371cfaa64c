"""What one stroke leaves to the next: the carry of the scan, shared by posterior and prior."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from dood_jax.model.config import ModelConfig
from dood_jax.model.networks import Networks
from dood_jax.rendering import compositing
from dood_jax.types import Array


class StrokeState(NamedTuple):
    """State of one drawing before a stroke; all zero, and present, before the first."""

    presence: Array  # [] whether the drawing still goes on
    layout: Array  # [4] of the last stroke
    control_points: Array  # [P, 2] of the last stroke
    layout_hidden: Array  # [F]
    stroke_hidden: Array  # [F]
    ink_sum: Array  # [H, W] without gradient
    canvas_slope: Array  # [] decided with the first stroke

    @property
    def canvas(self) -> Array:
        """[H, W] what has been drawn, without gradient."""
        return lax.stop_gradient(compositing.composite(self.ink_sum, self.canvas_slope))


def initial_state(config: ModelConfig) -> StrokeState:
    """The state before the first stroke (method.md 4): blank canvas, zero vectors, o_0 = 1."""
    size = config.image_size
    return StrokeState(
        presence=jnp.ones(()),
        layout=jnp.zeros(4),
        control_points=jnp.zeros((config.num_points, 2)),
        layout_hidden=jnp.zeros(config.features),
        stroke_hidden=jnp.zeros(config.features),
        ink_sum=jnp.zeros((size, size)),
        canvas_slope=jnp.ones(()),
    )


def advance_hidden(nets: Networks, state: StrokeState, seen: tuple[Array, ...]) -> StrokeState:
    """One step of both recurrent networks on the last stroke and what is seen of the canvas (method.md 4)."""
    last_points = state.control_points.reshape(-1)
    layout_input = jnp.concatenate([state.layout, *seen])
    stroke_input = jnp.concatenate([last_points, *seen])
    return state._replace(
        layout_hidden=nets.layout_rnn(state.layout_hidden, layout_input),
        stroke_hidden=nets.stroke_rnn(state.stroke_hidden, stroke_input),
    )
