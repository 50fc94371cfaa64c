"""Grey values to ink: paper found and taken away, whichever of the two is darker.

Paper is what most of a neighbourhood is. Ink is a share of the paper's light, so that a shadow across a
photograph changes neither; what lies within the noise of the paper is paper.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from dood_jax.errors import BadInput

_COARSE_SIDE = 96  # the paper is looked for in an image of this size
_NEIGHBOURHOOD = 0.3  # of the coarse image's longer side, over which the paper is a median
_LEAST_CONTRAST = 0.04  # of ink against paper
_LEAST_SIGNAL = 4.0  # contrast against noise


class Page(NamedTuple):
    """The ink of an image."""

    ink: np.ndarray  # float32 [H, W], 0..1
    noise: float  # standard deviation of the paper's ink


def to_page(grey: np.ndarray) -> Page:
    """Float [H, W] grey values, NaN where nothing was painted -> ink.

    Raises BadInput if nothing stands out from the paper.
    """
    painted = np.isfinite(grey)
    if not painted.any():
        raise BadInput("nothing is drawn: all of it is transparent")
    if painted.all():
        relief = _relief(grey)
    else:
        outside = 0.0 if grey[painted].mean() > 0.5 else 1.0
        relief = np.abs(np.where(painted, grey, outside) - np.float32(outside))
    noise = _noise(relief)
    level = _ink_level(relief, noise)
    floor = min(1.5 * noise, 0.25 * level)
    ink = np.clip((relief - floor) / (level - floor), 0, 1).astype(np.float32)
    return Page(ink, noise / level)


def _relief(grey: np.ndarray) -> np.ndarray:
    """[H, W] how far each pixel is from the paper, towards the ink, as a share of what is possible."""
    paper = _paper(grey)
    difference = grey - paper
    ink_is_dark = float((difference.astype(np.float64) ** 3).sum()) <= 0
    room = paper if ink_is_dark else 1 - paper
    return (-difference if ink_is_dark else difference) / np.maximum(room, 0.1)


def _paper(grey: np.ndarray) -> np.ndarray:
    """[H, W] of the paper alone: medians of large neighbourhoods, corrected once without the ink."""
    height, width = grey.shape
    border = np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    level = float(np.median(border))
    spread = float(np.median(np.abs(border - level)))
    if spread < 0.02 or max(height, width) < _COARSE_SIDE // 2:  # evenly lit, or too small to tell
        return np.full_like(grey, level)
    shrink = min(1.0, _COARSE_SIDE / max(height, width))
    size = tuple(max(3, round(side * shrink)) for side in (width, height))
    coarse = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BOX))
    window = max(3, round(_NEIGHBOURHOOD * max(coarse.shape)) | 1)
    first = ndimage.median_filter(coarse, size=window, mode="nearest")
    off = np.abs(coarse - first)
    is_paper = off <= 3 * np.median(off) + 0.01
    weight = ndimage.gaussian_filter(is_paper.astype(np.float32), window / 8, mode="nearest")
    mean = ndimage.gaussian_filter(np.where(is_paper, coarse, 0), window / 8, mode="nearest")
    smooth = np.where(weight > 0.05, mean / np.maximum(weight, 0.05), first).astype(np.float32)
    return np.asarray(Image.fromarray(smooth).resize((width, height), Image.Resampling.BICUBIC))


def _noise(relief: np.ndarray) -> float:
    """Standard deviation of the paper's relief, from the median of its differences between neighbours."""
    steps = np.abs(np.diff(relief, axis=1))
    return float(np.median(steps)) / 0.954  # median of |difference| of two normal numbers


def _ink_level(relief: np.ndarray, noise: float) -> float:
    """The relief of full ink: what all but a few of its pixels reach."""
    least = max(_LEAST_CONTRAST, _LEAST_SIGNAL * noise)
    few = np.clip(relief.size / 100, 3, 12)  # pixels that make a mark
    top = float(np.quantile(relief, 1 - min(0.3, few / relief.size)))
    if top < least:
        raise BadInput(f"nothing is drawn: the strongest mark has a contrast of {max(top, 0):.3f}")
    marks = relief[relief > max(0.35 * top, least * 0.6)]
    return max(float(np.quantile(marks, 0.95)) - 1.6 * noise, 0.5 * top)  # 5 % of noise lie 1.6 sigma above
