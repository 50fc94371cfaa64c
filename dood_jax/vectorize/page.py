"""From an image to the marks on its paper: what is ink, how wide the pen is, and the mask that is traced.

Ink is separated from paper, whichever of the two is darker. Paper is what most of a neighbourhood consists
of. Ink is measured as a fraction of the paper's light, so that a shadow across a photograph changes neither
of them. What lies within the noise of the paper is paper.

Then the pen is measured, and the mask of its marks is made at the scale at which lines are looked for.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage
from skimage.morphology import skeletonize

from dood_jax.errors import BadInput

_COARSE_SIDE = 96  # pixels of the longer side of the small image in which the paper is estimated
_NEIGHBOURHOOD = 0.3  # of that side: the window over which the paper is a median
_LEAST_CONTRAST = 0.04  # of ink against paper
_LEAST_SIGNAL = 4.0  # times the noise that ink must stand out


class Page(NamedTuple):
    """The ink of one image."""

    ink: np.ndarray  # float32 [H, W], 0..1
    noise: float  # standard deviation of the ink where there is only paper


def remove_background(grey: np.ndarray) -> Page:
    """Turns grey values into ink.

    Args:
      grey: float [H, W] in 0..1, NaN where nothing was painted.

    Raises:
      BadInput: nothing stands out from the paper.
    """
    painted = np.isfinite(grey)
    if not painted.any():
        raise BadInput("nothing is drawn: all of it is transparent")
    if painted.all():
        contrast = _contrast(grey)
    else:  # the paper is transparent, and the opposite of what was painted
        paper = np.float32(0.0 if grey[painted].mean() > 0.5 else 1.0)
        contrast = np.abs(np.where(painted, grey, paper) - paper)
    noise = _noise(contrast)
    level = _ink_level(contrast, noise)
    floor = min(1.5 * noise, 0.25 * level)
    ink = np.clip((contrast - floor) / (level - floor), 0, 1).astype(np.float32)
    return Page(ink, noise / level)


def _contrast(grey: np.ndarray) -> np.ndarray:
    """[H, W] distance of each pixel from the paper towards the ink, as a fraction of what is possible."""
    paper = _paper(grey)
    difference = grey - paper
    # Strong marks decide the sign of the third moment, and the many faint ones of the paper hardly count.
    ink_is_dark = float((difference.astype(np.float64) ** 3).sum()) <= 0
    room = paper if ink_is_dark else 1 - paper
    return (-difference if ink_is_dark else difference) / np.maximum(room, 0.1)


def _paper(grey: np.ndarray) -> np.ndarray:
    """[H, W] grey values of the paper alone.

    It is the median of large neighbourhoods, then a smooth mean of those pixels that are near that median.
    """
    height, width = grey.shape
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    level = float(np.median(border))
    spread = float(np.median(np.abs(border - level)))
    if spread < 0.02 or max(height, width) < _COARSE_SIDE // 2:  # evenly lit, or too small to tell
        return np.full_like(grey, level)
    shrink = min(1.0, _COARSE_SIDE / max(height, width))
    size = (max(3, round(width * shrink)), max(3, round(height * shrink)))
    coarse = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
    window = max(3, round(_NEIGHBOURHOOD * max(coarse.shape)) | 1)
    median = ndimage.median_filter(coarse, size=window, mode="nearest")
    deviation = np.abs(coarse - median)
    is_paper = deviation <= 3 * np.median(deviation) + 0.01
    weight = ndimage.gaussian_filter(is_paper.astype(np.float32), window / 8, mode="nearest")
    mean = ndimage.gaussian_filter(np.where(is_paper, coarse, 0), window / 8, mode="nearest")
    smooth = np.where(weight > 0.05, mean / np.maximum(weight, 0.05), median).astype(np.float32)
    return np.asarray(Image.fromarray(smooth).resize((width, height), Image.Resampling.BICUBIC))


def _noise(contrast: np.ndarray) -> float:
    """Standard deviation of the paper, from the median difference between neighbouring pixels."""
    steps = np.abs(np.diff(contrast, axis=1))
    return float(np.median(steps)) / 0.954  # median |difference| of two normal variables of deviation 1


def _ink_level(contrast: np.ndarray, noise: float) -> float:
    """The contrast of full ink, which few pixels of the marks exceed."""
    least = max(_LEAST_CONTRAST, _LEAST_SIGNAL * noise)
    few = np.clip(contrast.size / 100, 3, 12)  # pixels that make a mark
    top = float(np.quantile(contrast, 1 - min(0.3, few / contrast.size)))
    if top < least:
        raise BadInput(f"nothing is drawn: the strongest mark has a contrast of {max(top, 0):.3f}")
    marks = contrast[contrast > max(0.35 * top, least * 0.6)]
    # Noise lifts 5 % of the pixels by more than 1.6 of its standard deviations.
    return max(float(np.quantile(marks, 0.95)) - 1.6 * noise, 0.5 * top)


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
