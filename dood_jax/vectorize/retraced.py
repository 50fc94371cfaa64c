"""Lines that the pen ran along twice, down and up again, of which the ink shows one.

- A stem below two arcs that run into it, as in the letter m.
- A loop so narrow that its inside is ink.
"""

import numpy as np

from dood_jax.vectorize.crossings import Leg, edge_end, leg_at, smoothness
from dood_jax.vectorize.graph import Edge, Graph, Node
from dood_jax.vectorize.marks import Marks

_DOWN = 0.7  # least part of its length by which a stem leads down
_NEAREST, _FARTHEST = 3.0, 5.0  # pens: half of an arc is looked at, but at least and at most so much of it
_TOUCHING = 0.5  # pens by which the circle of an arc may miss the axis of its stem
_ROUND = 0.2  # pens by which an arc may leave its circle
_TURNED = 0.4  # least turn of an arc, in radians
_FEWEST = 5  # points of an arc
_LOOP, _LOOP_TIP = 1.4, 1.25  # least width of a filled loop and of its tip, in pens
_LOOP_LENGTH = 6.0  # most length of it, in pens
_LOOP_GAIN = 0.5  # by which its legs continue it more smoothly than each other


def draw_twice(graph: Graph, marks: Marks) -> None:
    """Doubles, in place, every line with a free end that both other lines of its fork were drawn along."""
    at = graph.at()
    doubled = []
    for meeting in at.values():
        if len(meeting) != 3:
            continue
        for index, is_start in meeting:
            stem = graph.edges[index]
            tip = stem.end if is_start else stem.start
            others = [edge_end(*one) for one in meeting if one[0] != index]
            if len(others) != 2 or len(at[tip]) != 1:
                continue
            first, *legs = (leg_at(graph, marks, end) for end in (edge_end(index, is_start), *others))
            is_stem = first.direction[1] > _DOWN and all(_runs_into(graph, end, first) for end in others)
            if is_stem or _is_filled_loop(first, legs, stem, graph.nodes[tip]):
                doubled.append(Edge(stem.points.copy(), stem.start, stem.end))
                break
    graph.edges += doubled


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


def _circle(points: np.ndarray) -> tuple[np.ndarray, float]:
    """[2] middle and the radius of the circle nearest to [n, 2] points, by linear least squares."""
    (x, y, rest), *_ = np.linalg.lstsq(np.c_[2 * points, np.ones(len(points))], (points**2).sum(axis=1))
    return np.array([x, y]), float(np.sqrt(max(rest + x * x + y * y, 0)))


def _is_filled_loop(first: Leg, legs: list[Leg], stem: Edge, tip: Node) -> bool:
    """Whether a stem is a loop so narrow that its inside is ink: short, round and wide up to its tip."""
    width = (legs[0].width + legs[1].width) / 2
    if first.width < _LOOP * width or 2 * tip.radius < _LOOP_TIP * width:
        return False
    if stem.length > _LOOP_LENGTH * width:
        return False
    through = [smoothness(first._replace(width=leg.width), leg) for leg in legs]
    return min(through) > 0 and sum(through) > smoothness(*legs) + _LOOP_GAIN
