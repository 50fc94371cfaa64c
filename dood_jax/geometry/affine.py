"""Layouts as affine maps of the signed square: rotate, then scale, then translate (method.md 3.6, 3.8)."""

import chex
import jax.numpy as jnp
from jax import lax

from dood_jax.geometry import frames
from dood_jax.types import Array


def layout_to_matrix(layout: Array) -> Array:
    """[4] layout (shift x, shift y, scale, angle in radians) -> [2, 3] matrix (method.md 3.6)."""
    chex.assert_shape(layout, (4,))
    shift_x, shift_y, scale, angle = layout
    c, s = scale * jnp.cos(angle), scale * jnp.sin(angle)
    return jnp.stack([jnp.stack([c, -s, shift_x]), jnp.stack([s, c, shift_y])])


def invert(matrix: Array) -> Array:
    """Inverse of a [2, 3] affine map: [R^-1 | -R^-1 t]. A singular map gives non-finite entries."""
    chex.assert_shape(matrix, (2, 3))
    (a, b, x), (c, d, y) = matrix
    determinant = a * d - b * c
    first = jnp.stack([d, -b, b * y - d * x])
    second = jnp.stack([-c, a, c * x - a * y])
    return jnp.stack([first, second]) / determinant


def matrix_to_layout(matrix: Array) -> Array:
    """[2, 3] similarity -> [4] layout with a positive scale; the inverse of `layout_to_matrix` there."""
    chex.assert_shape(matrix, (2, 3))
    scale = jnp.sqrt(matrix[0, 0] ** 2 + matrix[1, 0] ** 2)
    angle = jnp.arctan2(matrix[1, 0], matrix[0, 0])
    return jnp.stack([matrix[0, 2], matrix[1, 2], scale, angle])


def transform(matrix: Array, points: Array) -> Array:
    """Applies a [2, 3] affine map to [..., 2] points of the signed square."""
    chex.assert_shape(matrix, (2, 3))
    moved = jnp.matmul(points, matrix[:, :2].T, precision=lax.Precision.HIGHEST)
    return moved + jnp.broadcast_to(matrix[:, 2], moved.shape)


def place_points(matrix: Array, points: Array) -> Array:
    """Applies a [2, 3] map of the signed square to [..., 2] points of the unit square (method.md 3.8)."""
    return frames.signed_to_unit(transform(matrix, frames.unit_to_signed(points)))
