"""From an image to its ink: what is paper and what is drawn on it.

The steps: what is transparent is filled (`_opaque`). The brightness of the paper is found (paper.py); how far
each pixel differs from it, as a fraction of what is possible, is its contrast. Printed rules are taken away
(ruled.py). Each mark is divided by its own full contrast, so that pencil beside a marker is ink as well
(levels.py). What is certainly no drawing of lines is refused, and the gaps of a pencil's grain are filled.
"""

import functools
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dood_jax.errors import BadInput
from dood_jax.vectorize import levels, ruled
from dood_jax.vectorize import paper as papers
from dood_jax.vectorize.pixels import depths, steepness

_CARD = 0.25  # of the shorter side: what is painted and holds such a square is no stroke
_MIXING_NOISE = 0.01  # variance that a mixture of colours may not amplify
_FAINTER_RULES = 0.7  # of their contrast beside ink: only then are colours mixed
_COARSE_SIDE = 480  # pixels of the longer side of the small copy in which the kind of picture is told
_MOST_BETWEEN = 0.07  # of a drawing's pixels lie between paper and ink, apart from the edges of lines,
_LEAST_PAPER = 0.65  # unless this much of it is paper
_FLAT = 0.01  # areas of even contrast are lines of a fainter pen
_SOLID = 0.3  # of the shorter side: thickness of a solid shape,
_LEAST_LENGTH = 1.8  # whose area is less than this many squares of its thickness
_ROUGH = 0.03  # of a pencil's ink is gained where gaps of a pixel are filled,
_GRAIN = 0.02  # and it has so many pinholes for each piece of a stroke that is as long as wide
_FEW_PINHOLES = 16  # may lie where lines run together
_EIGHT = np.ones((3, 3), bool)  # neighbours of a pixel


class Page(NamedTuple):
    """The ink of one image."""

    ink: np.ndarray  # float32 [H, W], 0..1; about 1 in the middle of each mark, however faint the mark is
    noise: float  # standard deviation of the ink where there is only paper
    notes: tuple[str, ...] = ()  # sentences for the user about what was left out


def remove_background(grey: np.ndarray, colour: np.ndarray | None = None) -> Page:
    """Turns an image into ink.

    Args:
      grey: float [H, W] in 0..1, NaN where nothing was painted.
      colour: uint8 [H, W, 3] the same image in colours, if it has any.

    Raises:
      BadInput: nothing stands out from the paper, or what does are no lines.
    """
    dark, bright = _lights(grey, colour)
    paper = papers.find_paper(dark, bright)
    contrast = _contrast(dark if paper.ink_is_dark else bright, paper)
    noise = papers.noise_of(contrast)
    contrast[paper.is_table] = 0
    rules = ruled.find_rules(contrast), ruled.find_rules(contrast.T)
    contrast = _without_rules(contrast, *rules, paper, colour)
    full, notes = levels.full_contrast(contrast, noise, paper.line_width)
    floor = np.minimum(1.5 * noise, 0.25 * full)
    ink = np.clip((contrast - floor) / (full - floor), 0, 1)
    ink[~np.isfinite(full)] = 0
    typical = float(np.median(full[np.isfinite(full)]))
    if max(ink.shape) > papers.TINY:
        _require_lines(contrast, ink, typical)
    ink = _without_gaps(ink.astype(np.float32), any(rules))
    return Page(ink, noise / typical, notes)


