"""Joins lines into strokes: at every crossing, the pairs of lines that a pen would run through."""

import itertools
import math
import statistics
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dood_jax.vectorize.graph import Edge, Graph
from dood_jax.vectorize.marks import Marks

_SHARPEST = np.deg2rad(90)  # a pen that turns by more than this at a fork was lifted there
_LEAD = 2.0  # pen widths over which the direction of a line is measured
_ALONG = np.linspace(0, 1, 9)  # of a lead, where it is measured
_STRAIGHT, _MOST_BENT = (
    np.deg2rad(8),
    np.deg2rad(50),
)  # part of a lead's bend that may be chance; most that counts
_SAME_WIDTH, _WIDTH_WEIGHT = (
    0.1,
    5.0,
)  # logarithm of a change of width that is none; what others add to a turn
_LEAST = 0.15  # smoothness below which a pen was lifted
_PREFERENCE = 2.0  # power of smoothness: above 1, one straight pair is better than two bent ones
_TWIG = 2.0  # pen widths: a shorter line with a free end belongs to a stroke that it meets
_MOST_MATCHED = 7  # with more lines at one crossing, not every pairing is tried

Votes = dict[tuple[int, int, int], float]  # (node, edge end, edge end) -> preference; see `edge_end`


class Path(NamedTuple):
    """A line through the graph that will be a stroke."""

    points: np.ndarray  # [n, 2] in pixels of the page
    is_closed: bool
    width: float  # full width of its ink, in pixels of the page


class Leg(NamedTuple):
    """How a line leaves a crossing."""

    place: np.ndarray  # [2] where it leaves the shared ink
    direction: np.ndarray  # [2] of length 1, away from the crossing
    width: float  # full width of its ink there
    bend: float  # radians for each pixel by which the line turns on its way


def edge_end(edge: int, is_start: bool) -> int:
    """The number of one end of an edge: twice the index of the edge, and 1 more if it is the last point."""
    return 2 * edge + (not is_start)


def join(graph: Graph, marks: Marks, votes: Votes | None = None) -> list[Path]:
    """Finds the strokes of a graph: at every node, lines are paired by how smoothly they continue each other.

    Args:
      graph: the lines.
      marks: the ink that they are the middle lines of.
      votes: other evidence for a pair, from -1 to 1, where 1 counts as much as a straight continuation.
    """
    partner: dict[int, int] = {}
    at_node: dict[int, dict[tuple[int, int], float]] = {}
    for (node, one, other), vote in (votes or {}).items():
        at_node.setdefault(node, {})[one, other] = vote
    at = graph.at()
    for node, meeting in at.items():
        ends = [edge_end(*one) for one in meeting]
        pairs = [(ends[0], ends[1])] if len(ends) == 2 else []  # a closed line, or a corner
        if len(ends) > 2:
            legs = {end: leg_at(graph, marks, end) for end in ends}
            pairs = matching(legs, at_node.get(node))
            is_twig = {end: _is_twig(graph, at, end, leg.width) for end, leg in legs.items()}
            pairs = _with_twigs(graph, legs, pairs, [end for end in ends if is_twig[end]])
        for one, other in pairs:
            partner[one], partner[other] = other, one
    return _chains(graph, marks, partner)


