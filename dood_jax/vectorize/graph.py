"""The middle lines of the ink as a graph.

Edges are lines of points between nodes, and nodes are ends of lines and places where lines meet. Round marks
are dots, which are kept apart.
"""

import dataclasses

import numpy as np
from scipy import ndimage

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
    def nodes(self) -> set[int]:
        """Numbers of the nodes at its ends."""
        return {self.start, self.end}

    @property
    def length(self) -> float:
        """Length along the points, in pixels of the page."""
        return float(np.hypot(*(self.points[1:] - self.points[:-1]).T).sum())


@dataclasses.dataclass
class Node:
    """An end of a line, or a place where lines meet. Lengths are in pixels of the page."""

    place: np.ndarray  # [2]
    radius: float  # of the ink there
    reach: float  # distance from the place within which the lines that meet share their ink


@dataclasses.dataclass
class Graph:
    """Lines and where they meet. A node of one edge is the end of a line."""

    edges: list[Edge]
    nodes: dict[int, Node]
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
    lines = marks.middle.copy()
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
        rows, columns = np.nonzero(self.fork_labels)
        labels = self.fork_labels[rows, columns]
        sums = lambda weights: np.bincount(labels, weights, self.num_forks + 1)
        y, x = (sums(axis) / np.maximum(sums(None), 1) for axis in (rows, columns))
        widest = np.zeros(self.num_forks + 1, np.float32)
        np.maximum.at(widest, labels, marks.distance[rows - 1, columns - 1])
        graph = Graph([], {}, dots)
        for number in range(1, self.num_forks + 1):
            graph.nodes[number] = self._node(y[number], x[number], widest[number])
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
        points = (np.array(chain, float)[:, ::-1] - 0.5) / self.marks.factor
        first, last = self._forks_near(chain[0]), self._forks_near(chain[-1])
        if len(chain) == 1 and len(first) > 1:
            last = first[1:]
        elif len(chain) == 1:
            last = []
        closed = not first and not last and len(chain) > 3 and _touch(chain[0], chain[-1])
        if closed:
            node = self._new_node(graph, chain[0])
            graph.edges.append(Edge(np.concatenate([points, points[:1]]), node, node))
            return
        start = first[0] if first else self._new_node(graph, chain[0])
        end = last[0] if last else self._new_node(graph, chain[-1])
        before, after = (
            [graph.nodes[start].place] if first else [],
            [graph.nodes[end].place] if last else [],
        )
        if len(before) + len(points) + len(after) > 1:
            graph.edges.append(Edge(np.array([*before, *points, *after]), start, end))

    def _forks_near(self, pixel: tuple[int, int]) -> list[int]:
        """Numbers of the forks that touch a pixel."""
        y, x = pixel
        near = [int(self.fork_labels[y + dy, x + dx]) for dy, dx in _STEPS]
        return list(dict.fromkeys(label for label in near if label))

    def _new_node(self, graph: Graph, pixel: tuple[int, int]) -> int:
        self.next_node += 1
        graph.nodes[self.next_node] = self._node(*pixel, self.marks.distance[pixel[0] - 1, pixel[1] - 1])
        return self.next_node

    def _node(self, y: float, x: float, radius: float) -> Node:
        """A node at a pixel, where the ink has a radius in pixels of the mask."""
        of_page = (
            float(radius) - 0.25
        ) / self.marks.factor  # a middle line lies within half a pixel of some pixel
        return Node(self._place(y, x), of_page, of_page)

    def _place(self, y: float, x: float) -> np.ndarray:
        """[2] point of the page in the middle of a pixel."""
        return np.array([x - 0.5, y - 0.5]) / self.marks.factor


def _touch(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return max(abs(one[0] - other[0]), abs(one[1] - other[1])) <= 1