def _lights(grey: np.ndarray, colour: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Two float32 [H, W] brightnesses, where dark ink and where bright ink is seen best; see `find_paper`.

    Yellow on white is as bright as the paper in red and green, but dark in blue.
    """
    if colour is None:
        light = _opaque(grey)
        return light, light
    channels = colour[..., 0], colour[..., 1], colour[..., 2]
    extremes = (functools.reduce(extreme, channels) for extreme in (np.minimum, np.maximum))
    dark, bright = (extreme.astype(np.float32) / 255 for extreme in extremes)
    hidden = ~np.isfinite(grey)
    if not hidden.any():
        return dark, bright
    return _opaque(np.where(hidden, np.nan, dark)), _opaque(np.where(hidden, np.nan, bright))


def _opaque(grey: np.ndarray) -> np.ndarray:
    """Fills what is transparent: with paper, which is the opposite of strokes, or that of a card."""
    painted = np.isfinite(grey)
    if painted.all():
        return grey.astype(np.float32)
    if not painted.any():
        raise BadInput("nothing is drawn: all of it is transparent")
    coarse = papers.shrink(painted.astype(np.float32), 480) > 0.5
    thickness = 2 * float(depths(np.pad(coarse, 1)).max())
    values = grey[painted]
    if thickness > _CARD * min(coarse.shape) and np.ptp(np.quantile(values, [0.002, 0.998])) > 0.1:
        painted = ndimage.binary_erosion(painted, _EIGHT, border_value=1)  # its edge is half transparent
        paper = float(np.median(values))
    else:
        paper = 0.0 if values.mean() > 0.5 else 1.0
    return np.where(painted, grey, np.float32(paper)).astype(np.float32)


def _contrast(light: np.ndarray, paper: papers.Paper) -> np.ndarray:
    """[H, W] distance of each pixel from the paper towards the ink, as a fraction of what is possible."""
    if paper.ink_is_dark:
        return (paper.level - light) / np.maximum(paper.level, max(0.1, 0.4 * float(paper.level.max())))
    return (light - paper.level) / np.maximum(1 - paper.level, 0.1)


def _require_lines(contrast: np.ndarray, ink: np.ndarray, full: float) -> None:
    """Raises BadInput for what is certainly no drawing of lines; `full` is the contrast of typical ink."""
    small = papers.shrink(contrast, _COARSE_SIDE)
    varies = steepness(small) > _FLAT
    between = varies & ndimage.binary_erosion((small > 0.15 * full) & (small < 0.75 * full), _EIGHT)
    is_paper = np.abs(small) < 0.05
    if between.mean() > _MOST_BETWEEN and is_paper.mean() < _LEAST_PAPER:
        raise BadInput("this looks like a photograph, not like lines on paper; give a drawing")
    mask = papers.shrink(ink, _COARSE_SIDE) > 0.5
    thickness = 2 * float(depths(np.pad(mask, 1)).max())
    if thickness > _SOLID * min(mask.shape) and mask.sum() < _LEAST_LENGTH * thickness**2:
        raise BadInput("this looks like one solid shape, not like lines on paper; give a drawing of lines")


def _without_gaps(ink: np.ndarray, was_ruled: bool) -> np.ndarray:
    """Fills the gaps of a pencil's grain, and those that rules left; other ink stays as it is."""
    mask = ink > 0.5
    if not mask.any():
        return ink
    solid = ndimage.binary_closing(mask, _EIGHT)
    outline = solid & ~ndimage.binary_erosion(solid, border_value=1)
    width = max(2.0, 2 * float(solid.sum() / max(outline.sum(), 1)))
    is_rough = solid.sum() > (1 + _ROUGH) * mask.sum()
    few = max(_FEW_PINHOLES, _GRAIN * mask.sum() / width**2)
    if not (was_ruled or (is_rough and _pinholes(mask, width) > few)):
        return ink
    side = max(3, round(0.6 * width) | 1)
    smooth = ndimage.gaussian_filter(ink, 0.15 * width)
    return np.maximum(ink, ndimage.grey_closing(smooth, size=(side, side), mode="nearest"))


def _pinholes(mask: np.ndarray, width: float) -> int:
    """The number of holes in a mask that are small beside lines of some width."""
    holes, count = ndimage.label(~mask)
    areas = np.bincount(holes.ravel(), minlength=count + 1)[1:]
    return int((areas < max(2.0, 0.3 * width**2)).sum())


def _without_rules(
    contrast: np.ndarray,
    level: ruled.Rules | None,
    upright: ruled.Rules | None,
    paper: papers.Paper,
    colour: np.ndarray | None,
) -> np.ndarray:
    """Takes printed rules away; if there are colours, in that mixture of them where the rules are faint."""
    cleared = ruled.without_rules(contrast, level, upright)
    if colour is None or not (level or upright):
        return cleared
    is_rule = contrast - cleared > 0.5 * float((contrast - cleared).max())
    is_ink = cleared > 0.5 * float(np.quantile(cleared, 0.999))
    is_paper = np.abs(contrast) < 0.05
    if not (is_rule.any() and is_ink.any() and is_paper.any()):
        return cleared
    contrasts, rule, ink = [], np.zeros(3), np.zeros(3)
    for channel in range(3):
        light = colour[..., channel].astype(np.float32) / 255
        light = light if paper.ink_is_dark else 1 - light
        bare = papers.local_mean(light, is_paper)
        contrasts.append((bare - light) / np.maximum(bare, 0.1))
        rule[channel], ink[channel] = (np.median(contrasts[channel][mask]) for mask in (is_rule, is_ink))
    mixture = np.linalg.solve(np.outer(rule, rule) + _MIXING_NOISE * np.eye(3), ink)
    mixture /= mixture @ ink
    if mixture @ rule > _FAINTER_RULES * contrast[is_rule].mean() / contrast[is_ink].mean():
        return cleared
    mixed = sum(weight * one for weight, one in zip(mixture.astype(np.float32), contrasts, strict=True))
    return ruled.without_rules(
        np.where(paper.is_table, 0, mixed * np.median(contrast[is_ink])), level, upright
    )
