"""Strokes that continue each other become one, as a pen draws them without being lifted.

A model's stroke has few control points, so one stroke of a pen takes several of them, which overlap at their
ends. Nothing is learned here: the constants were chosen on 192 drawings of Omniglot's background set.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from dood_jax.vectorize import curves
from dood_jax.vectorize.curves import InkStroke

# In widths of the pen
_STEP = 0.25  # between the points of a line
_DOT = 0.5  # a stroke is a dot up to this length
_NEAR = 1.2  # a line runs along others where it is nearer to them than this
_NEW = 1.5  # of a line that does not run along others: less, and it is left out
_GAP = 2.0  # between two ends that are joined
_LAPPED = 5.0  # of both lines together, which is cut off where they overlap
_AHEAD = 2.0  # of a line, by which its direction is taken
_TOLERANCE = 0.15  # of the curves, from the joined lines

_LATE = 0.5  # of a line, from its end, within which it may be cut
_SHARPEST = np.deg2rad(140)  # turn at a joint
_OF_LAP, _OF_GAP, _OF_LAPPED = 0.25, 0.35, 0.17  # radians: what widths of lap and gap count beside the turn


def joined(strokes: Sequence[InkStroke]) -> list[InkStroke]:
    """The strokes that a pen needs for the same lines, in the order in which they begin.

    What runs along other strokes is left out. Ends that meet, or overlap, are joined, the smoothest joint
    first. A joined stroke runs as its first part did; width, colour and confidence are means over its length.
    Filled areas stay as they are, and so do dots: what is shorter than half the pen's width.
    """
    if not strokes:
        return []
    width = float(np.median([stroke.width for stroke in strokes]))
    lines = [i for i, one in enumerate(strokes) if not one.is_filled and _length(one) > _DOT * width]
    runs = {i: strokes[i].points(_STEP * width) for i in lines}
    parts = {i: [i] for i in _without_repeated(runs, width)}
    runs = {i: runs[i] for i in parts}
    while (best := _smoothest(runs, width)) is not None:
        one, other, points = best
        runs[one] = points
        parts[one] += parts.pop(other)
        del runs[other]
    chains = curves.fit_all(list(runs.values()), [_TOLERANCE * width] * len(runs))
    fitted = dict(zip(runs, chains, strict=True))
    kept = {i: stroke for i, stroke in enumerate(strokes) if i not in lines}
    kept |= {i: _whole([strokes[j] for j in parts[i]], chain) for i, chain in fitted.items()}
    first = lambda i: min(parts.get(i, [i]))
    return [kept[i] for i in sorted(kept, key=first)]


def _length(stroke: InkStroke) -> float:
    return curves.length(curves.sample(stroke.control_points))


def _whole(parts: list[InkStroke], chain: np.ndarray) -> InkStroke:
    """One stroke of several, with their mean width and confidence and the colour of the longest."""
    lengths = np.array([_length(part) for part in parts])
    mean = lambda values: float(np.average(values, weights=lengths))
    return InkStroke(
        chain,
        mean([part.width for part in parts]),
        is_closed=len(parts) == 1 and parts[0].is_closed,
        confidence=mean([part.confidence for part in parts]),
        colour=parts[int(lengths.argmax())].colour,
    )


def _without_repeated(runs: dict[int, np.ndarray], width: float) -> list[int]:
    """The lines that do not run along others, the shortest looked at first."""
    kept = list(runs)
    for index in sorted(runs, key=lambda i: len(runs[i])):
        others = [runs[i] for i in kept if i != index]
        if others:
            is_new = _apart(runs[index], np.concatenate(others)).min(1) > _NEAR * width
            if is_new.sum() * _STEP < _NEW:
                kept.remove(index)
    return kept


def _smoothest(runs: dict[int, np.ndarray], width: float) -> tuple[int, int, np.ndarray] | None:
    """The best joint of two lines: both, and the line that they become, which runs as the first does."""
    best: tuple[float, int, int, np.ndarray] | None = None
    for one, other in itertools.combinations(runs, 2):
        for turned, other_turned in itertools.product((False, True), repeat=2):
            ahead = runs[one][::-1] if turned else runs[one]
            behind = runs[other][::-1] if other_turned else runs[other]
            found = _joint(ahead, behind, width)
            if found is not None and (best is None or found[0] < best[0]):
                line = found[1]
                best = (found[0], one, other, line[::-1] if turned else line)
    return best[1:] if best else None


def _joint(ahead: np.ndarray, behind: np.ndarray, width: float) -> tuple[float, np.ndarray] | None:
    """The cost of drawing one line after the other, in radians, and both as one; None if they do not meet.

    Where they overlap, both are cut where they are nearest, as little as may be.
    """
    late, early = (max(int(_LATE * len(line)), 2) for line in (ahead, behind))
    apart = _apart(ahead[-late:], behind[:early]) / width
    lapped = _STEP * (np.arange(late)[::-1, None] + np.arange(early))
    last, first = np.unravel_index((apart + _OF_LAP * lapped).argmin(), apart.shape)
    gap, lap = apart[last, first], lapped[last, first]
    before, after = ahead[: len(ahead) - late + last + 1], behind[first:]
    if gap > _GAP or lap > _LAPPED or min(len(before), len(after)) < 3:
        return None
    turn = np.arccos(np.clip(_direction(before[::-1]) @ -_direction(after), -1, 1))
    if turn > _SHARPEST:
        return None
    return float(turn + _OF_GAP * gap + _OF_LAPPED * lap), np.concatenate([before, after])


def _direction(points: np.ndarray) -> np.ndarray:
    """[2] the unit vector in which a line leaves its first point, its very end left out."""
    most = min(int(_AHEAD / _STEP), len(points) - 1)
    away = points[most] - points[min(most // 4, most - 1)]
    return away / max(float(np.linalg.norm(away)), 1e-9)


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[N, M] distances."""
    return np.linalg.norm(one[:, None] - other[None], axis=-1)
