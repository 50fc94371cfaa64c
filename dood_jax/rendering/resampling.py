"""Pictures as rows and columns: resized, blurred, projected by a matrix along either side."""

from collections.abc import Sequence

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
