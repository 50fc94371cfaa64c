"""Filled areas among lines: eyes, heads of notes and arrows, filled boxes.

An area is a blob far thicker than the lines of the page. Three things are as thick and yet no areas: a thick
line, which is long; the pressed part of a brush stroke, which goes on nearly as thick; and everything on a
page where all lines are thick.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dood_jax.vectorize.pixels import extremes

_THICKER = 2.5  # times the radius of the page's lines
_LEAST_RADIUS = 3.0  # pixels of the mask
_LONG = 2.5  # a line is longer than so many of its widths
_NECK = 0.5  # of its radius: what joins an area is thinner
_CORNER = 1.0  # of its radius: what juts out less is a corner of the area,
_TAPER = 0.5  # and so is a spike, whose last third is thinner than this fraction of it
_WITHIN, _ROUND = 0.8, 0.65  # of a dot's area lies in a disc that is as large; least ratio of its axes
_EIGHT = np.ones((3, 3), bool)


class Area(NamedTuple):
    """A filled area, in pixels (x, y) of the mask; pixel (0, 0) covers 0..1 both ways."""

    outline: np.ndarray  # float [n, 2], closed: the last point is the first
    centre: np.ndarray  # float [2]
    diameter: float  # of a disc that is as large
    is_dot: bool  # it is round, so that centre and diameter say all of it


def split(mask: np.ndarray, radius: np.ndarray) -> tuple[np.ndarray, list[Area]]:
    """Takes the filled areas out of the marks of a page.

    Args:
      mask: bool [h, w] of ink.
      radius: float [h, w] distance to the nearest paper.

    Returns:
      The mask without the areas, and the areas.
    """
    thick = max(_THICKER * line_radius(radius), _LEAST_RADIUS)
    labels, count = ndimage.label(radius > thick, _EIGHT)
    lines, areas = mask.copy(), []
    for index, box in enumerate(ndimage.find_objects(labels, count), start=1):
        reach = int(3 * radius[box].max()) + 2
        window = tuple(slice(max(part.start - reach, 0), part.stop + reach) for part in box)
        core = labels[window] == index
        blob = _blob(core, lines[window], radius[window], thick)
        if blob is not None:
            lines[window] &= ~blob
            areas.append(_area(blob, np.array([window[1].start, window[0].start], float)))
    return lines, areas


def line_radius(radius: np.ndarray) -> float:
    """The typical radius of lines: the median along their middles; 0 if there is no ink."""
    middle = (radius > 0.5) & (radius >= extremes(radius, 3) - 1e-3)
    return float(np.median(radius[middle])) if middle.any() else 0.0


def _blob(core: np.ndarray, mask: np.ndarray, radius: np.ndarray, thick: float) -> np.ndarray | None:
    """Bool [h, w] the area around a thick core, or None if it is no area but part of a line."""
    largest = float(radius[core].max())
    blob = mask & (ndimage.distance_transform_edt(~core) < thick + 0.5)
    if (
        not blob.any() or blob.sum() > _LONG * (2 * largest) ** 2
    ):  # none is left if it belonged to another area
        return None
    rim = ndimage.binary_dilation(blob, _EIGHT) & mask & ~blob
    labels, count = ndimage.label(mask & ~blob, _EIGHT)
    distance = ndimage.distance_transform_edt(~blob)
    for index in range(1, count + 1):
        part = labels == index
        if not (part & rim).any():
            continue
        extent = float(distance[part].max())
        tip = float(radius[part & (distance > extent * 2 / 3)].max())
        if extent <= _CORNER * largest or tip < _TAPER * float(radius[part].max()):
            blob |= part
        elif float(radius[part & rim].max()) > _NECK * largest:
            return None
    return blob


def _area(blob: np.ndarray, offset: np.ndarray) -> Area:
    """Measures an area in a window that begins at `offset`, (x, y)."""
    from skimage.measure import find_contours  # noqa: PLC0415 - takes long, and few pages have areas

    filled = ndimage.binary_fill_holes(blob)
    contours = find_contours(np.pad(filled, 1).astype(float), 0.5)
    outline = max(contours, key=len)[:, ::-1] - 0.5 + offset
    places = np.argwhere(filled)[:, ::-1] + 0.5
    centre = places.mean(axis=0)
    diameter = 2 * float(np.sqrt(len(places) / np.pi))
    inside = float((np.linalg.norm(places - centre, axis=1) <= diameter / 2 + 0.5).mean())
    axes = np.sqrt(np.linalg.eigvalsh(np.cov(places.T)))
    return Area(outline, centre + offset, diameter, bool(inside > _WITHIN and axes[0] > _ROUND * axes[1]))
