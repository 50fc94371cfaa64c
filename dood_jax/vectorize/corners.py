"""Corners in which the pen was lifted, although no end of a line shows it.

Characters of many strokes are written downwards and to the right: the box of 口 is a stroke down, one that
turns from right to down, and one along the bottom. No stroke runs up and then right, or right and then up, so
the lines that meet in the upper left and in the lower right corner of a box are two strokes. Those of the
lower left corner are two if they close a box, and one if an end of theirs is free. Letters have such corners
too, and are written in other ways, so upper left and lower right corners count only beside the upper right
one of the box.
"""

import itertools

import numpy as np
from scipy.spatial import cKDTree

from dood_jax.vectorize import curves, order
from dood_jax.vectorize.crossings import Path

_MANY = 4  # lines of a figure from which on it is a character of many strokes
_STEP = 0.25  # pen widths between the points at which corners are looked for
_NEAR, _FAR = 3, 11  # points from a corner between which the direction of a leg is measured
_MOST = 5  # sharp turns of a line with the corners of a box; sketches have more
_FREE = 20  # points from a corner to the end of its line at least; hooks and serifs are shorter
_TOUCH = 1.0  # pen widths between strokes that touch
_SHARP = np.deg2rad(45)  # the least turn in a corner, beyond that of a line that bends as its legs do
_STRAIGHT = np.deg2rad(30)  # the most by which a leg bends
_SIDE = 0.9  # of the length along a side of a box: the least between its corners
_SQUARE = np.deg2rad(105)  # the largest turn in a corner that closes a box
_LEVEL = np.tan(np.deg2rad(25))  # the steepest level leg
_UPRIGHT = np.tan(np.deg2rad(40))  # how far an upright leg may lean

Kind = tuple[bool, bool]  # whether the level leg leads to the right, and the upright one down
Corner = tuple[int, Kind]  # the index of its point
_UPPER_LEFT, _UPPER_RIGHT = (True, True), (False, True)
_LOWER_LEFT, _LOWER_RIGHT = (True, False), (False, False)


def lift(paths: list[Path]) -> list[Path]:
    """Cuts paths in the corners in which the pen was lifted, in figures of many lines."""
    if len(paths) < _MANY:
        return paths
    low, high = (np.array([edge(path.points, axis=0) for path in paths]) for edge in (np.min, np.max))
    found: list[Path] = []
    for figure in order.figures(low, high):
        own = [paths[index] for index in figure]
        if len(own) >= _MANY:
            meetings = zip(own, _meetings(own), strict=True)
            own = [part for path, meets in meetings for part in _lifted(path, meets)]
        found += own
    return found


def _meetings(paths: list[Path]) -> list[list[bool]]:
    """Whether another path touches the first and the last point of each."""
    owner = np.repeat(np.arange(len(paths)), [len(path.points) for path in paths])
    ink = cKDTree(np.concatenate([path.points for path in paths]))
    near = [ink.query_ball_point(path.points[[0, -1]], _TOUCH * path.width) for path in paths]
    return [[bool((owner[end] != index).any()) for end in ends] for index, ends in enumerate(near)]


def _lifted(path: Path, meets: list[bool]) -> list[Path]:
    """A path cut in its corners; `meets` tells whether another one touches its first and its last point."""
    points = curves.evenly(path.points, int(curves.length(path.points) / (_STEP * path.width)) + 1)
    found = corners(points, path.is_closed)
    if path.is_closed:
        points, found = _from_upper_left(points, found)
        meets = [True, True]
    cuts = [
        at
        for at, kind in found
        if kind in (_UPPER_LEFT, _LOWER_RIGHT) and _has_side_to_upper_right(points, found, at)
    ]
    bounds = [(0, meets[0]), *((at, True) for at in cuts), (len(points) - 1, meets[1])]
    closing = [
        at
        for at, kind in found
        for (start, is_met), (stop, is_met_too) in itertools.pairwise(bounds)
        if kind == _LOWER_LEFT and start < at < stop and is_met and is_met_too
    ]
    if not cuts and not closing:
        return [path]
    places = sorted([0, *cuts, *closing, len(points) - 1])
    return [path._replace(points=points[a : b + 1], is_closed=False) for a, b in itertools.pairwise(places)]


