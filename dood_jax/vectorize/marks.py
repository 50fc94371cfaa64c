"""The marks of a page: how wide its pens are, and the mask in which lines are looked for."""

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.morphology import skeletonize

from dood_jax.errors import BadInput
from dood_jax.vectorize.pixels import depths

_PEN_IN_PIXELS = 7.0  # of the mask: wide enough for a smooth middle line, narrow enough to be quick
_LARGEST_FACTOR = 5.0  # by which a page is enlarged
_MOST_PIXELS = 16_000_000  # of a mask
_LEAST_MARK = 0.08  # a mark smaller than this fraction of a dot of the pen is a speck,
_LEAST_MARK_IN_NOISE = 0.3  # or than this fraction on paper with as much noise as `_STRONG_NOISE`
_STRONG_NOISE = 0.1
_NOISY, _LEAST_AREA = 0.05, 10  # on paper with more noise, marks of fewer pixels are specks
_SHADE, _FEW_SHADES = 0.1, 0.1  # least distance of a shade from none and all; shades for a pixel of edge
_PINHOLE = 0.1  # paper within ink that is smaller than this fraction of a square of the pen is ink
_FINE, _THIN = 0.1, 0.6  # a pen of this quantile counts if it is thinner than this fraction of the median


class Marks(NamedTuple):
    """Which pixels are ink, at a scale of its own."""

    mask: np.ndarray  # bool [h, w]
    middle: np.ndarray  # bool [h, w] lines of one pixel, which thinning leaves of the mask
    distance: np.ndarray  # float32 [h, w] to the nearest paper, in pixels of the mask
    radius: np.ndarray  # float32 [h, w] half the width of the ink at its middle line, in pixels of the mask
    factor: float  # pixels of the mask for one pixel of the page
    pen_width: float  # full width of the typical pen, in pixels of the page
    thin_width: float  # that of the thinnest pen of the page
    ragged: float = 0.0  # pixels of the page by which the edges of the ink may be ragged

    def widths_at(self, points: np.ndarray) -> np.ndarray:
        """[n] full width of the ink at [n, 2] points, all in pixels of the page."""
        height, width = self.radius.shape
        columns, rows = np.floor(points * self.factor).astype(int).T
        return 2 * self.radius[rows.clip(0, height - 1), columns.clip(0, width - 1)] / self.factor


def find_marks(ink: np.ndarray, noise: float) -> Marks:
    """Finds the marks of a page and the widths of its pens.

    The mask has a scale at which the thinnest pen is `_PEN_IN_PIXELS` wide, as far as memory allows.

    Args:
      ink: float32 [H, W], 0..1.
      noise: standard deviation of the paper.

    Raises:
      BadInput: there are only specks.
    """
    if noise > _NOISY:
        ink = _without_noise(ink)
    if ink.max() <= 0:
        raise BadInput("nothing is drawn: no mark is larger than a speck")
    width = _rough_width(ink)
    factor = _factor(ink.shape, width)
    marks = _marks_at(ink, factor, width, noise)
    better = _factor(ink.shape, marks.thin_width)
    if not 0.75 < better / factor < 1.33:
        marks = _marks_at(ink, better, marks.thin_width, noise)  # widths are better at the right scale
    return marks._replace(ragged=_ragged(ink))


def _ragged(ink: np.ndarray) -> float:
    """Pixels by which edges are ragged: one where ink is all or nothing, none where edges are shaded."""
    shaded = (ink > _SHADE) & (ink < 1 - _SHADE)
    edge = (ink > 0.5) & ~ndimage.binary_erosion(ink > 0.5)
    return float(shaded.sum() < _FEW_SHADES * edge.sum())


def _without_noise(ink: np.ndarray) -> np.ndarray:
    """Ink without the clusters of noise, which are far smaller than a dot of the typical pen."""
    mask = ink > 0.5
    kept = _without_specks(mask, _LEAST_AREA)
    line = skeletonize(kept)
    if line.any():
        radius = float(np.median(depths(kept)[line]))
        kept = _without_specks(kept, _LEAST_MARK_IN_NOISE * np.pi * radius**2)
    return np.where(mask & ~kept, 0, ink).astype(np.float32)


def marks_of(mask: np.ndarray, factor: float) -> Marks:
    """Measures the pens of a mask.

    Args:
      mask: bool [h, w], not empty.
      factor: pixels of the mask for one pixel of the page.
    """
    distance = depths(mask)
    radius = _ridge_radius(distance)
    middle = skeletonize(mask)
    widths = 2 * radius[middle] / factor
    fine, typical = (max(float(np.quantile(widths, level)), 0.5) for level in (_FINE, 0.5))
    return Marks(mask, middle, distance, radius, factor, typical, fine if fine < _THIN * typical else typical)


