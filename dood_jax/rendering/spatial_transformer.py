"""Bilinear windows on images (method.md 3.7)."""

import chex
import jax
import jax.numpy as jnp
from jax import lax

from dood_jax import geometry
from dood_jax.types import Array


def warp(images: Array, matrix: Array, size: tuple[int, int]) -> Array:
    """Reads images at the affine image of a regular grid; outside an image is zero (method.md 3.7).

    Args:
      images: [C, H, W], read at the same places.
      matrix: [2, 3] from the grid's signed square to the images'.
      size: (rows, columns) of the result.

    Returns:
      [C, rows, columns], differentiable in images and matrix.
    """
    chex.assert_rank(images, 3)
    height, width = images.shape[1:]
    grid = geometry.glimpse_pixels(*size).astype(matrix.dtype)
    places = geometry.transform(matrix, jnp.asarray(grid.reshape(-1, 2)))
    column, column_part = _cell(places[:, 0], width)
    row, row_part = _cell(places[:, 1], height)
    stride = width + 3
    index = (row + 1) * stride + column + 1

    def read(image):
        framed = jnp.pad(image, ((1, 2), (1, 2))).reshape(-1)
        upper = _mix(framed[index], framed[index + 1], column_part)
        lower = _mix(framed[index + stride], framed[index + stride + 1], column_part)
        return _mix(upper, lower, row_part).reshape(size)

    return jnp.stack([read(image) for image in images])


@jax.named_scope("glimpse")
def glimpse(images: Array, layout: Array, size: tuple[int, int]) -> Array:
    """The window of [C, H, W] images that a [4] layout frames, with gradient to the layout only."""
    return warp(lax.stop_gradient(images), geometry.layout_to_matrix(layout), size)


def _cell(positions: Array, size: int) -> tuple[Array, Array]:
    """Index of the pixel before each position, from -1 to `size`, and the part of the way to the next."""
    place = jnp.clip(geometry.signed_to_glimpse_pixel(positions, size), -1, size)
    before = lax.stop_gradient(jnp.floor(place))
    return before.astype(jnp.int32), place - before


def _mix(first: Array, second: Array, part: Array) -> Array:
    return first + part * (second - first)
