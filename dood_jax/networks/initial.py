"""Initial values as published: uniform in ±1/√fan_in, biases too (method.md 3.5)."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from dood_jax.types import Array

Initializer = Callable[..., Array]


def uniform(fan_in: int) -> Initializer:
    """Uniform in ±1/√fan_in, for kernels and biases alike."""
    bound = 1 / math.sqrt(fan_in)
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype, -bound, bound)


def constant(values: tuple[float, ...]) -> Initializer:
    """The given values, whatever the key."""
    return lambda _, shape, dtype=jnp.float32: jnp.broadcast_to(jnp.array(values, dtype), shape)
