"""Repairs the graph of a skeleton where thinning does not leave what the pen drew.

- Two forks that lie within one pen's width are one crossing; the line between them (a bridge) is not drawn.
- In a sharp corner the ink of both legs runs together, and thinning leaves a stem that ends at the tip. The
  stem is removed, and the legs are led to the tip.
- A twig that does not leave the ink of its fork comes from a rough edge and is not a stroke.
"""

import numpy as np

from dood_jax.vectorize.graph import Edge, Graph, move_end
from dood_jax.vectorize.pen_width import Marks

_BRIDGE = 1.6  # forks closer than this many widths of the ink between them are one crossing
_SWOLLEN = 1.15  # a stem wider than this many times its legs is two legs side by side,
_NARROWING = 1.06  # if its half at the fork is wider than its half at the tip by this factor
_TWIG = 1.5  # a twig shorter than this many radii of its fork is removed


def clean_up(graph: Graph, marks: Marks) -> None:
    """Repairs the graph of the marks' middle lines in place."""
    _contract_bridges(graph)
    _restore_corners(graph, marks)
    _prune_twigs(graph)
    graph.edges = [edge for edge in graph.edges if not _is_closed_within_ink(graph, edge)]


def _is_closed_within_ink(graph: Graph, edge: Edge) -> bool:
    """Whether a loop is too small to leave paper inside; merged forks can leave one."""
    return edge.start == edge.end and edge.length < np.pi * graph.radii[edge.start]


def _contract_bridges(graph: Graph) -> None:
    """Makes one crossing of forks that lie within the ink of each other, nearest first."""
    while True:
        at = graph.at()
        bridges = []
        for index, edge in enumerate(graph.edges):
            if edge.start != edge.end and min(len(at[edge.start]), len(at[edge.end])) > 2:
                length = edge.length / (2 * max(graph.radii[edge.start], graph.radii[edge.end]))
                bridges += [(length, index)] if length < _BRIDGE else []
        if not bridges:
            return
        touched: set[int] = set()  # nodes that were merged in this round, where `at` is out of date
        merged = []
        for _, index in sorted(bridges):
            bridge = graph.edges[index]
            if bridge.start not in touched and bridge.end not in touched:
                touched |= {bridge.start, bridge.end}
                _merge(graph, bridge, [graph.edges[i] for i, _ in at[bridge.start] + at[bridge.end]])
                merged.append(bridge)
        gone = {id(bridge) for bridge in merged}
        graph.edges = [edge for edge in graph.edges if id(edge) not in gone]


def _merge(graph: Graph, bridge: Edge, around: list[Edge]) -> None:
    """Replaces the two nodes of a bridge by one between them; `around` are the edges that end there."""
    kept, gone = bridge.start, bridge.end
    place = (graph.places[kept] + graph.places[gone]) / 2
    graph.radii[kept] = max(graph.radii[kept], graph.radii[gone])
    for edge in {id(edge): edge for edge in around if edge is not bridge}.values():
        edge.start = kept if edge.start == gone else edge.start
        edge.end = kept if edge.end == gone else edge.end
        if edge.start == kept:
            edge.points = move_end(edge.points[::-1], place, graph.radii[kept])[::-1]
        if edge.end == kept:
            edge.points = move_end(edge.points, place, graph.radii[kept])
    graph.places[kept] = place
    del graph.places[gone], graph.radii[gone]


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
            legs = [graph.edges[other] for other, _ in meeting if other != index]
            if len(legs) == 2 and len(at[tip]) == 1 and _is_swollen(marks, stem, tip, legs):
                _lead_to_tip(graph, node, tip, legs)
                gone.add(index)
                break
    graph.edges = [edge for index, edge in enumerate(graph.edges) if index not in gone]


def _is_swollen(marks: Marks, stem: Edge, tip: int, legs: list[Edge]) -> bool:
    """Whether the ink of a stem is that of two lines side by side, and narrows towards the tip."""
    pen = np.median(marks.radii_at(np.concatenate([leg.points for leg in legs])))
    radii = marks.radii_at(stem.points if stem.start == tip else stem.points[::-1])
    margin = len(radii) // 4
    near, far = np.array_split(radii[margin : len(radii) - margin], 2)  # from the tip
    middle = np.median(np.concatenate([near, far]))
    narrows = len(far) == 0 or np.median(far) > _NARROWING * np.median(near)
    return bool(middle > _SWOLLEN * pen and narrows)


def _lead_to_tip(graph: Graph, fork: int, tip: int, legs: list[Edge]) -> None:
    """Runs the ends of two legs straight to their tip, from where they leave their common ink."""
    place = graph.places[tip]
    reach = float(np.linalg.norm(place - graph.places[fork])) + graph.radii[fork]
    for leg in {id(leg): leg for leg in legs}.values():
        if leg.end == fork:
            leg.points, leg.end = move_end(leg.points, place, reach), tip
        if leg.start == fork:
            leg.points, leg.start = move_end(leg.points[::-1], place, reach)[::-1], tip
    del graph.places[fork], graph.radii[fork]


def _prune_twigs(graph: Graph) -> None:
    """Removes twigs, shortest first, and joins the two lines that are left where a twig was."""
    while True:
        at = graph.at()
        twigs = []
        for index, edge in enumerate(graph.edges):
            for tip, fork in ((edge.start, edge.end), (edge.end, edge.start)):
                if len(at[tip]) == 1 and len(at[fork]) > 2:
                    length = edge.length / graph.radii[fork]
                    twigs += [(length, index, fork)] if length < _TWIG else []
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
