"""Coordinate frames, layouts as affine maps, and Bézier curves: pure functions of one example.

* unit square: points on a canvas or in a stroke's own frame, x right, y down, 0..1;
* signed square: the same area as -1..1, where layouts act (method.md 3.6);
* brush pixels: where the rasteriser puts pixel i, at i/n of the unit square (method.md 3.9);
* glimpse pixels: where the spatial transformer puts pixel i, first and last on -1 and +1 (method.md 3.7).

The last two differ by up to one pixel, as published. A layout is an affine map of the signed square that
rotates, then scales, then translates (method.md 3.6, 3.8).
"""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax.types import Array

IDENTITY_LAYOUT = np.array([0, 0, 1, 0], np.float32)  # the layout whose frame is the canvas


def unit_to_signed(points: Array | np.ndarray) -> Array:
    """Maps coordinates from 0..1 to -1..1, any shape."""
    return 2 * jnp.asarray(points) - 1


def signed_to_unit(points: Array) -> Array:
    """Maps coordinates from -1..1 to 0..1, any shape."""
    return (points + 1) / 2


def signed_to_glimpse_pixel(positions: Array, size: int) -> Array:
    """Fractional pixel index of signed-square positions in an image of `size` pixels (method.md 3.7)."""
    return (positions + 1) / 2 * (size - 1)


def brush_pixels(size: int) -> np.ndarray:
    """[size] unit-square position of each row or column for the rasteriser (method.md 3.9)."""
    return np.arange(size) / size


def glimpse_pixels(height: int, width: int) -> np.ndarray:
    """[height, width, 2] signed-square (x, y) of each pixel for the spatial transformer (method.md 3.7)."""
    x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in (width, height)))
    return np.stack([x, y], axis=-1)


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


def transform(matrix: Array, points: Array | np.ndarray) -> Array:
    """Applies a [2, 3] affine map to [..., 2] points of the signed square."""
    chex.assert_shape(matrix, (2, 3))
    moved = jnp.matmul(points, matrix[:, :2].T, precision=lax.Precision.HIGHEST)
    return moved + jnp.broadcast_to(matrix[:, 2], moved.shape)


def place_points(matrix: Array, points: Array | np.ndarray) -> Array:
    """Applies a [2, 3] map of the signed square to [..., 2] points of the unit square (method.md 3.8)."""
    return signed_to_unit(transform(matrix, unit_to_signed(points)))


def place_strokes(layout: Array, control_points: Array) -> Array:
    """[T, P, 2] points on the canvas of strokes with [T, 4] layouts and [T, P, 2] points in their frames."""
    return jax.vmap(place_points)(jax.vmap(layout_to_matrix)(layout), control_points)


def in_stroke_frames(layout: Array, points: Array) -> Array:
    """[T, P, 2] points on the canvas, in the frames of [T, 4] layouts: the inverse of `place_strokes`."""
    matrices = jax.vmap(lambda one: invert(layout_to_matrix(one)))(layout)
    return jax.vmap(place_points)(matrices, points)


@functools.lru_cache
def bernstein_basis(num_points: int, num_samples: int) -> np.ndarray:
    """[S, P] weight of each control point at u = j/(S-1).

    Powers of u fall with the point's index, as published: point 0 is reached at u = 1. Images do not
    depend on the direction.
    """
    degree = num_points - 1
    u = np.linspace(0, 1, num_samples)
    columns = [math.comb(degree, d) * u ** (degree - d) * (1 - u) ** d for d in range(num_points)]
    return np.stack(columns, axis=1)


@functools.lru_cache
def taper_basis(num_samples: int) -> np.ndarray:
    """[S, 2] weights of a value at the first and at the last control point, at u = j/(S-1).

    Between them lies the parabola that is 0 in the middle. As in `bernstein_basis` the first control point is
    reached at u = 1.
    """
    u = np.linspace(0, 1, num_samples)
    return np.stack([u * (2 * u - 1), (1 - u) * (1 - 2 * u)], axis=1)


def bezier_curve(control_points: Array, num_samples: int) -> Array:
    """[P, 2] control points -> [S, 2] points of the Bézier curve of degree P - 1 (method.md 3.9)."""
    chex.assert_shape(control_points, (None, 2))
    basis = bernstein_basis(control_points.shape[0], num_samples).astype(control_points.dtype)
    return jnp.matmul(basis, control_points, precision=lax.Precision.HIGHEST)
