"""Lines that the pen ran along twice, to their tip and back again, of which the ink shows one.

- A stem below two arcs that run into it, as in the letter m.
- A stem that a bowl to its left runs up into, as in 9 and d, or an arc to its right leaves, as in h and n.
- What is left of a sharp corner whose sides run into each other, as at the top of 1.
- The waist of two bowls, as in 3 and B.
- A loop so narrow that its inside is ink.
"""

import numpy as np

from dood_jax.vectorize import curves
from dood_jax.vectorize.crossings import Leg, Votes, edge_end, leg_at, smoothness
from dood_jax.vectorize.graph import Edge, Graph, Node
from dood_jax.vectorize.marks import Marks

_STEEP = 0.7  # least part of its length by which a line leads up, down or to the left
_NEAREST, _FARTHEST = 3.0, 5.0  # pens: half of an arc is looked at, but at least and at most so much of it
_TOUCHING = 0.5  # pens by which the circle of an arc may miss the axis of its stem
_ROUND = 0.2  # pens by which an arc may leave its circle
_TURNED = 0.4  # least turn of an arc, in radians
_FEWEST = 5  # points of an arc
_RUNS_UP, _RUNS_DOWN = 0.3, 0.5  # least smoothness with which lines run on along a stem that leads so
_BOWL = np.deg2rad(120)  # least turn of a bowl
_STEPS = 16  # by which the turn of a line is measured
_SHARP, _SHARPEST = np.deg2rad(75), np.deg2rad(15)  # most angle of a sharp corner; least that is measured
_OPPOSITE = (
    0.8  # least cosine between what is left of a corner and the middle of its sides, which it leads from
)
_MERGED = (
    1.5  # what is left of a corner may be a pen longer than this many times the ink that its sides share
)
_CORNER, _WAIST = 1.3, 3.0  # most pens of what is left of a corner that does not point up, and of a waist
_SURE = 2.0  # the vote for a pair of which one line is drawn twice
_LOOP, _LOOP_TIP = 1.4, 1.25  # least width of a filled loop and of its tip, in pens
_LOOP_LENGTH = 6.0  # most length of it, in pens
_LOOP_GAIN = 0.5  # by which its legs continue it more smoothly than each other


def draw_twice(graph: Graph, marks: Marks) -> Votes:
    """Doubles, in place, every line with a free end that both other lines of its fork were drawn along.

    Returns votes for the pairs of the other lines with it.
    """
    at = graph.at()
    doubled: list[Edge] = []
    votes: Votes = {}
    for node, meeting in at.items():
        if len(meeting) != 3:
            continue
        for index, is_start in meeting:
            line = graph.edges[index]
            tip = line.end if is_start else line.start
            others = [edge_end(*one) for one in meeting if one[0] != index]
            there, back = edge_end(index, is_start), edge_end(len(graph.edges) + len(doubled), is_start)
            if len(others) == 2 and len(at[tip]) == 1 and _is_drawn_twice(graph, marks, there, tip, others):
                doubled.append(Edge(line.points.copy(), line.start, line.end))
                for pair in ((others[0], there), (others[1], back)):
                    votes[node, min(pair), max(pair)] = _SURE
                break
    graph.edges += doubled
    return votes


