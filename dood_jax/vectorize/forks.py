"""Repairs the graph of middle lines where thinning does not leave what the pen drew.

- Where two lines cross, their ink is one for a while, and thinning leaves two forks with a bridge between
  them. Forks at which a line breaks off, and which face each other across such a bridge, become one crossing.
- In a sharp corner the ink of both legs is one too, and thinning leaves a stem that ends at the tip. The stem
  is removed, and the legs are led to the tip.
- A twig that does not leave the ink of its fork comes from a rough edge and is not a stroke.

How long the shared ink of two lines is follows from how wide it is. Two lines of width 2h that meet at an
angle θ have their fork where the largest disc has the radius r = 2h/(1 + s) with s = sin(θ/2), and the disc's
middle lies at the distance t = h (1/s - 1)/(1 + s) from the point where the middle lines meet.
"""

import statistics

import numpy as np

from dood_jax.vectorize.crossings import Leg, edge_end, leg_at, matching
from dood_jax.vectorize.graph import Edge, Graph, Node
from dood_jax.vectorize.marks import Marks

_CENTRED = 0.6  # a fork lies at the edge of the ink if its own disc is smaller than the largest by this
_LEAST_SINE = 0.04  # of half the angle between two lines, below which their shared ink has no known end
_MOST_LEGS = 10  # that are made to meet at one crossing
_LONGEST = 12.0  # widths of the ink at its forks beyond which a bridge is a line of its own
_SLACK = 1.5  # by which shared ink may be longer than it should be,
_MARGIN = 0.6  # and the pen widths that may be added to that at a crossing
_BRIDGE = 1.6  # a bridge may always be as long as this many widths of the ink at its forks
_TOUCH = 1.3  # pen widths that a bridge may have at most if no line breaks off but itself
_FACING = 0.35  # smoothness with which lines continue each other across a bridge
_SWOLLEN = 1.12  # the ink of a corner's fork is wider than its legs by this factor
_POINTED = 0.6  # the ink of a tip is that of a corner if it is narrower than its legs by this factor,
_SHARP = 0.25  # and they turn sharply: least cosine of the angle between them
_POINT = 3.0  # and it is no longer than where its legs would meet, and so many pen widths
_DOUBLE = 1.15  # a stem wider than its legs by this factor is two lines side by side, however long it is
_BESIDE = 0.25  # and if the angle between its legs has at least this cosine
_NARROWING = 1.06  # a stem that is shared ink is wider near its fork than near its tip by this factor
_SHARED = 0.6  # pen widths by which another tip may lie farther than where its legs would meet
_TWIG = 0.15  # a twig that leaves the ink of its fork by less than this many radii is removed


def repair(graph: Graph, marks: Marks) -> None:
    """Repairs the graph of the marks' middle lines in place."""
    _centre_forks(graph, marks)
    _restore_corners(graph, marks)
    _merge_crossings(graph, marks)
    _restore_corners(graph, marks)
    _prune_twigs(graph, marks.ragged)
    graph.edges = [edge for edge in graph.edges if not _is_closed_within_ink(graph, edge)]


def move_end(points: np.ndarray, place: np.ndarray, radius: float) -> np.ndarray:
    """Leads the end of a line to another place.

    Args:
      points: [n, 2] of the line. Those at its end that lie near the place are replaced by a straight piece.
      place: [2] the new end.
      radius: how near that is, usually the radius of the ink around the place.
    """
    outside = np.flatnonzero(np.linalg.norm(points - place, axis=1) > radius)
    kept = points[: outside[-1] + 1] if len(outside) else points[:1]
    return np.concatenate([kept, place[None]])


def _centre_forks(graph: Graph, marks: Marks) -> None:
    """Moves forks that thinning left at the edge of the ink to the middle of the largest disc around them."""
    for node, meeting in graph.at().items():
        if len(meeting) < 3:
            continue
        fork = graph.nodes[node]
        place, radius = _largest_disc(marks, fork)
        if fork.radius > _CENTRED * radius:
            continue
        graph.nodes[node] = Node(place, radius, radius)
        for index, is_start in meeting:
            edge = graph.edges[index]
            points = edge.points[::-1] if is_start else edge.points
            points = move_end(points, place, radius)
            edge.points = points[::-1] if is_start else points


