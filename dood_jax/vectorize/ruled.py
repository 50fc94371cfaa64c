"""Takes the printed lines of ruled and squared paper away.

Printed lines run straight from edge to edge, nearly level or nearly upright, at equal distances, and are
equally strong everywhere. So the picture is added up along lines of all small slopes; where the sums stand
in even rows, there are rules. Ink over a rule is what is stronger than the rule, or, if pencil and print are
about equally strong, what goes on at both sides of it.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dood_jax.vectorize import paper as papers

_COARSE_SIDE = 480  # pixels of the longer side of the small copy in which rules are looked for
_SLOPES = np.linspace(-0.07, 0.07, 57)
_THICKEST = 9  # pixels of the small copy that hold a rule
_LEAST_CONTRAST = 0.03
_FILLED = 0.75  # of a line from edge to edge that must be dark
_FEWEST = 5  # rules
_EVEN = 0.15  # of their distance by which rules may be off
_COVERED = 0.5  # of the page's height, by all of them
_ALONG = 0.75  # quantile along a rule of its contrast
_TEXTURE = 0.5  # thicknesses of a rule over which ink on it is averaged: pencil has gaps
_CLOSED = 2  # thicknesses of a rule: shorter gaps of the ink along it are closed
_WEAKER = 0.8  # of the ink's contrast: a rule that is weaker can be told from ink by its strength


class Rules(NamedTuple):
    """Printed lines of one direction, at y = place + slope * (x - W / 2) of a picture of width W."""

    places: np.ndarray  # [n] pixels from the top, where a rule crosses the middle of the page
    slope: float


def find_rules(contrast: np.ndarray) -> Rules | None:
    """Finds the nearly level rules in [H, W] contrast with the paper; None if there are none."""
    small = papers.shrink(contrast, _COARSE_SIDE)
    factor = contrast.shape[0] / small.shape[0]
    ridge = small - ndimage.grey_opening(small, size=(_THICKEST, 1), mode="nearest")
    limit = max(_LEAST_CONTRAST, 3 * papers.noise_of(small))
    is_ridge = ndimage.binary_dilation(ridge > limit, np.ones((3, 1), bool))
    rows, columns = np.nonzero(is_ridge)
    columns = columns - small.shape[1] / 2
    best = np.zeros(len(small))
    best_slope = 0.0
    for slope in _SLOPES:
        at = np.round(rows - slope * columns).astype(int)
        inside = (at >= 0) & (at < len(small))
        filled = np.bincount(at[inside], minlength=len(small)) / small.shape[1]
        if (filled**4).sum() > (best**4).sum():
            best, best_slope = filled, float(slope)
    places = _middles(best > _FILLED)
    if not _is_even(places, len(small)):
        return None
    return Rules((_complete(places, len(small)) + 0.5) * factor, best_slope)


def without_rules(contrast: np.ndarray, level: Rules | None, upright: Rules | None) -> np.ndarray:
    """[H, W] contrast without the rules; `upright` are those of the transposed picture."""
    if level and upright:  # where two rules cross, neither goes on beside the other
        beside = _remove(contrast.T, upright, contrast.T).T
        below = _remove(contrast, level, contrast)
        cleared = _remove(contrast, level, beside)
        return np.minimum(cleared, _remove(contrast.T, upright, below.T).T)
    if level:
        return _remove(contrast, level, contrast)
    return _remove(contrast.T, upright, contrast.T).T if upright else contrast


def _remove(contrast: np.ndarray, rules: Rules, beside: np.ndarray) -> np.ndarray:
    """Takes level rules away; what goes on at both sides of them is looked for in `beside`, [H, W] too."""
    drift = rules.slope * (np.arange(contrast.shape[1]) + 0.5 - contrast.shape[1] / 2)
    reach = max(4, round(0.3 * float(np.median(np.diff(rules.places)))))
    bands = [_band(place + drift, reach, contrast.shape) for place in rules.places]
    printed = [_printed(contrast, *band) for band in bands]
    strength = float(np.median([profile.max() for profile in printed]))
    full = _ink_contrast(contrast, bands, printed, strength)
    cleared = contrast.copy()
    for (rows, columns), profile in zip(bands, printed, strict=True):
        belongs = np.flatnonzero(profile > 0.1 * strength)
        if not len(belongs) or profile.max() < 0.4 * strength:
            continue
        first, last = max(int(belongs[0]) - 1, 2), min(int(belongs[-1]) + 1, 2 * reach - 2)
        if first > last:  # what is dark lies beside the rule
            continue
        within = slice(first, last + 1)
        clipped = rows.clip(0, len(contrast) - 1)
        through = _bridge(beside[clipped, columns], first, last)
        clear = _ink_over(contrast[clipped, columns][within], profile[within], through, (strength, full))
        seen = (rows[within] >= 0) & (rows[within] < len(contrast))
        cleared[rows[within][seen], columns[within][seen]] = clear[seen]
    return cleared


def _ink_over(
    values: np.ndarray, profile: np.ndarray, through: np.ndarray, typical: tuple[float, float]
) -> np.ndarray:
    """[n, W] contrast of the ink over a rule.

    Args:
      values: [n, W] contrast in the n rows of the rule.
      profile: [n] contrast of the rule.
      through: [1, W] contrast that goes on at both sides of it.
      typical: contrast of rules, and of ink.
    """
    strength, full = typical
    clear = np.minimum(values, through)
    if strength < _WEAKER * full:
        rule = profile[:, None].clip(0, 0.9 * full)
        over = full * (values - rule) / (full - rule)
        over = np.maximum(over, ndimage.gaussian_filter1d(over, _TEXTURE * len(over), axis=1))
        clear = np.where(over > 0.5 * full, over, np.minimum(over, clear)).clip(0)
    clear[clear < 0.35 * strength] = 0
    return ndimage.grey_closing(clear, (1, _CLOSED * len(clear) + 1))


def _printed(contrast: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """[n] contrast of a rule without ink, at the n rows of its band."""
    seen = (rows >= 0) & (rows < len(contrast))
    values = np.where(seen, contrast[rows.clip(0, len(contrast) - 1), columns], np.nan)
    profile = np.zeros(len(rows))
    some = seen.mean(axis=1) > 0.05
    profile[some] = np.nanquantile(values[some], _ALONG, axis=1)
    return np.maximum(profile, 0)


def _ink_contrast(contrast: np.ndarray, bands: list, printed: list[np.ndarray], strength: float) -> float:
    """The contrast of ink, where there are no rules."""
    is_rule = np.zeros(contrast.shape, bool)
    for (rows, columns), profile in zip(bands, printed, strict=True):
        on_rule = (profile > 0.05 * strength)[:, None] & (rows >= 0) & (rows < len(contrast))
        is_rule[rows[on_rule], columns[on_rule]] = True
    away = contrast[~is_rule]
    ink = away[away > max(0.05, 0.4 * float(np.quantile(away, 0.999)))] if away.size else away
    return float(np.quantile(ink, 0.75)) if ink.size else 1.0


def _middles(mask: np.ndarray) -> np.ndarray:
    """[n] the middle of each run of True."""
    labels, count = ndimage.label(mask)
    return np.array(ndimage.center_of_mass(mask, labels, range(1, count + 1)), float).reshape(-1)


def _is_even(places: np.ndarray, height: int) -> bool:
    """Whether lines at these places stand in an even row over most of the page's height."""
    if len(places) < _FEWEST or np.ptp(places) < _COVERED * height:
        return False
    gaps = np.diff(places)
    gap = float(np.median(gaps))
    off = np.abs(gaps / gap - np.round(gaps / gap)) * gap
    return bool((off < max(_EVEN * gap, 1.5)).mean() > 0.7)


