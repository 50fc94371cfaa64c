"""How far a drawing is from its picture, for whoever brings it closer."""

import jax.numpy as jnp

from dood_jax.types import Array

_SQUARE_WEIGHT = 2.0  # of squared errors against absolute ones


def misfit(image: Array, canvas: Array) -> Array:
    """[] Σ |x - C| + 2 Σ (x - C)² of a [H, W] picture and canvas (method.md 10.11)."""
    error = jnp.abs(image - canvas)
    return (error + _SQUARE_WEIGHT * error**2).sum()
