"""The skeleton of the ink as a graph, and its repair where thinning does not leave what the pen drew.

Edges are lines of points between nodes, and nodes are ends of lines and places where lines meet. Round marks
are dots, which are kept apart.

`clean_up` repairs three things:

- Two forks that lie within one pen's width are one crossing; the line between them (a bridge) is not drawn.
- In a sharp corner the ink of both legs runs together, and thinning leaves a stem that ends at the tip. The
  stem is removed, and the legs are led to the tip.
- A twig that does not leave the ink of its fork comes from a rough edge and is not a stroke.
"""

import dataclasses

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

from dood_jax.vectorize.marks import Marks

_EIGHT = np.ones((3, 3), int)
_STEPS = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]  # straight ones first
_DOT = 0.75  # a mark whose middle line is shorter than this fraction of its width is a dot


@dataclasses.dataclass
class Edge:
    """A line between two nodes."""

    points: np.ndarray  # float [n, 2] (x, y) in pixels of the page, from node to node
    start: int  # number of its node
    end: int

    @property
    def length(self) -> float:
        """Length along the points, in pixels of the page."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())


@dataclasses.dataclass
class Graph:
    """Lines and where they meet. A node of one edge is the end of a line."""

    edges: list[Edge]
    places: dict[int, np.ndarray]  # node -> [2] its place
    radii: dict[int, float]  # node -> radius of the ink there, in pixels of the page
    dots: list[tuple[np.ndarray, float]]  # [2] place and full width of each dot

    def at(self) -> dict[int, list[tuple[int, bool]]]:
        """Node -> its edges as (index, whether the edge starts at the node). A loop is there twice."""
        found: dict[int, list[tuple[int, bool]]] = {}
        for index, edge in enumerate(self.edges):
            found.setdefault(edge.start, []).append((index, True))
            found.setdefault(edge.end, []).append((index, False))
        return found


def trace(marks: Marks) -> Graph:
    """The graph of the middle lines that thinning leaves of the marks."""
    lines = skeletonize(marks.mask)
    dots = _take_dots(marks, lines)
    return _Tracer(marks, lines).graph(dots)


def _take_dots(marks: Marks, lines: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Takes marks that are no longer than wide out of the [h, w] lines, and returns them as dots."""
    labels, count = ndimage.label(marks.mask, _EIGHT)
    dots = []
    for index, window in enumerate(ndimage.find_objects(labels, count), start=1):
        inside = labels[window] == index
        line = lines[window] & inside
        rows, columns = np.nonzero(line)
        thick = 2 * float(marks.radius[window][inside].max())
        reach = np.hypot(np.ptp(rows), np.ptp(columns)) if len(rows) else 0
        if reach > _DOT * thick:
            continue
        lines[window] &= ~inside
        area = inside.sum()
        y, x = (float(axis.mean()) for axis in np.nonzero(inside))
        place = np.array([x + window[1].start + 0.5, y + window[0].start + 0.5]) / marks.factor
        dots.append((place, float(np.sqrt(4 * area / np.pi)) / marks.factor))
    return dots


class _Tracer:
    """Walks along the pixels of thin lines, which it takes away one after the other.

    Pixels are (row, column) with a border of one pixel around the mask, so that every pixel has neighbours.
    """

    def __init__(self, marks: Marks, lines: np.ndarray):
        """Finds the forks: pixels of the bool [h, w] lines with three neighbours or more."""
        self.marks = marks
        neighbours = ndimage.convolve(lines.astype(np.uint8), _EIGHT.astype(np.uint8), mode="constant") - 1
        forks = lines & (neighbours >= 3)
        self.fork_labels, self.num_forks = ndimage.label(forks, _EIGHT)
        self.fork_labels = np.pad(self.fork_labels, 1)
        rows, columns = np.nonzero(lines & ~forks)
        self.next_node = self.num_forks
        self.left = set(zip((rows + 1).tolist(), (columns + 1).tolist(), strict=True))

    def graph(self, dots: list[tuple[np.ndarray, float]]) -> Graph:
        """The graph of every chain of pixels between forks or ends, or round to itself."""
        marks = self.marks
        numbers = range(1, self.num_forks + 1)
        centres = ndimage.center_of_mass(self.fork_labels > 0, self.fork_labels, numbers)
        places = {i: self._place(y, x) for i, (y, x) in zip(numbers, centres, strict=True)}
        radii = {}
        if self.num_forks:
            widest = ndimage.maximum(np.pad(marks.radius, 1), self.fork_labels, numbers)
            radii = {i: float(r) / marks.factor for i, r in zip(numbers, widest, strict=True)}
        graph = Graph([], places, radii, dots)
        while self.left:
            chain = self._walk()
            self._add(graph, chain)
        return graph

    def _walk(self) -> list[tuple[int, int]]:
        """The pixels of one line, followed in both directions from any of its pixels."""
        seed = next(iter(self.left))
        self.left.remove(seed)
        forward = self._follow(seed)
        backward = self._follow(seed)
        return [*backward[::-1], seed, *forward]

    def _follow(self, pixel: tuple[int, int]) -> list[tuple[int, int]]:
        """The pixels after one, as far as the line goes; they are taken away."""
        found: list[tuple[int, int]] = []
        while True:
            y, x = pixel
            after = next(((y + dy, x + dx) for dy, dx in _STEPS if (y + dy, x + dx) in self.left), None)
            if after is None:
                return found
            self.left.remove(after)
            found.append(after)
            pixel = after

    def _add(self, graph: Graph, chain: list[tuple[int, int]]) -> None:
        """Adds a chain of pixels as an edge, led to the middles of the forks at its ends."""
        points = [self._place(y, x) for y, x in chain]
        first, last = self._forks_near(chain[0]), self._forks_near(chain[-1])
        if len(chain) == 1 and len(first) > 1:
            last = first[1:]
        elif len(chain) == 1:
            last = []
        closed = not first and not last and len(chain) > 3 and _touch(chain[0], chain[-1])
        if closed:
            node = self._new_node(graph, points[0], chain[0])
            graph.edges.append(Edge(np.array([*points, points[0]]), node, node))
            return
        start = first[0] if first else self._new_node(graph, points[0], chain[0])
        end = last[0] if last else self._new_node(graph, points[-1], chain[-1])
        points = [*([graph.places[start]] if first else []), *points, *([graph.places[end]] if last else [])]
        if len(points) > 1:
            graph.edges.append(Edge(np.array(points), start, end))

    def _forks_near(self, pixel: tuple[int, int]) -> list[int]:
        """Numbers of the forks that touch a pixel."""
        y, x = pixel
        near = [int(self.fork_labels[y + dy, x + dx]) for dy, dx in _STEPS]
        return list(dict.fromkeys(label for label in near if label))

    def _new_node(self, graph: Graph, place: np.ndarray, pixel: tuple[int, int]) -> int:
        self.next_node += 1
        graph.places[self.next_node] = place
        graph.radii[self.next_node] = float(self.marks.radius[pixel[0] - 1, pixel[1] - 1]) / self.marks.factor
        return self.next_node

    def _place(self, y: float, x: float) -> np.ndarray:
        """[2] point of the page in the middle of a pixel."""
        return np.array([x - 0.5, y - 0.5]) / self.marks.factor


def _touch(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return max(abs(one[0] - other[0]), abs(one[1] - other[1])) <= 1


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
