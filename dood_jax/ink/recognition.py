"""What the model makes of a page: windows in which the pen is as wide as it knows, each drawn by the model.

The windows overlap by half, so that every crossing lies well inside one of them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

Recognise = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""[N, S, S] windows -> [N, T, C, 2] points along the curves, unit square, and [N, T] presence."""

_PEN_IN_PIXELS = 2.8  # of a window
_THINNEST_PEN = 1.3  # for a drawing that fits a window whole
_AT_ONCE = 512  # windows, so that large pages fit into memory
_MARGIN = 5  # pixels of paper around such a drawing


class Curves(NamedTuple):
    """What was drawn in all windows."""

    points: np.ndarray  # [M, C, 2] along each curve, in pixels of the page, in drawing order of each window
    window: np.ndarray  # [M] the window of each
    centres: np.ndarray  # [N, 2] of the windows
    side: float  # of a window, in pixels of the page


def draw(ink: np.ndarray, pen_width: float, recognise: Recognise, size: int) -> Curves:
    """The curves that the model draws in the windows of a [H, W] page; `size` is of its pictures."""
    corners, factor = _windows(ink, pen_width, size)
    side = size / factor
    crops = _crops(ink, corners, side, size)
    parts = [recognise(crops[i : i + _AT_ONCE]) for i in range(0, len(crops), _AT_ONCE)]
    curves, presence = (np.concatenate(some) for some in zip(*parts, strict=True))
    window, stroke = np.nonzero(presence)
    points = curves[window, stroke] * side + 0.5 / factor + corners[window][:, None]
    return Curves(points, window, corners + side / 2, side)


def _windows(ink: np.ndarray, pen_width: float, size: int) -> tuple[np.ndarray, float]:
    """[N, 2] upper left corners of windows in pixels of the page, and their pixels for one of it."""
    rows, columns = (np.flatnonzero((ink > 0.3).any(axis)) for axis in (1, 0))
    low = np.array([columns[0], rows[0]], float)
    high = np.array([columns[-1], rows[-1]], float) + 1
    whole = (size - 2 * _MARGIN) / (high - low).max()
    if whole * pen_width >= _THINNEST_PEN:
        factor = min(whole, _PEN_IN_PIXELS / pen_width)
        return (low + high)[None] / 2 - size / factor / 2, factor
    factor = _PEN_IN_PIXELS / pen_width
    side = size / factor
    counts = np.maximum(np.ceil((high - low) / (side / 2)).astype(int), 1)
    starts = [
        np.linspace(a - side / 4, max(b - 0.75 * side, a - side / 4), n)
        for a, b, n in zip(low, high, counts, strict=True)
    ]
    corners = np.stack(np.meshgrid(*starts), axis=-1).reshape(-1, 2)
    return corners[[_holds_ink(ink, corner, side) for corner in corners]], factor


def _holds_ink(ink: np.ndarray, corner: np.ndarray, side: float) -> bool:
    """Whether there is ink in the middle half of a window."""
    x, y = (np.maximum((corner + side / 4).astype(int), 0)).tolist()
    reach = int(np.ceil(side / 2))
    return bool((ink[y : y + reach, x : x + reach] > 0.3).any())


def _crops(ink: np.ndarray, corners: np.ndarray, side: float, size: int) -> np.ndarray:
    """[N, size, size] windows of the page, on paper beyond its edges."""
    pad = int(np.ceil(side)) + 1
    page = Image.fromarray(np.pad(ink, pad))
    crops = np.empty((len(corners), size, size), np.float32)
    for i, (x, y) in enumerate(corners + pad):
        box = (x, y, x + side, y + side)
        crops[i] = np.asarray(page.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return np.clip(crops, 0, 1)