def _complete(places: np.ndarray, height: int) -> np.ndarray:
    """The places of all rules of an even row, up to the edges of the page, most of which were found."""
    gap = float(np.median(np.diff(places)))
    number = np.round((places - places[len(places) // 2]) / gap)
    gap, first = np.polyfit(number, places, 1)
    expected = first + gap * np.arange(np.floor(-first / gap), np.ceil((height - 1 - first) / gap) + 1)
    nearest = places[np.abs(expected[:, None] - places).argmin(axis=1)]
    return np.where(np.abs(nearest - expected) < max(_EVEN * gap, 1.5), nearest, expected)


def _band(middle: np.ndarray, reach: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, each [2 reach + 1, W], of the pixels within `reach` of a line at [W] heights."""
    rows = np.floor(middle).astype(int)[None] + np.arange(-reach, reach + 1)[:, None]
    return rows, np.broadcast_to(np.arange(shape[1]), rows.shape)


def _bridge(values: np.ndarray, first: int, last: int) -> np.ndarray:
    """[1, W] what goes on from above rows `first` to `last` of a band to below them, also aslant."""
    width = (last - first + 1) | 1
    above = ndimage.maximum_filter1d(values[first - 2 : first].max(0), width)
    below = ndimage.maximum_filter1d(values[last + 1 : last + 3].max(0), width)
    return np.minimum(above, below)[None]