def _largest_disc(marks: Marks, fork: Node) -> tuple[np.ndarray, float]:
    """[2] middle and the radius of the largest disc of ink that a fork lies in, in pixels of the page."""
    column, row = np.floor(fork.place * marks.factor).astype(int)
    reach = int(np.ceil(marks.pen_width * marks.factor))
    top, left = max(row - reach, 0), max(column - reach, 0)
    distance = marks.distance[top : row + reach + 1, left : column + reach + 1]
    rows, columns = np.indices(distance.shape)
    away = np.hypot(rows + top - row, columns + left - column)
    best = np.argmax(np.where(away <= distance + 1, distance, 0))
    y, x = np.unravel_index(best, distance.shape)
    place = np.array([x + left + 0.5, y + top + 0.5]) / marks.factor
    return place, (float(distance[y, x]) - 0.25) / marks.factor


def _is_closed_within_ink(graph: Graph, edge: Edge) -> bool:
    """Whether a loop is too small to leave paper inside; merged forks can leave one."""
    return edge.start == edge.end and edge.length < np.pi * graph.nodes[edge.start].radius


def _shared_length(width: float, radius: float) -> float:
    """The distance t of the module's docstring, for lines of full width `width` and a fork of radius r."""
    return _shared_by_sine(width, width / radius - 1)


def _shared_by_angle(width: float, legs: list[Leg]) -> float:
    """The same distance by the angle at which two legs leave a fork; 0 for other numbers of legs."""
    if len(legs) != 2:
        return 0.0
    cosine = np.clip(legs[0].direction @ legs[1].direction, -1, 1)
    return _shared_by_sine(width, float(np.sqrt((1 - cosine) / 2)))


def _shared_by_sine(width: float, sine: float) -> float:
    """The same distance by the sine of half the angle."""
    sine = float(np.clip(sine, _LEAST_SINE, 1))
    return width / 2 * (1 / sine - 1) / (1 + sine)


