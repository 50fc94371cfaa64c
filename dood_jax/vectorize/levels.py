"""How strong full ink is at each mark of a page, so that pencil beside a marker is ink as well.

Pixels that stand out from the paper form blots. Of each blot the strongest part is a mark, with the soft edge
around it. What is left of the blot, for instance the pencil line that crosses a marker, is looked at again.
A faint mark must be a thin line, clear of the noise, and not the edge or the shadow of another mark.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dood_jax.errors import BadInput
from dood_jax.vectorize import paper as papers
from dood_jax.vectorize.pixels import depths, extremes

FAINT = "marks much fainter than the rest were left out"

_LEAST_CONTRAST = 0.04  # of ink against paper
_LEAST_SIGNAL = 5.0  # times the noise, lightly smoothed, that ink must stand out
_ROUNDS = 4  # in which blots are looked at
_FAINT = 0.5  # of the contrast of the page's strongest marks: what is below must prove that it is a line
_VERY_FAINT = 0.25  # of it: many such marks are the grain of wood or a text that shines through
_TOO_FAINT = 0.08
_HALO = 8  # pixels beside a mark in which JPEG leaves very faint traces of it
_MOST_VERY_FAINT = 12  # marks that are kept
_LEAST_SPLIT = 0.3  # of a blot's full contrast: what is below is another mark
_LEAST_AREA = 12  # pixels of a faint mark
_THICK = 3.0  # line widths: a faint mark that is wider is no line
_BESIDE = 0.35  # of the outline of a faint mark: what touches a strong one along more of it is its soft edge
_EIGHT = np.ones((3, 3), bool)  # neighbours of a pixel


_Mark = tuple[tuple[slice, slice], np.ndarray, float]  # its window, bool mask in it, and full contrast


class _Blots(NamedTuple):
    """A page while its marks are found."""

    smooth: np.ndarray  # float32 [H, W] contrast
    least: np.ndarray  # float32 [H, W] contrast that a mark must have
    page: float  # full contrast of the strongest marks
    line_width: float  # pixels


def full_contrast(
    contrast: np.ndarray, noise: float, line_width: float
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The contrast that full ink has at each pixel, by the mark that the pixel belongs to.

    Args:
      contrast: float32 [H, W] distance from the paper; at most 1.
      noise: standard deviation of the paper's.
      line_width: pixels that hold the thickest lines.

    Returns:
      [H, W] full contrast, infinite where there is no ink; and notes for the user.

    Raises:
      BadInput: nothing stands out.
    """
    smooth = ndimage.gaussian_filter(contrast, 0.7) if noise > 0.005 else contrast
    least = np.maximum(_LEAST_CONTRAST, _LEAST_SIGNAL * _spread(smooth))
    page = _page_contrast(smooth, float(np.median(least)))
    if max(contrast.shape) <= papers.TINY:
        return np.full(contrast.shape, page, np.float32), ()
    blots = _Blots(smooth, least, page, line_width)
    marks = _all_marks(blots)
    very_faint = [level < _VERY_FAINT * page for _, _, level in marks]
    are_kept = sum(very_faint) <= _MOST_VERY_FAINT
    full = np.full(contrast.shape, np.inf, np.float32)
    for (window, mark, level), is_very_faint in zip(marks, very_faint, strict=True):
        if are_kept or not is_very_faint:
            full[window][mark] = level
    if not np.isfinite(full).any():
        raise BadInput(f"nothing is drawn: the strongest mark has a contrast of {max(page, 0):.3f}")
    return full, () if are_kept else (FAINT,)


def _all_marks(blots: _Blots) -> list[_Mark]:
    """The marks of a page, strong ones of a blot before those that they touch."""
    left = blots.smooth > 0.7 * blots.least
    taken = np.zeros_like(left)
    marks: list[_Mark] = []
    for _ in range(_ROUNDS):
        found = list(_marks(blots, left, taken))
        for window, mark, _ in found:
            left[window] &= ~mark
            taken[window] |= mark
        if not found:
            break
        marks += found
    return marks


def _spread(smooth: np.ndarray) -> np.ndarray:
    """[H, W] standard deviation of the contrast near each pixel, by what is brighter than the paper."""
    most = 0.02 + 4 * float(np.median(np.abs(smooth)))  # beside an edge the paper is no noise
    square = np.clip(smooth, -most, 0) ** 2
    return np.sqrt(papers.local_mean(square, smooth < 0))


