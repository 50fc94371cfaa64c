"""The order of the strokes of letters, which are figures of two or three strokes.

They are taught otherwise than characters of many strokes (`order.py`): stems come first, then what is
attached to them, and bars that lie between other strokes last.
"""

from typing import NamedTuple

import numpy as np

from dood_jax.vectorize import curves

MOST = 3  # strokes of a letter

_SAMPLES = 33  # points of each stroke that are looked at
_BEGINNING = 9  # of these, in which a stroke starts at another one
_STRAIGHT = 1.15  # most length of a straight stroke, in distances of its ends
_SLENDER = 1.5  # least ratio of the sides of an upright or level stroke's box
_TOUCH = 0.15  # strokes touch within this distance, where the largest one has a size of 1


class _Stroke(NamedTuple):
    points: np.ndarray  # [_SAMPLES, 2], evenly along it
    is_straight: bool
    is_upright: bool
    is_level: bool


def in_order(lines: list[np.ndarray]) -> list[int]:
    """Indices of the strokes of a letter in the order in which they are written.

    Args:
      lines: [n, 2] points each, as the pen runs; in the order that holds where letters have no rule.
    """
    ranks: list[int] = []
    left = list(range(len(lines)))
    size = max(np.ptp(line, axis=0).max() for line in lines)
    if size == 0:
        return left
    strokes = [_stroke(line / size) for line in lines]
    awaited = [{j for j in left if i != j and _waits(i, j, strokes)} for i in left]
    while left:  # strokes that wait for each other stay in the given order
        ranks.append(next((i for i in left if not awaited[i] & set(left)), left[0]))
        left.remove(ranks[-1])
    return ranks


def _stroke(line: np.ndarray) -> _Stroke:
    length = curves.length(line)
    points = curves.evenly(line, _SAMPLES) if length > 0 else np.repeat(line[:1], _SAMPLES, axis=0)
    size = np.ptp(line, axis=0)
    is_straight = length < _STRAIGHT * np.linalg.norm(line[-1] - line[0])
    is_upright, is_level = (bool(is_straight and a > _SLENDER * b) for a, b in (size[::-1], size))
    return _Stroke(points, bool(is_straight), is_upright, is_level)


def _waits(i: int, j: int, strokes: list[_Stroke]) -> bool:
    """Whether one stroke of a letter is written after another one."""
    one, other = strokes[i], strokes[j]
    if _hang(other, strokes):
        return _hangs(one, other)
    if _hang(one, strokes):
        return False
    return (
        _is_attached(one, other)
        or (one.is_level and _lies_between(i, j, strokes))
        or (one.is_level and _starts_with(one, other))
    )


def _is_attached(one: _Stroke, stem: _Stroke) -> bool:
    """Whether a stroke starts at a stem and is mostly on its right, as those of B, E and F."""
    if not stem.is_upright:
        return False
    starts_there = _distances(one, stem)[:_BEGINNING].min() < _TOUCH
    aside = one.points[:, 0] - np.interp(one.points[:, 1], *stem.points.T[::-1])
    is_right = np.mean(aside > 0) > 0.5 and aside.max() > max(-aside.min(), _TOUCH)
    return bool(starts_there and is_right)


def _lies_between(i: int, j: int, strokes: list[_Stroke]) -> bool:
    """Whether a level stroke lies between others, as those of A and H, one of which is stroke j."""
    ends = {
        k: _distances(strokes[i], strokes[k])[[0, -1]].min(1) < _TOUCH for k in range(len(strokes)) if k != i
    }
    return bool(np.any(list(ends.values()), axis=0).all() and ends[j].any())


def _starts_with(bar: _Stroke, other: _Stroke) -> bool:
    """Whether a level stroke starts where a bent one does that leads down, as the upper ones of 5 and E."""
    together = np.linalg.norm(bar.points[0] - other.points[0]) < _TOUCH
    leads_down = other.points[_SAMPLES // 4, 1] > bar.points[:, 1].max()
    return bool(not other.is_straight and together and leads_down)


def _hang(bar: _Stroke, strokes: list[_Stroke]) -> bool:
    """Whether several legs hang from a bar, as those of π, which are written after it."""
    return bar.is_level and sum(_hangs(one, bar) for one in strokes if one is not bar) > 1


def _hangs(leg: _Stroke, bar: _Stroke) -> bool:
    """Whether an upright stroke starts at a bar and leads down from it."""
    is_under = leg.points[-1, 1] > bar.points[:, 1].max()
    near = np.linalg.norm(bar.points - leg.points[0], axis=1).min() < _TOUCH
    return bool(leg.is_upright and near and is_under)


def _distances(one: _Stroke, other: _Stroke) -> np.ndarray:
    return np.linalg.norm(one.points[:, None] - other.points, axis=-1)
