"""The range map that constrains every network output (method.md 3.1)."""

import jax

from dood_jax.types import Array


def bounded(raw: Array, low: Array | float, high: Array | float) -> Array:
    """Low + (high - low) * sigmoid(raw), any broadcastable shapes (method.md 3.1)."""
    return low + (high - low) * jax.nn.sigmoid(raw)