def _page_contrast(smooth: np.ndarray, least: float) -> float:
    """The full contrast of the strongest marks; raises BadInput if even they are too faint."""
    few = np.clip(smooth.size / 100, 3, 12)  # pixels that make a mark
    top = float(np.quantile(smooth, 1 - min(0.3, few / smooth.size)))
    if top < least:
        raise BadInput(f"nothing is drawn: the strongest mark has a contrast of {max(top, 0):.3f}")
    return max(float(np.quantile(smooth[smooth > max(0.35 * top, 0.6 * least)], 0.95)), 0.5 * top)


def _marks(blots: _Blots, left: np.ndarray, taken: np.ndarray) -> Iterator[_Mark]:
    """The strongest part of each blot: its window, a mask in it, and its full contrast.

    Args:
      blots: the page.
      left: bool [H, W] pixels that may be ink and belong to no mark yet.
      taken: bool [H, W] those of the marks found so far.
    """
    labels, count = ndimage.label(left, _EIGHT)
    is_clear = np.zeros(count + 1, bool)
    is_clear[labels[left & (blots.smooth >= blots.least)]] = True
    windows = ndimage.find_objects(labels, count)
    for index in np.flatnonzero(is_clear):
        window = windows[index - 1]
        blot = labels[window] == index
        smooth = blots.smooth[window]
        values = smooth[blot]
        top = float(np.quantile(values[values > 0.5 * values.max()], 0.9))
        strong = blot & (smooth > top * _split(smooth, blot, top))
        if strong.sum() < _LEAST_AREA:  # two faint lines are darker where they cross
            strong = blot & (smooth > _LEAST_SPLIT * top)
        if top < _FAINT * blots.page and not (
            top > _TOO_FAINT * blots.page
            and not _is_edge(blot, _around(taken, window, 1))
            and not (top < _VERY_FAINT * blots.page and _is_trace(strong, blots, window))
            and _is_line(strong, blots, window, top)
        ):
            continue
        is_thin = not ndimage.binary_erosion(strong, _EIGHT).any()
        level = blots.page if is_thin and top > 0.6 * blots.page else top
        yield window, ndimage.binary_dilation(strong, _EIGHT, 2, mask=blot), level


def _split(smooth: np.ndarray, blot: np.ndarray, top: float) -> float:
    """The fraction of a blot's full contrast that parts its strong marks from fainter ones.

    Few places in the middle of marks have about this contrast, so that noise moves none of them across it.
    """
    middle = blot & (extremes(smooth, 3) - smooth < 0.05 * top)
    edges = np.linspace(_LEAST_SPLIT, 0.85, 12)
    counts = np.histogram(smooth[middle] / top, edges)[0].astype(float)
    counts = np.convolve(counts, np.ones(3), "same")[1:-1]
    places = (edges[1:-2] + edges[2:-1]) / 2
    return float(places[np.argmin(counts + 1e-3 * np.abs(places - 0.5))])


def _around(values: np.ndarray, window: tuple[slice, slice], reach: int) -> np.ndarray:
    """The largest of the values that lie no more than `reach` pixels from each pixel of a window."""
    wide = tuple(slice(max(part.start - reach, 0), part.stop + reach) for part in window)
    largest = extremes(values[wide], 2 * reach + 1)
    rows, columns = (
        slice(part.start - more.start, part.stop - more.start)
        for part, more in zip(window, wide, strict=True)
    )
    return largest[rows, columns]


def _is_trace(strong: np.ndarray, blots: _Blots, window: tuple[slice, slice]) -> bool:
    """Whether a faint blot lies all beside a strong mark, where JPEG leaves traces of that."""
    return bool((_around(blots.smooth, window, _HALO)[strong] > blots.page * _FAINT).all())


def _is_edge(blot: np.ndarray, near: np.ndarray) -> bool:
    """Whether a faint blot lies along a mark, as its soft edge does; `near` is what touches marks."""
    outline = blot & ~ndimage.binary_erosion(blot, _EIGHT)
    return bool((outline & near).sum() > _BESIDE * outline.sum())


def _is_line(strong: np.ndarray, blots: _Blots, window: tuple[slice, slice], top: float) -> bool:
    """Whether a faint blot is a thin ridge of the contrast, and no patch of uneven light."""
    if strong.sum() < _LEAST_AREA:
        return False
    width = 2 * float(depths(np.pad(strong, 1)).max())
    if width > max(_THICK * blots.line_width, 10):
        return False
    side = int(3 * width) | 1
    around = tuple(slice(max(part.start - side, 0), part.stop + side) for part in window)
    values = blots.smooth[around]
    ridge = papers.closing(-values, side) + values
    rows, columns = (
        slice(part.start - wide.start, part.stop - wide.start)
        for part, wide in zip(window, around, strict=True)
    )
    return float(np.median(ridge[rows, columns][strong])) > 0.5 * top
