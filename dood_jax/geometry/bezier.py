"""Bézier curves of any degree, sampled at equal steps of their parameter (method.md 3.9)."""

import functools
import math

import chex
import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax.types import Array


@functools.lru_cache
def bernstein_basis(num_points: int, num_samples: int) -> np.ndarray:
    """[S, P] weight of each control point at u = j/(S-1).

    Powers of u fall with the point's index, as published: point 0 is reached at u = 1. Pictures do not
    depend on the direction.
    """
    degree = num_points - 1
    u = np.linspace(0, 1, num_samples)
    columns = [math.comb(degree, d) * u ** (degree - d) * (1 - u) ** d for d in range(num_points)]
    return np.stack(columns, axis=1)


def curve(control_points: Array, num_samples: int) -> Array:
    """[P, 2] control points -> [S, 2] points of the Bézier curve of degree P - 1 (method.md 3.9)."""
    chex.assert_shape(control_points, (None, 2))
    basis = bernstein_basis(control_points.shape[0], num_samples).astype(control_points.dtype)
    return jnp.matmul(basis, control_points, precision=lax.Precision.HIGHEST)