def _is_drawn_twice(graph: Graph, marks: Marks, end: int, tip: int, others: list[int]) -> bool:
    """Whether the pen ran along a line, given by its end at a fork and its tip, on its way between others."""
    stem, *legs = (leg_at(graph, marks, one) for one in (end, *others))
    lines, length = [_away(graph, one) for one in others], graph.edges[end // 2].length
    return (
        (stem.direction[1] > _STEEP and all(_runs_into(graph, one, stem) for one in others))
        or _is_turn(stem, legs, lines)
        or _is_corner(stem, length, legs)
        or _is_waist(stem, length, lines)
        or _is_filled_loop(stem, length, legs, graph.nodes[tip])
    )


def _runs_into(graph: Graph, end: int, stem: Leg) -> bool:
    """Whether a line is an arc whose circle touches the axis of a stem, along the stem or little above it."""
    edge = graph.edges[end // 2]
    node = graph.nodes[edge.end if end % 2 else edge.start]
    points = (edge.points[::-1] if end % 2 else edge.points) - node.place
    far = np.linalg.norm(points, axis=1) - node.reach
    points = points[(far > 0) & (far < np.clip(edge.length / 2, *(stem.width * np.r_[_NEAREST, _FARTHEST])))]
    if len(points) < _FEWEST:
        return False
    middle, radius = _circle(points)
    off = np.abs(np.linalg.norm(points - middle, axis=1) - radius)
    turned = float(np.linalg.norm(points[-1] - points[0])) / max(radius, 1e-6)
    along = stem.direction @ middle
    across = abs(stem.direction[0] * middle[1] - stem.direction[1] * middle[0])
    touches = abs(across - radius) < _TOUCHING * stem.width and along > -stem.width
    return bool(touches and off.max() < _ROUND * stem.width and turned > _TURNED)


def _is_turn(stem: Leg, legs: list[Leg], lines: list[np.ndarray]) -> bool:
    """Whether the pen turned at the tip of an upright stem, which it reached along one of two lines.

    Both run on smoothly along the stem, and one of them, [n, 2] points from the fork on, is a bowl: to the
    left of a stem that leads up, to the right of one that leads down.
    """
    up = -stem.direction[1]
    if abs(up) < _STEEP or min(smoothness(stem, leg) for leg in legs) < (_RUNS_UP if up > 0 else _RUNS_DOWN):
        return False
    lies_left = lambda line: line[:, 0].mean() < line[0, 0]
    return any(abs(_turned(line)) > _BOWL and lies_left(line) == (up > 0) for line in lines)


def _is_corner(stem: Leg, length: float, legs: list[Leg]) -> bool:
    """Whether a line is what is left of a sharp corner, where the ink of its sides is one."""
    one, other = (leg.direction for leg in legs)
    angle = float(np.arccos(np.clip(one @ other, -1, 1)))
    width = (legs[0].width + legs[1].width) / 2
    if angle > _SHARP or (stem.direction[1] > -_STEEP and length > _CORNER * width):
        return False
    middle = (one + other) / np.linalg.norm(one + other)
    shared = width / 2 / np.sin(max(angle, _SHARPEST) / 2)
    return bool(-middle @ stem.direction > _OPPOSITE and length < _MERGED * shared + width)


def _is_waist(stem: Leg, length: float, lines: list[np.ndarray]) -> bool:
    """Whether a short line leads to the left from between two bowls, [n, 2] points each from the fork on."""
    leads_left = length < _WAIST * stem.width and stem.direction[0] < -_STEEP
    one, other = (_turned(line) for line in lines)
    return leads_left and min(abs(one), abs(other)) > _BOWL and one * other < 0


def _turned(line: np.ndarray) -> float:
    """The angle, with its sign, by which a line of [n, 2] points turns from its first point to its last."""
    steps = np.diff(curves.evenly(line, _STEPS + 1), axis=0)
    headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    return float(headings[-1] - headings[0])


def _away(graph: Graph, end: int) -> np.ndarray:
    """[n, 2] points of a line, from one of its ends on."""
    points = graph.edges[end // 2].points
    return points[::-1] if end % 2 else points


def _circle(points: np.ndarray) -> tuple[np.ndarray, float]:
    """[2] middle and the radius of the circle nearest to [n, 2] points, by linear least squares."""
    (x, y, rest), *_ = np.linalg.lstsq(np.c_[2 * points, np.ones(len(points))], (points**2).sum(axis=1))
    return np.array([x, y]), float(np.sqrt(max(rest + x * x + y * y, 0)))


def _is_filled_loop(stem: Leg, length: float, legs: list[Leg], tip: Node) -> bool:
    """Whether a stem is a loop so narrow that its inside is ink: short, round and wide up to its tip."""
    width = (legs[0].width + legs[1].width) / 2
    if stem.width < _LOOP * width or 2 * tip.radius < _LOOP_TIP * width:
        return False
    if length > _LOOP_LENGTH * width:
        return False
    through = [smoothness(stem._replace(width=leg.width), leg) for leg in legs]
    return min(through) > 0 and sum(through) > smoothness(*legs) + _LOOP_GAIN
