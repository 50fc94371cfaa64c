"""The grid that an image was made on before it was enlarged, and resampling by matrices (method.md 4.1).

Most sets hold images of fewer pixels, enlarged. Such an image is one that an enlargement can give, and no
drawing with sharper edges comes close to it. So the grid that it was made on is part of the observation: a
canvas is compared with the image as that grid would hold it. Resizing, blurring and projecting are products
with a matrix along either side of an image.
"""

import functools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax.types import Array

ROUNDING = 0.5 / 255  # mean over pixels by which an enlarged image may be off


def bilinear(before: int, after: int) -> np.ndarray:
    """[before, after] float32 weights of an antialiased bilinear resize of a line of pixels."""
    ratio = before / after
    centres = (np.arange(after) + 0.5) * ratio - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(before)[:, None] - centres) / max(ratio, 1.0))
    return (weights / weights.sum(0)).astype(np.float32)


def through(image: Array, matrices: Sequence[np.ndarray]) -> Array:
    """[..., H, W] multiplied along rows and columns in turn, by matrices for H, for W, for H and so on.

    Matrices are [from, to]. Each product runs over the last axis but one and puts the axis it makes last: one
    large product, whatever the leading axes.
    """
    for matrix in matrices:
        image = jnp.matmul(jnp.swapaxes(image, -2, -1), matrix, precision=lax.Precision.HIGHEST)
    return image


def to_source_grid(source_size: int, image: Array, canvas: Array) -> Array:
    """[..., H, H] canvases on the grid of a [H, H] image; if it was not enlarged, as they are.

    Otherwise the nearest image that was enlarged from `source_size` pixels a side, clipped to 0..1.
    A canvas may be [1, 1], one pixel for all: a blank one.
    """
    if not may_be_enlarged(source_size, len(image)) or canvas.shape[-1] == 1:
        return canvas
    on_grid = jnp.clip(nearest_enlarged(source_size, canvas), 0, 1)
    return jnp.where(was_enlarged(source_size, image), on_grid, canvas)


def onto_source_grid_of(source_size: int, like: Array, image: Array) -> Array:
    """[H, H] image on the grid that another was made on; if that was not enlarged, as it is.

    Otherwise the image shrunk to `source_size` pixels a side, clipped to 0..1 and enlarged again: unlike the
    result of `to_source_grid`, it was enlarged to the last bit.
    """
    if not may_be_enlarged(source_size, len(image)):
        return image
    shrink = _shrinking(len(image), source_size).astype(np.float32)
    enlarge = bilinear(source_size, len(image))
    pixels = jnp.clip(through(image, [shrink, shrink]), 0, 1)
    return jnp.where(was_enlarged(source_size, like), through(pixels, [enlarge, enlarge]), image)


def may_be_enlarged(source_size: int, size: int) -> bool:
    """Whether images of `size` pixels a side may have been enlarged from so many; 0: none was."""
    return 0 < source_size < size


def was_enlarged(source_size: int, image: Array) -> Array:
    """[] whether a [H, H] image is, but for rounding, one of `source_size` pixels a side, enlarged."""
    off = jnp.abs(image - nearest_enlarged(source_size, image)).mean()
    return lax.stop_gradient(off < ROUNDING)


def nearest_enlarged(source_size: int, image: Array) -> Array:
    """[..., H, H] the least squares projection of images onto enlarged ones."""
    # The projection acts on rows and columns alike, and is its own transpose.
    either_side = projection(image.shape[-1], source_size)
    return through(image, [either_side, either_side])


@functools.lru_cache
def projection(size: int, source_size: int) -> np.ndarray:
    """[size, size] of a line of pixels onto enlarged ones; symmetric."""
    return (_shrinking(size, source_size) @ bilinear(source_size, size)).astype(np.float32)


@functools.lru_cache
def _shrinking(size: int, source_size: int) -> np.ndarray:
    """[size, source_size] float64 of a line of pixels to those whose enlargement is nearest to it."""
    return np.linalg.pinv(bilinear(source_size, size).astype(float))
