"""The range map that constrains every network output (method.md 3.1)."""

import jax
import jax.numpy as jnp

from dood_jax.types import Array

_EDGE = 1e-3  # share of the range at either end that counts as the end


def bounded(raw: Array, low: Array | float, high: Array | float) -> Array:
    """Low + (high - low) * sigmoid(raw), any broadcastable shapes (method.md 3.1)."""
    return low + (high - low) * jax.nn.sigmoid(raw)


def unbounded(value: Array, low: Array | float, high: Array | float) -> Array:
    """The raw number of a value in the range; finite for values at its ends."""
    share = jnp.clip((value - low) / (high - low), _EDGE, 1 - _EDGE)
    return jnp.log(share) - jnp.log1p(-share)
