"""The marks of a page: how wide the pen is, and the mask in which lines are looked for."""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.morphology import skeletonize

from dood_jax.errors import BadInput

_PEN_IN_PIXELS = 6.0  # of the mask: wide enough for a smooth middle line, narrow enough to be quick
_LARGEST_FACTOR = 5.0  # by which a page is enlarged
_MOST_PIXELS = 16_000_000  # of a mask
_LEAST_MARK = 0.3  # a mark smaller than this fraction of a dot of the pen is a speck


class Marks(NamedTuple):
    """Which pixels are ink, at a scale of its own."""

    mask: np.ndarray  # bool [h, w]
    radius: np.ndarray  # float32 [h, w] distance to the nearest paper, in pixels of the mask
    factor: float  # pixels of the mask for one pixel of the page
    pen_width: float  # full width of the typical pen, in pixels of the page

    def radii_at(self, points: np.ndarray) -> np.ndarray:
        """[n] radius of the ink, in pixels of the mask, at [n, 2] points of the page."""
        height, width = self.radius.shape
        columns, rows = np.floor(points * self.factor).astype(int).T
        return self.radius[rows.clip(0, height - 1), columns.clip(0, width - 1)]


def find_marks(ink: np.ndarray, noise: float) -> Marks:
    """Finds the marks of a page and the width of its pen.

    Args:
      ink: float32 [H, W], 0..1.
      noise: standard deviation of the paper.

    Raises:
      BadInput: there are only specks.
    """
    width = _rough_width(ink)
    factor = _factor(ink.shape, width)
    marks = _marks_at(ink, factor, width, noise)
    better = _factor(ink.shape, marks.pen_width)
    if 0.75 < better / factor < 1.33:
        return marks
    return _marks_at(ink, better, marks.pen_width, noise)  # the width is measured better at the right scale


def marks_of(mask: np.ndarray, factor: float) -> Marks:
    """Measures the pen of a mask.

    Args:
      mask: bool [h, w], not empty.
      factor: pixels of the mask for one pixel of the page.
    """
    radius = ndimage.distance_transform_edt(mask).astype(np.float32)
    middle = radius[skeletonize(mask)]
    pen_width = 2 * (float(np.median(middle)) - 0.5) / factor
    return Marks(mask, radius, factor, max(pen_width, 0.5))


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
    mask = _without_specks(mask, _LEAST_MARK * np.pi / 4 * (width * factor) ** 2)
    if not mask.any():
        raise BadInput("nothing is drawn: no mark is larger than a speck")
    return marks_of(mask, factor)


def _rough_width(ink: np.ndarray) -> float:
    """Area of the ink divided by the length of its middle line, in pixels."""
    mask = ink > 0.5
    if not mask.any():
        mask = ink > 0.5 * ink.max()
    return float(max(ink[mask].sum() / max(skeletonize(mask).sum(), 1), 0.7))


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


def _without_specks(mask: np.ndarray, least_area: float) -> np.ndarray:
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    keep = areas >= least_area
    keep[0] = False  # label 0 is the paper
    return keep[labels]
