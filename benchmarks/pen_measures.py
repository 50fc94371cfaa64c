"""How near found strokes are to those that a person made, by the measures of the field.

LDTW and AIoU are of Chen, Yang, Liang, Liu, Wang, Peng and Huang (2022), DTW to segments is of Mohamed
Moussa, Lelore and Mouchère (2023). The others are ours: matched strokes, order and direction
(`ink_measures`), crossings and lost strokes.
"""

import itertools
from typing import Any

import ink_sets
import numpy as np
import pen_page
import pen_sets
from ink_measures import Found, agreement
from pen_sets import Pen, two_points
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from dood_jax.errors import BadInput

_LONGEST = 400  # points of a trajectory that is warped
_STEP = 1 / 64  # of the side between two points of one, at least
_GROWN = (0.5, 0.7, 1.0, 1.4, 2.0)  # of the true width: those that AIoU tries
_DISTINCT = 1.5  # widths of the pen: crossings nearer than this are one
_ENDS = 0.75  # widths of the pen at either end of a stroke, in which it touches but does not cross
_FLAT = 0.1  # sine of the least angle of a crossing; nearer to parallel, a line runs along another
_LOST = 0.5  # of a true stroke: it is lost if no more than this lies near a found one
_MEASURES = (*pen_page.COLUMNS, "seconds")
_RESAMPLED = 200  # times, for the errors
_COUNTS = ((1, "1"), (2, "2"), (5, "3 to 5"), (10**9, "6 and more"))  # most strokes, and what they are called
_ALONE = "alone"  # in the names of tools that draw one character


def measures(pen: Pen, found: Found) -> dict[str, float]:
    """All measures of one drawing; distances as a fraction of the side of a character."""
    true, strokes = pen.strokes, [two_points(line) for line in found.strokes]
    values = {
        "count_right": float(len(strokes) == len(true)),
        "strokes_ratio": len(strokes) / len(true),
        "seconds": found.seconds,
    }
    if not strokes:
        return {**values, "matched": 0.0, "lost": 1.0, "aiou": 0.0}
    width = pen.width if np.isfinite(pen.width) else pen.side * 0.06
    values |= agreement(true, strokes, pen.side)
    values["lost"] = _lost(true, strokes, width)
    values["aiou"] = _adaptive_iou(pen, strokes, width)
    one, other = (_trajectory(lines, pen.side) for lines in (true, strokes))
    values["ldtw"] = warped(_apart(one, other)) / pen.side
    values["dtw_segments"] = warped(_to_segments(one, other, strokes)) / pen.side
    return values | _crossings(true, strokes, width)


def _lost(true: list[np.ndarray], found: list[np.ndarray], width: float) -> float:
    """The fraction of true strokes that are lost."""
    tree = cKDTree(np.concatenate([ink_sets.dense(line, 0.5) for line in found]))
    near = [(tree.query(ink_sets.dense(line, 0.5))[0] <= width).mean() for line in true]
    return float(np.mean(np.array(near) <= _LOST))


def _adaptive_iou(pen: Pen, found: list[np.ndarray], width: float) -> float:
    """Σ min / Σ max of the true ink and found lines drawn with one width, the best of several."""
    drawn = (ink_sets.draw(found, [part * width] * len(found), pen.ink.shape) for part in _GROWN)
    return max(float(np.minimum(ink, pen.ink).sum() / np.maximum(ink, pen.ink).sum()) for ink in drawn)


def _trajectory(strokes: list[np.ndarray], side: int) -> np.ndarray:
    """[N, 2] points of all strokes, one after the other, in even steps; none where the pen is lifted."""
    length = sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in strokes)
    step = max(_STEP * side, length / _LONGEST)
    return np.concatenate([ink_sets.dense(line, step) for line in strokes])


def _apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(one[:, None] - other[None], axis=-1)


def _to_segments(points: np.ndarray, other: np.ndarray, strokes: list[np.ndarray]) -> np.ndarray:
    """[N, M] distances of points from the segments that begin at each of [M, 2] points of a trajectory.

    Where a stroke ends the segment is its last point alone.
    """
    ends = {tuple(line[-1]) for line in strokes}
    along = np.append(np.diff(other, axis=0), np.zeros((1, 2)), axis=0)
    along[[tuple(point) in ends for point in other]] = 0
    squared = np.maximum((along**2).sum(1), 1e-12)
    part = np.clip(((points[:, None] - other) * along).sum(-1) / squared, 0, 1)
    return np.linalg.norm(points[:, None] - other - part[..., None] * along, axis=-1)


def warped(apart: np.ndarray) -> float:
    """Mean distance along the cheapest warping of two trajectories, given [N, M] distances of points."""
    high, wide = apart.shape
    cost, steps = np.full((high + 1, wide + 1), np.inf), np.zeros((high + 1, wide + 1))
    cost[0, 0] = 0
    for total in range(2, high + wide + 1):  # one diagonal after the other
        i = np.arange(max(1, total - wide), min(high, total - 1) + 1)
        j = total - i
        costs = np.stack([cost[i - 1, j - 1], cost[i - 1, j], cost[i, j - 1]])
        counts = np.stack([steps[i - 1, j - 1], steps[i - 1, j], steps[i, j - 1]])
        best = costs.argmin(0)[None]
        cost[i, j] = np.take_along_axis(costs, best, 0)[0] + apart[i - 1, j - 1]
        steps[i, j] = np.take_along_axis(counts, best, 0)[0] + 1
    return float(cost[-1, -1] / steps[-1, -1])