def _ridge_radius(distance: np.ndarray) -> np.ndarray:
    """Float32 [h, w] half the width of the ink, where a pixel lies on or beside a middle line.

    The distance from the paper rises to the middle line and falls behind it, so that across the line the
    mean of it at two pixels n steps apart on either side, plus n, is the height of the ridge, wherever
    between pixels the ridge lies. Along the line this mean is larger, so the least of four directions is
    taken.
    """
    height, width = distance.shape
    padded = np.pad(distance, 1)
    shifted = lambda y, x: padded[1 + y : 1 + y + height, 1 + x : 1 + x + width]
    across = ((0, 1), (1, 0), (1, 1), (1, -1))
    ridges = ((shifted(y, x) + shifted(-y, -x)) / 2 + np.float32(np.hypot(y, x)) for y, x in across)
    return np.maximum(functools.reduce(np.minimum, ridges) - np.float32(0.5), np.float32(0.5))


def resample(ink: np.ndarray, factor: float) -> np.ndarray:
    """Scales [H, W] ink to [round(H factor), round(W factor)]; the areas of pixels stay aligned."""
    if factor == 1:
        return ink
    height, width = ink.shape
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    kind = Image.Resampling.BICUBIC if factor > 1 else Image.Resampling.BOX
    return np.asarray(Image.fromarray(ink).resize(size, kind))


def _marks_at(ink: np.ndarray, factor: float, width: float, noise: float) -> Marks:
    mask = _mask(ink, factor, width, noise)
    least = np.interp(noise, [0, _STRONG_NOISE], [_LEAST_MARK, _LEAST_MARK_IN_NOISE])
    mask = _without_specks(mask, least * np.pi / 4 * (width * factor) ** 2)
    if not mask.any():
        raise BadInput("nothing is drawn: no mark is larger than a speck")
    return marks_of(_without_pinholes(mask, _PINHOLE * (width * factor) ** 2), factor)


def _rough_width(ink: np.ndarray) -> float:
    """The width of the thinnest pen in pixels, measured without changing the scale.

    Thinning leaves single pixels of dots; the width of a page of dots is that of a disc of their area.
    """
    mask = ink > 0.5
    if not mask.any():
        mask = ink > 0.5 * ink.max()
    line = skeletonize(mask)
    by_area = float(ink[mask].sum() / max(line.sum(), 1))
    _, count = ndimage.label(mask, np.ones((3, 3)))
    if line.sum() < 3 * count:
        return max(float(np.sqrt(4 / np.pi * ink[mask].sum() / count)), 0.7)
    widths = 2 * _ridge_radius(depths(mask))[line]
    fine, typical = np.quantile(widths, [_FINE, 0.5])
    return max(by_area if fine > _THIN * typical else min(by_area, float(fine)), 0.7)


def _factor(shape: tuple[int, ...], width: float) -> float:
    """The scale at which a pen of some width has its best width in pixels, as far as memory allows."""
    most = (_MOST_PIXELS / (shape[0] * shape[1])) ** 0.5
    return float(min(_PEN_IN_PIXELS / width, _LARGEST_FACTOR, max(most, 0.05)))


def _mask(ink: np.ndarray, factor: float, width: float, noise: float) -> np.ndarray:
    """Bool [h, w] where smoothed ink is above a half, or less if the pen is too thin to fill a pixel."""
    large = resample(ink, factor)
    blur = width * factor * (0.12 + min(noise, 0.25))
    large = ndimage.gaussian_filter(large, blur)
    return large > np.interp(width, [1.2, 3], [0.33, 0.47])


def _without_pinholes(mask: np.ndarray, most_area: float) -> np.ndarray:
    """The mask with its smallest holes filled; two lines that meet at a narrow angle leave such holes."""
    labels, count = ndimage.label(~mask)  # paper is joined by sides alone, as ink is by corners too
    is_small = np.bincount(labels.ravel(), minlength=count + 1) < most_area
    is_small[0] = False  # label 0 is the ink
    return mask | is_small[labels]


def _without_specks(mask: np.ndarray, least_area: float) -> np.ndarray:
    """The mask without connected parts of a smaller area than `least_area`."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    keep = areas >= least_area
    keep[0] = False  # label 0 is the paper
    return keep[labels]