def _is_twig(graph: Graph, at: Mapping[int, list], end: int, width: float) -> bool:
    """Whether a line is so short that no pen was lifted for it, and its other end is free."""
    edge = graph.edges[end // 2]
    tip = edge.start if end % 2 else edge.end
    return len(at[tip]) == 1 and edge.length < _TWIG * width


def _with_twigs(
    graph: Graph, legs: Mapping[int, Leg], pairs: list[tuple[int, int]], twigs: list[int]
) -> list[tuple[int, int]]:
    """The pairs of a crossing, and twigs that had no partner in strokes that meet them.

    A twig continues a line that ends there too. If none does, a stroke that passes runs out along the twig
    and back, for which its edge is added to the graph once more.
    """
    for twig in twigs:
        paired = {end for pair in pairs for end in pair}
        if twig in paired:
            continue
        others = [end for end in legs if end != twig and end not in paired]
        if others:
            pairs = [*pairs, (twig, max(others, key=lambda end: smoothness(legs[twig], legs[end])))]
        elif pairs:
            one, other = max(pairs, key=lambda pair: max(smoothness(legs[twig], legs[end]) for end in pair))
            edge = graph.edges[twig // 2]
            graph.edges.append(Edge(edge.points.copy(), edge.start, edge.end))
            back = edge_end(len(graph.edges) - 1, twig % 2 == 0)
            rest = [pair for pair in pairs if pair != (one, other)]
            pairs = [*rest, (one, twig), (back, other), (twig ^ 1, back ^ 1)]
    return pairs


def matching(
    legs: Mapping[int, Leg],
    preferred: Mapping[tuple[int, int], float] | None = None,
    least: float | None = None,
) -> list[tuple[int, int]]:
    """Pairs of the lines that meet somewhere which belong to one stroke.

    Args:
      legs: how each of them leaves the crossing, by the number of its end.
      preferred: what is added to the smoothness of a pair; the smaller number comes first.
      least: smoothness below which a pair is none.
    """
    gains = {}
    for one, other in itertools.combinations(sorted(legs), 2):
        gain = smoothness(legs[one], legs[other]) + (preferred or {}).get((one, other), 0.0)
        if gain > (_LEAST if least is None else least):
            gains[one, other] = gain**_PREFERENCE
    return _best_matching(sorted(legs), gains)


def leg_at(graph: Graph, marks: Marks, end: int) -> Leg:
    """How a line leaves the node at one of its ends.

    The direction is measured over some pen widths from where the line leaves the shared ink. If the line
    bends there, it is taken to have bent as much from the crossing on.
    """
    edge = graph.edges[end // 2]
    node = graph.nodes[edge.end if end % 2 else edge.start]
    points = edge.points[::-1] if end % 2 else edge.points
    far = np.concatenate([[0], np.hypot(*(points[1:] - points[:-1]).T).cumsum()])
    skip = min(1.1 * node.reach, far[-1] * 0.4)
    outside = points[far >= skip]
    width = statistics.median(marks.widths_at(outside[: max(len(outside) // 2, 8)]).tolist())
    lead = min(_LEAD * width, far[-1] - skip)
    at = skip + lead * _ALONG
    x, y = (np.interp(at, far, points[:, axis]).tolist() for axis in (0, 1))
    near, distant = _heading(x[:5], y[:5]), _heading(x[4:], y[4:])
    turned = (distant - near + math.pi) % (2 * math.pi) - math.pi  # over half the length of the lead
    bend = turned / (lead / 2) if lead > 0 else 0.0
    certain = bend * max(1 - _STRAIGHT / max(abs(turned), 1e-9), 0)
    heading = _heading(x, y) - min(max(certain * (skip + lead / 2), -_MOST_BENT), _MOST_BENT)
    return Leg(np.array([x[0], y[0]]), np.array([math.cos(heading), math.sin(heading)]), width, bend)


def _heading(x: list[float], y: list[float]) -> float:
    """Angle of the principal axis of a few points, from the first towards the last."""
    right, down = sum(x) / len(x), sum(y) / len(y)
    away = [(one - right, other - down) for one, other in zip(x, y, strict=True)]
    both, apart = sum(a * b for a, b in away), sum(a * a - b * b for a, b in away)
    angle = 0.5 * math.atan2(2 * both, apart)
    runs_back = (x[-1] - x[0]) * math.cos(angle) + (y[-1] - y[0]) * math.sin(angle) < 0
    return angle + math.pi if runs_back else angle


def smoothness(one: Leg, other: Leg) -> float:
    """1 for a straight continuation, 0 at the sharpest turn, and less beyond it.

    A turn at which the width of the ink changes counts more.
    """
    ahead, back = one.direction.tolist(), other.direction.tolist()
    turn = _angle(-ahead[0] * back[0] - ahead[1] * back[1])
    x, y = (other.place - one.place).tolist()
    distance = math.hypot(x, y)
    if distance > 1e-6:  # two lines side by side do not continue each other
        bend = _angle(-(ahead[0] * x + ahead[1] * y) / distance)
        bend = max(bend, _angle((back[0] * x + back[1] * y) / distance))
        turn = max(turn, 1.2 * bend - 0.1)
    change = max(abs(math.log(one.width / other.width)) - _SAME_WIDTH, 0.0)
    return 1 - turn / _SHARPEST * (1 + _WIDTH_WEIGHT * change)


def _angle(cosine: float) -> float:
    return math.acos(min(max(cosine, -1.0), 1.0))


def _best_matching(ends: list[int], gains: dict[tuple[int, int], float]) -> list[tuple[int, int]]:
    """The disjoint pairs of largest total gain, by trying all of them."""
    if len(ends) > _MOST_MATCHED:
        return _greedy_matching(gains)

    def best(left: tuple[int, ...]) -> tuple[float, list[tuple[int, int]]]:
        if len(left) < 2:
            return 0.0, []
        first, rest = left[0], left[1:]
        found = best(rest)
        for other in rest:
            if (first, other) in gains:
                gain, pairs = best(tuple(end for end in rest if end != other))
                found = max(found, (gain + gains[first, other], [(first, other), *pairs]))
        return found

    return best(tuple(ends))[1]


def _greedy_matching(gains: dict[tuple[int, int], float]) -> list[tuple[int, int]]:
    """Disjoint pairs, those of largest gain first."""
    pairs: list[tuple[int, int]] = []
    used: set[int] = set()
    for (one, other), _ in sorted(gains.items(), key=lambda item: -item[1]):
        if not {one, other} & used:
            pairs.append((one, other))
            used |= {one, other}
    return pairs


def _chains(graph: Graph, marks: Marks, partner: dict[int, int]) -> list[Path]:
    """All strokes: from every end without a partner, and then round every closed line."""
    left = set(range(len(graph.edges)))
    free = [end for edge in left for end in (2 * edge, 2 * edge + 1) if end not in partner]
    paths = []
    for end in [*free, *(2 * edge for edge in sorted(left))]:
        if end // 2 in left:
            paths.append(_chain(graph, marks, partner, end, left))
    return paths


def _chain(graph: Graph, marks: Marks, partner: dict[int, int], first: int, left: set[int]) -> Path:
    """The stroke that begins at an edge end; its edges are taken out of `left`."""
    pieces: list[np.ndarray] = []
    widths: list[np.ndarray] = []
    following: int | None = first
    while following is not None and following // 2 in left:
        index, forward = following // 2, following % 2 == 0
        left.remove(index)
        points = graph.edges[index].points
        pieces.append(points if forward else points[::-1])
        widths.append(_own_widths(graph, marks, index))
        last = following ^ 1  # the other end of the edge
        following = partner.get(last)
    is_closed = partner.get(last) == first
    joined = [pieces[0], *(piece[1:] for piece in pieces[1:])]
    return Path(np.concatenate(joined), is_closed, float(np.median(np.concatenate(widths))))


def _own_widths(graph: Graph, marks: Marks, index: int) -> np.ndarray:
    """Widths of the ink along an edge, where it shares it with no other."""
    edge = graph.edges[index]
    ends = [graph.nodes[edge.start], graph.nodes[edge.end]]
    away = np.all([np.linalg.norm(edge.points - node.place, axis=1) > node.reach for node in ends], axis=0)
    return marks.widths_at(edge.points[away] if away.any() else edge.points)
