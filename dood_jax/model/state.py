"""What one stroke leaves to the next: the carry of the scan, shared by posterior and prior."""

from typing import NamedTuple

import jax.numpy as jnp

from dood_jax.config.model import ModelConfig
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
