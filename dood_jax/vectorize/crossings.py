"""Joins lines into strokes: at every crossing, the pairs of lines that a pen would run through."""

import itertools
from typing import NamedTuple

import numpy as np

from dood_jax.vectorize.graph import Graph

_SHARPEST = np.deg2rad(90)  # a pen that turns by more than this at a fork was lifted there
_LEAD = 2.0  # pen widths over which the direction of a line is measured
_MOST_MATCHED = 7  # with more lines at one crossing, not every pairing is tried

Votes = dict[tuple[int, int, int], float]  # (node, edge end, edge end) -> preference; see `edge_end`


class Path(NamedTuple):
    """A line through the graph that will be a stroke."""

    points: np.ndarray  # [n, 2] in pixels of the page
    is_closed: bool
    edges: tuple[tuple[int, bool], ...]  # (edge index, whether it runs forward)


def edge_end(edge: int, is_start: bool) -> int:
    """The number of one end of an edge: twice the index of the edge, and 1 more if it is the last point."""
    return 2 * edge + (not is_start)


def join(graph: Graph, pen_width: float, votes: Votes | None = None) -> list[Path]:
    """Finds the strokes of a graph: at every node, lines are paired by how smoothly they continue each other.

    Args:
      graph: the lines.
      pen_width: in pixels of the page.
      votes: other evidence for a pair, from -1 to 1, where 1 counts as much as a straight continuation.
    """
    partner: dict[int, int] = {}
    for node, meeting in graph.at().items():
        ends = [edge_end(*one) for one in meeting]
        for one, other in _pairs(graph, node, ends, pen_width, votes or {}):
            partner[one], partner[other] = other, one
    return _chains(graph, partner)


def _pairs(graph: Graph, node: int, ends: list[int], pen_width: float, votes: Votes) -> list[tuple[int, int]]:
    """Pairs of edge ends at a node that belong to one stroke."""
    if len(ends) == 2:  # a closed line, or a corner
        return [(ends[0], ends[1])]
    if len(ends) < 2:
        return []
    reach = graph.radii[node] * 1.1
    leads = {end: _lead(graph, end, reach, _LEAD * pen_width) for end in ends}
    gains = {}
    for one, other in itertools.combinations(sorted(ends), 2):
        gain = _smoothness(leads[one], leads[other]) + votes.get((node, one, other), 0.0)
        if gain > 0:
            gains[one, other] = gain
    return _best_matching(sorted(ends), gains)


def _lead(graph: Graph, end: int, skip: float, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Where a line leaves the ink of a crossing, and its unit direction there, away from the crossing.

    The direction is the principal axis of the points between `skip` and `skip + reach` along the line.
    """
    points = graph.edges[end // 2].points
    points = points[::-1] if end % 2 else points
    far = np.concatenate([[0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    skip = min(skip, far[-1] * 0.4)
    stop = min(skip + reach, far[-1])
    at = np.linspace(skip, stop, 8)
    seen = np.stack([np.interp(at, far, points[:, axis]) for axis in (0, 1)], axis=1)
    offset = seen - seen.mean(0)
    direction = np.linalg.svd(offset, full_matrices=False)[2][0]
    direction = direction * (1 if offset[-1] @ direction > offset[0] @ direction else -1)
    return seen[0], direction


def _smoothness(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> float:
    """1 for a straight continuation, 0 at the sharpest turn, and less beyond it; see `_lead`."""
    turn = np.arccos(np.clip(-one[1] @ other[1], -1, 1))
    across = other[0] - one[0]
    distance = np.linalg.norm(across)
    if distance > 1e-6:  # two lines side by side do not continue each other
        bend = np.arccos(np.clip(-one[1] @ across / distance, -1, 1))
        bend = max(bend, np.arccos(np.clip(other[1] @ across / distance, -1, 1)))
        turn = max(turn, 1.2 * bend - 0.1)
    return float(1 - turn / _SHARPEST)


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


def _chains(graph: Graph, partner: dict[int, int]) -> list[Path]:
    """All strokes: from every end without a partner, and then round every closed line."""
    left = set(range(len(graph.edges)))
    free = [end for edge in left for end in (2 * edge, 2 * edge + 1) if end not in partner]
    paths = []
    for end in [*free, *(2 * edge for edge in sorted(left))]:
        if end // 2 in left:
            paths.append(_chain(graph, partner, end, left))
    return paths


def _chain(graph: Graph, partner: dict[int, int], first: int, left: set[int]) -> Path:
    """The stroke that begins at an edge end; its edges are taken out of `left`."""
    steps: list[tuple[int, bool]] = []
    pieces: list[np.ndarray] = []
    following: int | None = first
    while following is not None and following // 2 in left:
        index, forward = following // 2, following % 2 == 0
        left.remove(index)
        points = graph.edges[index].points
        pieces.append((points if forward else points[::-1])[1 if pieces else 0 :])
        steps.append((index, forward))
        last = following ^ 1  # the other end of the edge
        following = partner.get(last)
    is_closed = partner.get(last) == first
    return Path(np.concatenate(pieces), is_closed, tuple(steps))
