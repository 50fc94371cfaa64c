"""Corners in which the pen was lifted, although no end of a line shows it.

Characters of many strokes are written downwards and to the right: the box of 口 is a stroke down, one that
turns from right to down, and one along the bottom. No stroke runs up and then right, or right and then up, so
the lines that meet in the upper left and in the lower right corner of a box are two strokes. Those of the
lower left corner are two where they close a box, and one in 山, where an end of theirs is free.
"""

import itertools

import numpy as np
from scipy.spatial import cKDTree

from dood_jax.vectorize import curves, order
from dood_jax.vectorize.crossings import Path

_MANY = 4  # lines of a figure from which on it is a character of many strokes
_STEP = 0.25  # pen widths between the points at which corners are looked for
_NEAR, _FAR = 3, 11  # points from a corner between which the direction of a leg is measured
_FREE = 20  # points from a corner to the end of its line at least; hooks and serifs are shorter
_TOUCH = 1.0  # pen widths between strokes that touch
_SHARP = np.deg2rad(45)  # the least turn in a corner, beyond that of a line that bends as its legs do
_SQUARE = np.deg2rad(105)  # the largest turn in a corner that closes a box
_LEVEL = np.tan(np.deg2rad(25))  # the steepest level leg
_UPRIGHT = np.tan(np.deg2rad(40))  # how far an upright leg may lean

Kind = tuple[bool, bool]  # whether the level leg leads to the right, and the upright one down
_UPPER_LEFT, _LOWER_RIGHT, _LOWER_LEFT = (True, True), (False, False), (True, False)


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
    found = dict(corners(points, path.is_closed))
    cuts = [at for at, kind in found.items() if kind in (_UPPER_LEFT, _LOWER_RIGHT)]
    if path.is_closed and cuts:  # it starts in the first of them
        start, last = cuts[0], len(points) - 1
        points = np.concatenate([points[start:-1], points[: start + 1]])
        found = {(at - start) % last: kind for at, kind in found.items()}
        cuts, meets = [at - start for at in cuts[1:]], [True, True]
    bounds = [0, *cuts, len(points) - 1]
    met = [meets[0], *(True for _ in cuts), meets[1]]
    closing = [
        at
        for (before, is_met), (after, is_met_too) in itertools.pairwise(zip(bounds, met, strict=True))
        for at, kind in found.items()
        if kind == _LOWER_LEFT and before < at < after and is_met and is_met_too
    ]
    bounds = sorted([*bounds, *closing])
    if len(bounds) == 2:
        return [path]
    return [path._replace(points=points[a : b + 1], is_closed=False) for a, b in itertools.pairwise(bounds)]


def corners(points: np.ndarray, is_closed: bool) -> list[tuple[int, Kind]]:
    """The sharp corners between a level and an upright leg, as indices of points and their kinds.

    Args:
      points: [n, 2] at steps of a quarter of the pen's width; a closed line returns to its first point.
      is_closed: whether it does.
    """
    n = len(points) - is_closed
    at = np.arange(n) if is_closed else np.arange(_FREE, n - _FREE)
    if n < 2 * _FREE or not len(at):
        return []
    runs = [
        [points[(at + sign * away) % n] for away in (_NEAR, (_NEAR + _FAR) // 2, _FAR)] for sign in (-1, 1)
    ]
    one, other = (far - near for near, _, far in runs)
    turn = _angle(-one, other)
    bends = [_angle(middle - near, far - middle) for near, middle, far in runs]
    # A leg bends by so much in half its length; in as many points, so do the lines between both middles.
    bent = (bends[1] - bends[0]) / 2 * (_NEAR + _FAR) / ((_FAR - _NEAR) / 2)
    left = np.flatnonzero(np.minimum(np.abs(turn), np.abs(turn - bent)) > _SHARP)
    found = []
    depth = np.linalg.norm(points[at] - (runs[0][2] + runs[1][2]) / 2, axis=1)
    while len(left):
        best = left[depth[left].argmax()]
        apart = np.abs(at[left] - at[best])
        left = left[(np.minimum(apart, n - apart) if is_closed else apart) > _FAR]
        kind = _kind(one[best], other[best])
        if kind and (kind != _LOWER_LEFT or abs(turn[best]) < _SQUARE):
            found.append((int(at[best]), kind))
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
