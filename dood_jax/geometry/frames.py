"""Coordinate frames, defined once.

* unit square: points on a canvas or in a stroke's own frame, x right, y down, 0..1;
* signed square: the same area as -1..1, where layouts act (method.md 3.6);
* pen pixels: where the rasteriser puts pixel i, at i/n of the unit square (method.md 3.9);
* glimpse pixels: where the spatial transformer puts pixel i, first and last on -1 and +1 (method.md 3.7).

The last two differ by up to one pixel, as published.
"""

import numpy as np

from dood_jax.types import Array


def unit_to_signed(points: Array) -> Array:
    """Maps coordinates from 0..1 to -1..1, any shape."""
    return 2 * points - 1


def signed_to_unit(points: Array) -> Array:
    """Maps coordinates from -1..1 to 0..1, any shape."""
    return (points + 1) / 2


def signed_to_glimpse_pixel(positions: Array, size: int) -> Array:
    """Fractional pixel index of signed-square positions in a picture of `size` pixels (method.md 3.7)."""
    return (positions + 1) / 2 * (size - 1)


def pen_pixels(size: int) -> np.ndarray:
    """[size] unit-square position of each row or column for the rasteriser (method.md 3.9)."""
    return np.arange(size) / size


def glimpse_pixels(height: int, width: int) -> np.ndarray:
    """[height, width, 2] signed-square (x, y) of each pixel for the spatial transformer (method.md 3.7)."""
    x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in (width, height)))
    return np.stack([x, y], axis=-1)
