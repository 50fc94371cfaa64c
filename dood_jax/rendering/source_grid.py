"""The grid that an image was made on before it was enlarged, and resampling by matrices (method.md 4.1).

Pictures as rows and columns: resized, blurred, projected by a matrix along either side.

How a picture was recorded: most sets hold pictures of fewer pixels, enlarged (method.md 4.1).

Such a picture lies among those that an enlargement can give, and no drawing of sharper edges comes close to
it. So the grid it was recorded on is part of the observation: a canvas is compared with the picture as that
grid would hold it.
"""

import functools
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax.types import Array


def bilinear(before: int, after: int) -> np.ndarray:
    """[before, after] float32 weights of an antialiased bilinear resize of a line of pixels."""
    ratio = before / after
    centres = (np.arange(after) + 0.5) * ratio - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(before)[:, None] - centres) / max(ratio, 1.0))
    return (weights / weights.sum(0)).astype(np.float32)


def through(picture: Array, matrices: Sequence[np.ndarray]) -> Array:
    """[..., H, W] multiplied along rows and columns in turn, by matrices for H, for W, for H and so on.

    Matrices are [from, to]. Each product runs over the last axis but one and puts the axis it makes last: one
    large product, whatever the leading axes.
    """
    for matrix in matrices:
        over = (((picture.ndim - 2,), (0,)), ((), ()))
        picture = lax.dot_general(picture, matrix, over, precision=lax.Precision.HIGHEST)
    return picture


ROUNDING = 0.5 / 255  # mean over pixels by which an enlarged picture may be off


def as_recorded(native_size: int, image: Array, canvas: Array) -> Array:
    """[..., H, H] canvases on the grid of a [H, H] picture; if it was not enlarged, as they are.

    Else the enlarged picture, of `native_size` pixels a side, that is nearest to the canvas, clipped to 0..1.
    A canvas may be [1, 1], one pixel for all: a blank one.
    """
    if not may_be_enlarged(native_size, len(image)) or canvas.shape[-1] == 1:
        return canvas
    recorded = jnp.clip(nearest_enlarged(native_size, canvas), 0, 1)
    return jnp.where(was_enlarged(native_size, image), recorded, canvas)


def recorded_anew(native_size: int, like: Array, picture: Array) -> Array:
    """[H, H] picture on the grid that another was recorded on; if that was not enlarged, as it is.

    Else the enlarged picture, of `native_size` pixels a side in 0..1, that it comes to: unlike `as_recorded`
    one that `was_enlarged` to the last bit.
    """
    if not may_be_enlarged(native_size, len(picture)):
        return picture
    shrink = _shrinking(len(picture), native_size).astype(np.float32)
    enlarge = bilinear(native_size, len(picture))
    pixels = jnp.clip(through(picture, [shrink, shrink]), 0, 1)
    return jnp.where(was_enlarged(native_size, like), through(pixels, [enlarge, enlarge]), picture)


def may_be_enlarged(native_size: int, size: int) -> bool:
    """Whether pictures of `size` pixels a side may have been enlarged from so many; 0: none was."""
    return 0 < native_size < size


def was_enlarged(native_size: int, image: Array) -> Array:
    """[] whether a [H, H] picture is, but for rounding, one of `native_size` pixels a side, enlarged."""
    off = jnp.abs(image - nearest_enlarged(native_size, image)).mean()
    return lax.stop_gradient(off < ROUNDING)


def nearest_enlarged(native_size: int, picture: Array) -> Array:
    """[..., H, H] the least squares projection of pictures onto enlarged ones."""
    projection = _projection(picture.shape[-1], native_size)
    return through(picture, [projection, projection])


@functools.lru_cache
def _projection(size: int, native_size: int) -> np.ndarray:
    """[size, size] of a line of pixels onto enlarged ones; symmetric."""
    return (_shrinking(size, native_size) @ bilinear(native_size, size)).astype(np.float32)


@functools.lru_cache
def _shrinking(size: int, native_size: int) -> np.ndarray:
    """[size, native_size] float64 of a line of pixels to those whose enlargement is nearest to it."""
    return np.linalg.pinv(bilinear(native_size, size).astype(float))