def _from_upper_left(points: np.ndarray, found: list[Corner]) -> tuple[np.ndarray, list[Corner]]:
    """A closed line that starts in the upper left corner of its box, and its other corners.

    If it is no box, the line as it is, and no corners.
    """
    kinds = [kind for _, kind in found]
    if _UPPER_LEFT not in kinds:
        return points, []
    start, last = found[kinds.index(_UPPER_LEFT)][0], len(points) - 1
    turned = np.concatenate([points[start:-1], points[: start + 1]])
    others = sorted(((at - start) % last, kind) for at, kind in found)[1:]
    is_box = any(_has_side_to_upper_right(turned, others, at) for at in (0, last))
    return (turned, others) if is_box else (points, [])


def _has_side_to_upper_right(points: np.ndarray, found: list[Corner], at: int) -> bool:
    """Whether a straight side of a box leads from a corner to one in the upper right."""
    for other, kind in found:
        side = points[min(at, other) : max(at, other) + 1]
        if kind == _UPPER_RIGHT and np.linalg.norm(side[-1] - side[0]) > _SIDE * curves.length(side):
            return True
    return False


def corners(points: np.ndarray, is_closed: bool) -> list[Corner]:
    """The sharp corners between a level and an upright leg, as indices of points and their kinds.

    There are none in lines that turn more often than a box does.

    Args:
      points: [n, 2] at steps of a quarter of the pen's width; a closed line returns to its first point.
      is_closed: whether it does.
    """
    n = len(points) - is_closed
    if n < 2 * _FREE:
        return []
    at = np.arange(n) if is_closed else np.arange(_FAR, n - _FAR)
    runs = [
        [points[(at + sign * away) % n] for away in (_NEAR, (_NEAR + _FAR) // 2, _FAR)] for sign in (-1, 1)
    ]
    one, other = (far - near for near, _, far in runs)
    turn = _angle(-one, other)
    bends = [_angle(middle - near, far - middle) for near, middle, far in runs]
    # A leg bends by so much in half its length; in as many points, so do the lines between both middles.
    bent = (bends[1] - bends[0]) / 2 * (_NEAR + _FAR) / ((_FAR - _NEAR) / 2)
    left = np.flatnonzero(np.minimum(np.abs(turn), np.abs(turn - bent)) > _SHARP)
    depth = np.linalg.norm(points[at] - (runs[0][2] + runs[1][2]) / 2, axis=1)
    sharpest = []
    while len(left):
        best = left[depth[left].argmax()]
        apart = np.abs(at[left] - at[best])
        left = left[(np.minimum(apart, n - apart) if is_closed else apart) > _FAR]
        sharpest.append(best)
    if len(sharpest) > _MOST:
        return []
    found = []
    for index in sharpest:
        kind = _kind(one[index], other[index])
        is_straight = max(abs(bend[index]) for bend in bends) < _STRAIGHT
        is_square = kind != _LOWER_LEFT or abs(turn[index]) < _SQUARE
        if kind and is_straight and is_square and (is_closed or _FREE <= at[index] < n - _FREE):
            found.append((int(at[index]), kind))
    return sorted(found)


def _kind(one: np.ndarray, other: np.ndarray) -> Kind | None:
    """The kind of a corner with legs [2] that lead away from it, or None if none is level or upright."""
    level, upright = sorted((one, other), key=lambda leg: abs(np.arctan2(leg[1], abs(leg[0]))))
    if abs(level[1]) > _LEVEL * abs(level[0]) or abs(upright[0]) > _UPRIGHT * abs(upright[1]):
        return None
    return bool(level[0] > 0), bool(upright[1] > 0)


def _angle(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[N] the angles by which vectors [N, 2] turn into others."""
    return np.arctan2(one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0], (one * other).sum(1))