def _crossings(true: list[np.ndarray], found: list[np.ndarray], width: float) -> dict[str, float]:
    """The fractions of true crossings with no found one near them, and of found ones with no true one."""
    ours, theirs = (_crossings_of(lines, width) for lines in (found, true))
    values = {}
    missed, invented = np.ones(len(theirs), bool), np.ones(len(ours), bool)
    if len(ours) and len(theirs):
        apart = _apart(theirs, ours)
        for a, b in zip(*linear_sum_assignment(apart), strict=True):
            if apart[a, b] <= _DISTINCT * width:
                missed[a] = invented[b] = False
    if len(theirs):
        values["undetected"] = float(missed.mean())
    if len(ours):
        values["hallucinated"] = float(invented.mean())
    return values


def _crossings_of(strokes: list[np.ndarray], width: float) -> np.ndarray:
    """[N, 2] places where strokes cross each other or themselves, away from their ends."""
    lines = [ink_sets.dense(line, max(width / 3, 1.0)) for line in strokes]
    lengths = [np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in strokes]
    places: list[np.ndarray] = []
    for i, j in itertools.combinations_with_replacement(range(len(lines)), 2):
        for place, at, to in _hits(lines[i], lines[j]):
            ways = [
                (at * lengths[i] / (len(lines[i]) - 1), lengths[i]),
                (to * lengths[j] / (len(lines[j]) - 1), lengths[j]),
            ]
            inside = all(_ENDS * width < way < length - _ENDS * width for way, length in ways)
            apart = i != j or abs(ways[0][0] - ways[1][0]) > 2 * width
            if (
                inside
                and apart
                and all(np.linalg.norm(place - other) > _DISTINCT * width for other in places)
            ):
                places.append(place)
    return np.array(places).reshape(-1, 2)


def _hits(one: np.ndarray, other: np.ndarray) -> list[tuple[np.ndarray, float, float]]:
    """Where two polylines cross: the place, and how many segments along either."""
    step, steps = np.diff(one, axis=0)[:, None], np.diff(other, axis=0)[None]
    between = other[None, :-1] - one[:-1, None]
    turn = _turn(step, steps)
    sizes = np.linalg.norm(step, axis=-1) * np.linalg.norm(steps, axis=-1)
    crosses = np.abs(turn) > _FLAT * sizes
    turn = np.where(crosses, turn, 1)
    far, fars = _turn(between, steps) / turn, _turn(between, step) / turn
    hit = crosses & (far >= 0) & (far < 1) & (fars >= 0) & (fars < 1)
    if one is other:
        hit &= np.subtract.outer(np.arange(len(hit)), np.arange(len(hit))) < -1
    return [(one[i] + far[i, j] * step[i, 0], i + far[i, j], j + fars[i, j]) for i, j in np.argwhere(hit)]


def _turn(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]


def rows_of(pens: list[Pen], tools: dict[str, Any]) -> list[dict[str, Any]]:
    """The measures of each tool on each drawing, and what they are of."""
    rows = []
    for pen in pens:
        strokes = next(name for most, name in _COUNTS if len(pen.strokes) <= most)
        about = {"size": pen.side, "background": pen.condition, "strokes": strokes, "writer": pen.writer}
        for name, tool in tools.items():
            if _ALONE in name and pen.source in pen_sets.OF_SEVERAL:
                continue
            try:
                found = tool(pen)
            except BadInput:  # nothing is drawn here, it says
                found = Found([], [], np.zeros_like(pen.ink), 0.0)
            rows.append({"tool": name, **about, **measures(pen, found)})
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the drawings that have a measure, and the errors of the means."""
    values: dict[str, Any] = {"n": len(rows)}
    hands = np.array([row["writer"] for row in rows])
    groups = [np.flatnonzero(hands == hand) for hand in np.unique(hands)] if (hands >= 0).all() else None
    groups = groups if groups and len(groups) > 1 else [np.array([index]) for index in range(len(rows))]
    random = np.random.default_rng(0)
    drawn = [
        np.concatenate([groups[i] for i in random.integers(len(groups), size=len(groups))])
        for _ in range(_RESAMPLED)
    ]
    for key in _MEASURES:
        known = np.array([row.get(key, np.nan) for row in rows], float)
        if np.isfinite(known).any():
            middle = np.nanmedian if key == "seconds" else np.nanmean
            again = [middle(known[chosen]) for chosen in drawn if np.isfinite(known[chosen]).any()]
            values[key] = [round(float(middle(known)), 4), round(float(np.std(again)), 4)]
    return values


def tables_of(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By tool: of all drawings, and by size, background and number of strokes."""
    tables: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["tool"] for row in rows):
        own = [row for row in rows if row["tool"] == name]
        tables[name] = {"all": summary(own)}
        for by in ("size", "background", "strokes"):
            for value in sorted({row[by] for row in own}, key=str):
                tables[name][f"{by} {value}"] = summary([row for row in own if row[by] == value])
    return tables
