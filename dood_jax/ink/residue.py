"""Ink that the strokes found so far leave unexplained, where it is large enough to be a stroke."""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from dood_jax.ink import curves, scale
from dood_jax.ink.refining import Line

_EDGE = 0.5  # pixels beside a stroke that are still its ink
_WIDEST = 0.8  # of the pen, that what is left must reach somewhere; its area must be a dot's
_STEP = 0.5  # pixels between the points that stand for a stroke


def left(ink: np.ndarray, lines: list[Line], pen_width: float, factor: float) -> scale.Marks | None:
    """The marks in [H, W] ink that no line runs through, at a scale; None if there are none."""
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
    mask = scale.resample(rest.astype(np.float32), factor) > 0.5
    return scale.marks_of(mask, factor) if mask.any() else None


def _large(mask: np.ndarray, pen_width: float) -> np.ndarray:
    """The marks that hold most of the pen's disc and are no smaller than it."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    if not count:
        return mask
    areas = np.bincount(labels.ravel())
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    widest = 2 * ndimage.maximum(depth, labels, np.arange(count + 1))
    keep = (areas >= np.pi / 4 * pen_width**2) & (widest >= _WIDEST * pen_width)
    keep[0] = False
    return keep[labels]
