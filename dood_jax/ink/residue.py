"""Ink that the strokes found so far leave unexplained, where it is large enough to be a stroke."""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from dood_jax.ink import curves
from dood_jax.ink.refining import Line

_EDGE = 0.5  # pixels beside a stroke that are still its ink
_WIDEST = 0.8  # of the pen, that what is left must reach somewhere; its area must be a dot's
_STEP = 0.5  # pixels between the points that stand for a stroke


def left(ink: np.ndarray, lines: list[Line], pen_width: float) -> np.ndarray | None:
    """[H, W] ink -> that of its marks which no line runs through, elsewhere 0; None if there are none."""
    rows, columns = np.nonzero(ink > 0.5)
    runs = [curves.sample(line.control_points, 8) for line in lines]
    dense = [curves.evenly(run, int(curves.length(run) / _STEP) + 1) for run in runs]
    reach = np.repeat([line.width / 2 + _EDGE for line in lines], [len(points) for points in dense])
    places = np.stack([columns, rows], axis=1) + np.float32(0.5)
    distance, nearest = cKDTree(np.concatenate(dense)).query(places)
    outside = distance > reach[nearest]
    rest = np.zeros(ink.shape, bool)
    rest[rows[outside], columns[outside]] = True
    rest = _large(rest, pen_width)
    return np.where(ndimage.binary_dilation(rest), ink, 0) if rest.any() else None


def _large(mask: np.ndarray, pen_width: float) -> np.ndarray:
    """The marks that hold most of the pen's disc and are no smaller than it."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    large = np.zeros_like(mask)
    for index, window in enumerate(ndimage.find_objects(labels, count), start=1):
        mark = labels[window] == index
        if mark.sum() < np.pi / 4 * pen_width**2:
            continue
        widest = 2 * ndimage.distance_transform_edt(np.pad(mark, 1)).max()
        if widest >= _WIDEST * pen_width:
            large[window] |= mark
    return large
