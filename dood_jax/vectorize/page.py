"""From an image to its ink: what is paper and what is drawn on it.

The steps: what is transparent is filled (`_opaque`); the brightness of the paper is found (paper.py), and how
far each pixel differs from it, as a fraction of what is possible, is its contrast; each mark is divided by
its own full contrast, so that pencil beside a marker is ink as well (levels.py).
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dood_jax.errors import BadInput
from dood_jax.vectorize import levels, ruled
from dood_jax.vectorize import paper as papers

_CARD = 0.25  # of the shorter side: what is painted and holds such a square is no stroke
_MIXING_NOISE = 0.01  # variance that a mixture of colours may not amplify
_FAINTER_RULES = 0.7  # of their contrast beside ink: only then are colours mixed
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
    contrast = _without_rules(contrast, paper, colour)
    full, notes = levels.full_contrast(contrast, noise, paper.line_width)
    floor = np.minimum(1.5 * noise, 0.25 * full)
    ink = np.clip((contrast - floor) / (full - floor), 0, 1)
    ink[~np.isfinite(full)] = 0
    return Page(ink.astype(np.float32), noise / float(np.median(full[np.isfinite(full)])), notes)


def _lights(grey: np.ndarray, colour: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Two float32 [H, W] brightnesses, where dark ink and where bright ink is seen best; see `find_paper`.

    Yellow on white is as bright as the paper in red and green, but dark in blue.
    """
    if colour is None:
        light = _opaque(grey)
        return light, light
    dark, bright = (extreme(colour, axis=2).astype(np.float32) / 255 for extreme in (np.min, np.max))
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
    thickness = 2 * float(ndimage.distance_transform_edt(np.pad(coarse, 1)).max())
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


def _without_rules(contrast: np.ndarray, paper: papers.Paper, colour: np.ndarray | None) -> np.ndarray:
    """Takes printed rules away, level and upright ones; in that mixture of colours where they are faint."""
    level, upright = ruled.find_rules(contrast), ruled.find_rules(contrast.T)
    cleared = ruled.without_rules(contrast, level, upright)
    if colour is None or not (level or upright):
        return cleared
    is_rule = contrast - cleared > 0.5 * float((contrast - cleared).max())
    is_ink = cleared > 0.5 * float(np.quantile(cleared, 0.999))
    is_paper = np.abs(contrast) < 0.05
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
    return ruled.without_rules(np.where(paper.is_table, 0, mixed * np.median(contrast[is_ink])), level, upright)
