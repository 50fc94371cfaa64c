"""Sharp turns: where the ink of two legs is one, thinning leaves a stem, which is taken away."""

import numpy as np

from dood_jax.ink.graph import Edge, Graph, move_end
from dood_jax.ink.scale import Marks

_SWOLLEN = 1.15  # a stem wider than this many times its legs is two legs side by side,
_NARROWING = 1.06  # if its half at the fork is wider than that at the tip by this much


def restore(graph: Graph, marks: Marks) -> None:
    """Leads both legs of every sharp turn to its tip, in place of the stem that was found between."""
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
                _lead_to(graph, node, tip, legs)
                gone.add(index)
                break
    graph.edges = [edge for index, edge in enumerate(graph.edges) if index not in gone]


def _is_swollen(marks: Marks, stem: Edge, tip: int, legs: list[Edge]) -> bool:
    """Whether the ink half way to the tip is that of two pens side by side, and narrows towards the tip."""
    pen = np.median(marks.radii_at(np.concatenate([leg.points for leg in legs])))
    radii = marks.radii_at(stem.points if stem.start == tip else stem.points[::-1])
    margin = len(radii) // 4
    near, far = np.array_split(radii[margin : len(radii) - margin], 2)
    middle = np.median(np.concatenate([near, far]))
    narrows = len(far) == 0 or np.median(far) > _NARROWING * np.median(near)
    return bool(middle > _SWOLLEN * pen and narrows)


def _lead_to(graph: Graph, fork: int, tip: int, legs: list[Edge]) -> None:
    """Runs the ends of two legs straight to their tip, from where they leave their common ink."""
    place = graph.places[tip]
    reach = float(np.linalg.norm(place - graph.places[fork])) + graph.radii[fork]
    for leg in {id(leg): leg for leg in legs}.values():
        if leg.end == fork:
            leg.points, leg.end = move_end(leg.points, place, reach), tip
        if leg.start == fork:
            leg.points, leg.start = move_end(leg.points[::-1], place, reach)[::-1], tip
    del graph.places[fork], graph.radii[fork]
