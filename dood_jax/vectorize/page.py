"""From an image to its ink: what is paper and what is drawn on it.

Ink is separated from paper, whichever of the two is darker. Paper is what most of a neighbourhood consists
of. Ink is measured as a fraction of the paper's light, so that a shadow across a photograph changes neither
of them. What lies within the noise of the paper is paper.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

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