class _Meeting:
    """The ends of edges at every node, and how each leaves its node."""

    def __init__(self, graph: Graph, marks: Marks):
        self._graph, self._marks = graph, marks
        self.at = {node: [edge_end(*one) for one in meeting] for node, meeting in graph.at().items()}
        self._legs: dict[int, Leg] = {}

    def leg(self, end: int) -> Leg:
        """How an end leaves its node; measured once."""
        if end not in self._legs:
            self._legs[end] = leg_at(self._graph, self._marks, end)
        return self._legs[end]

    def loose(self, ends: list[int]) -> set[int]:
        """Those of some ends that meet which no other continues smoothly, without the twigs."""
        ragged = self._marks.ragged
        lines = [end for end in ends if not _is_twig(self._graph, end // 2, self.at, ragged)]
        pairs = matching({end: self.leg(end) for end in lines}, least=_FACING)
        return set(lines) - {end for pair in pairs for end in pair}


def _merge_crossings(graph: Graph, marks: Marks) -> None:
    """Makes one crossing of every two forks that face each other across a bridge, nearest first."""
    touched = set(graph.nodes)
    while True:
        meeting = _Meeting(graph, marks)
        # What is true of an edge follows from the nodes at its ends and their neighbours.
        near = {node for edge in graph.edges if edge.nodes & touched for node in edge.nodes}
        bridges = sorted(
            (edge.length, index)
            for index, edge in enumerate(graph.edges)
            if edge.start != edge.end and edge.nodes & near and _is_crossed(graph, index, meeting)
        )
        if not bridges:
            return
        touched = set()  # nodes that were merged in this round, where `meeting` is out of date
        gone = set()
        for _, index in bridges:
            bridge = graph.edges[index]
            if not bridge.nodes & touched:
                touched |= bridge.nodes
                ends = meeting.at[bridge.start] + meeting.at[bridge.end]
                _merge(graph, bridge, [graph.edges[end // 2] for end in ends])
                gone.add(id(bridge))
        graph.edges = [edge for edge in graph.edges if id(edge) not in gone]


def _is_crossed(graph: Graph, index: int, meeting: _Meeting) -> bool:
    """Whether fewer lines break off if the forks at both ends of an edge are one crossing."""
    bridge = graph.edges[index]
    sides = [meeting.at[bridge.start], meeting.at[bridge.end]]
    radii = [graph.nodes[node].radius for node in (bridge.start, bridge.end)]
    longest = 2 * max(radii) * _SLACK * _LONGEST
    if min(len(side) for side in sides) < 3 or bridge.length > longest:
        return False
    own = {2 * index, 2 * index + 1}
    legs = [end for side in sides for end in side if end not in own]
    if len(legs) > _MOST_LEGS:
        return False
    if bridge.length < max(radii):  # one fork lies in the ink of the other
        return True
    width = statistics.median(meeting.leg(end).width for end in legs)
    by_radius = 2 * _shared_length(width, float(np.mean(radii)))
    by_angle = sum(
        _shared_by_angle(width, [meeting.leg(end) for end in side if end not in own]) for side in sides
    )
    shared = max(by_radius, by_angle)
    if bridge.length > max(_SLACK * shared + _MARGIN * width, _BRIDGE * 2 * max(radii)):
        return False
    apart = [meeting.loose(side) for side in sides]
    if any(side <= own for side in apart) and bridge.length > _TOUCH * width:
        return False
    return len(meeting.loose(legs)) < len(apart[0]) + len(apart[1])


def _is_twig(graph: Graph, index: int, at: dict[int, list[int]], ragged: float) -> bool:
    """Whether an edge ends within the ink of a fork that it leaves, or little beyond it.

    Edges of ink that are ragged by so many pixels are no lines.
    """
    edge = graph.edges[index]
    for tip, fork in ((edge.start, edge.end), (edge.end, edge.start)):
        if len(at[tip]) == 1 and len(at[fork]) > 2:
            radius = graph.nodes[fork].radius
            return edge.length + graph.nodes[tip].radius - radius < max(_TWIG * radius, ragged)
    return False


def _merge(graph: Graph, bridge: Edge, around: list[Edge]) -> None:
    """Replaces the two nodes of a bridge by one between them; `around` are the edges that end there."""
    kept, gone = bridge.start, bridge.end
    one, other = graph.nodes[kept], graph.nodes[gone]
    place = (one.place + other.place) / 2
    reach = max(float(np.linalg.norm(node.place - place)) + node.reach for node in (one, other))
    graph.nodes[kept] = Node(place, max(one.radius, other.radius), reach)
    for edge in {id(edge): edge for edge in around if edge is not bridge}.values():
        edge.start = kept if edge.start == gone else edge.start
        edge.end = kept if edge.end == gone else edge.end
        if edge.start == kept:
            edge.points = move_end(edge.points[::-1], place, reach)[::-1]
        if edge.end == kept:
            edge.points = move_end(edge.points, place, reach)
    del graph.nodes[gone]


def _restore_corners(graph: Graph, marks: Marks) -> None:
    """Leads both legs of every sharp corner to its tip, and removes the stem between them."""
    at = graph.at()
    gone = set()
    for node, meeting in at.items():
        if len(meeting) != 3:
            continue
        for index, is_start in meeting:
            stem = graph.edges[index]
            tip = stem.end if is_start else stem.start
            ends = [edge_end(*one) for one in meeting if one[0] != index]
            if len(ends) == 2 and len(at[tip]) == 1 and _is_corner(graph, marks, (stem, node, tip), ends):
                _lead_to_tip(graph, node, tip, [graph.edges[end // 2] for end in ends])
                gone.add(index)
                break
    graph.edges = [edge for index, edge in enumerate(graph.edges) if index not in gone]


def _is_corner(graph: Graph, marks: Marks, stem_of: tuple[Edge, int, int], ends: list[int]) -> bool:
    """Whether a stem is the shared ink of its legs, by its width and length, and narrows towards the tip.

    `ends` are those of the legs at the fork of the stem.
    """
    stem, node, tip = stem_of
    legs = [graph.edges[end // 2] for end in ends]
    fork = graph.nodes[node]
    width = float(np.median(marks.widths_at(np.concatenate([leg.points for leg in legs]))))
    if fork.radius < _SWOLLEN * width / 2:
        return False
    widths = marks.widths_at(stem.points if stem.start == tip else stem.points[::-1])
    margin = len(widths) // 8
    near, far = np.array_split(widths[margin : len(widths) - margin], 2)  # from the tip
    if len(far) and np.median(far) <= _NARROWING * np.median(near):
        return False
    one, other = (leg_at(graph, marks, end) for end in ends)
    cosine = float(one.direction @ other.direction)
    by_angle = _SLACK * _shared_by_angle(width, [one, other])
    length = stem.length + graph.nodes[tip].radius - width / 2
    is_pointed = graph.nodes[tip].radius < _POINTED * width / 2 and cosine > _SHARP
    if is_pointed and length < by_angle + _POINT * width:
        return True
    if len(far) and np.median(widths) > _DOUBLE * width and cosine > _BESIDE:
        return True
    # The corner of a blunt angle is filled with ink, which widens the fork.
    filled = max(width - fork.radius, 0) / 2
    by_radius = _SLACK * _shared_length(width, fork.radius - filled)
    return length < min(by_radius, by_angle + _SHARED * width)


def _lead_to_tip(graph: Graph, fork: int, tip: int, legs: list[Edge]) -> None:
    """Runs the ends of two legs straight to their tip, from where they leave their common ink."""
    place = graph.nodes[tip].place
    reach = float(np.linalg.norm(place - graph.nodes[fork].place)) + graph.nodes[fork].radius
    for leg in {id(leg): leg for leg in legs}.values():
        if leg.end == fork:
            leg.points, leg.end = move_end(leg.points, place, reach), tip
        if leg.start == fork:
            leg.points, leg.start = move_end(leg.points[::-1], place, reach)[::-1], tip
    del graph.nodes[fork]


def _prune_twigs(graph: Graph, ragged: float) -> None:
    """Removes twigs, shortest first, and joins the two lines that are left where a twig was."""
    while True:
        at = {node: [edge_end(*one) for one in meeting] for node, meeting in graph.at().items()}
        twigs = []
        for index, edge in enumerate(graph.edges):
            if _is_twig(graph, index, at, ragged):
                fork = edge.start if len(at[edge.start]) > 1 else edge.end
                twigs.append((edge.length / graph.nodes[fork].radius, index, fork))
        if not twigs:
            return
        forks: set[int] = set()
        gone: set[int] = set()
        for _, index, fork in sorted(twigs):
            if fork not in forks:  # one in each round: the others may be strokes once it is gone
                forks.add(fork)
                gone.add(index)
        graph.edges = [edge for index, edge in enumerate(graph.edges) if index not in gone]
        _join_pairs(graph, forks)


def _join_pairs(graph: Graph, nodes: set[int]) -> None:
    """Makes one edge of two at every node where only two meet."""
    at = graph.at()
    edges: list[Edge | None] = list(graph.edges)
    for node in nodes:
        if len(at.get(node, [])) != 2:
            continue
        (one, one_starts), (other, other_starts) = at[node]
        first, second = edges[one], edges[other]
        if one == other or first is None or second is None:
            continue
        before = first.points[::-1] if one_starts else first.points
        after = second.points if other_starts else second.points[::-1]
        start = first.end if one_starts else first.start
        end = second.end if other_starts else second.start
        edges[one], edges[other] = Edge(np.concatenate([before, after[1:]]), start, end), None
        # The far ends now belong to the joined edge, which has the number `one`.
        at[end] = [((one, False) if found == (other, not other_starts) else found) for found in at[end]]
        at[start] = [((one, True) if found == (one, not one_starts) else found) for found in at[start]]
    graph.edges = [edge for edge in edges if edge is not None]
