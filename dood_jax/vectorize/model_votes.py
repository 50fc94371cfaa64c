"""What a model says of an image's strokes: which lines go on through a crossing, and which way they run.

What the model makes of a page: windows in which the pen is as wide as it knows, each drawn by the model.

The windows overlap by half, so that every crossing lies well inside one of them.

What the model's curves say about the lines of a page: what runs through a crossing, and which way.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.spatial import cKDTree

from dood_jax.vectorize import curves
from dood_jax.vectorize.crossings import Path, Votes, edge_end
from dood_jax.vectorize.graph import Graph

Recognise = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""[N, S, S] windows -> [N, T, C, 2] points along the curves, unit square, and [N, T] presence."""

_PEN_IN_PIXELS = 2.8  # of a window
_THINNEST_PEN = 1.3  # for a drawing that fits a window whole
_AT_ONCE = 512  # windows, so that large pages fit into memory
_MARGIN = 5  # pixels of paper around such a drawing


class Curves(NamedTuple):
    """What was drawn in all windows."""

    points: np.ndarray  # [M, C, 2] along each curve, in pixels of the page, in drawing order of each window
    window: np.ndarray  # [M] the window of each
    centres: np.ndarray  # [N, 2] of the windows
    side: float  # of a window, in pixels of the page


def draw(ink: np.ndarray, pen_width: float, recognise: Recognise, size: int) -> Curves:
    """The curves that the model draws in the windows of a [H, W] page; `size` is of its images."""
    corners, factor = _windows(ink, pen_width, size)
    side = size / factor
    crops = _crops(ink, corners, side, size)
    parts = [recognise(crops[i : i + _AT_ONCE]) for i in range(0, len(crops), _AT_ONCE)]
    curves, presence = (np.concatenate(some) for some in zip(*parts, strict=True))
    window, stroke = np.nonzero(presence)
    points = curves[window, stroke] * side + 0.5 / factor + corners[window][:, None]
    return Curves(points, window, corners + side / 2, side)


def _windows(ink: np.ndarray, pen_width: float, size: int) -> tuple[np.ndarray, float]:
    """[N, 2] upper left corners of windows in pixels of the page, and their pixels for one of it."""
    rows, columns = (np.flatnonzero((ink > 0.3).any(axis)) for axis in (1, 0))
    low = np.array([columns[0], rows[0]], float)
    high = np.array([columns[-1], rows[-1]], float) + 1
    whole = (size - 2 * _MARGIN) / (high - low).max()
    if whole * pen_width >= _THINNEST_PEN:
        factor = min(whole, _PEN_IN_PIXELS / pen_width)
        return (low + high)[None] / 2 - size / factor / 2, factor
    factor = _PEN_IN_PIXELS / pen_width
    side = size / factor
    counts = np.maximum(np.ceil((high - low) / (side / 2)).astype(int), 1)
    starts = [
        np.linspace(a - side / 4, max(b - 0.75 * side, a - side / 4), n)
        for a, b, n in zip(low, high, counts, strict=True)
    ]
    corners = np.stack(np.meshgrid(*starts), axis=-1).reshape(-1, 2)
    return corners[[_holds_ink(ink, corner, side) for corner in corners]], factor


def _holds_ink(ink: np.ndarray, corner: np.ndarray, side: float) -> bool:
    """Whether there is ink in the middle half of a window."""
    x, y = (np.maximum((corner + side / 4).astype(int), 0)).tolist()
    reach = int(np.ceil(side / 2))
    return bool((ink[y : y + reach, x : x + reach] > 0.3).any())


def _crops(ink: np.ndarray, corners: np.ndarray, side: float, size: int) -> np.ndarray:
    """[N, size, size] windows of the page, on paper beyond its edges."""
    pad = int(np.ceil(side)) + 1
    page = Image.fromarray(np.pad(ink, pad))
    crops = np.empty((len(corners), size, size), np.float32)
    for i, (x, y) in enumerate(corners + pad):
        box = (x, y, x + side, y + side)
        crops[i] = np.asarray(page.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return np.clip(crops, 0, 1)


_NEAR = 0.75  # pen widths within which a curve follows a line
_INSIDE = 0.36  # of a window's side around its centre, within which crossings are judged
_WEIGHT = 0.25  # of all windows agreement, where 1 is a straight continuation


def crossing_votes(graph: Graph, drawn: Curves, pen_width: float) -> Votes:
    """For every pair of lines that meet: how many of the windows around have a curve run through both."""
    votes: Votes = {}
    by_window = [np.flatnonzero(drawn.window == i) for i in range(len(drawn.centres))]
    for node, meeting in graph.at().items():
        if len(meeting) < 3:
            continue
        place = graph.places[node]
        off = np.abs(drawn.centres - place).max(1)
        judges = [i for i in np.flatnonzero(off < _INSIDE * drawn.side) if len(by_window[i])]
        if not judges and len(drawn.centres) == 1:
            judges = [0]
        ends = sorted(edge_end(*one) for one in meeting)
        stubs = np.array([_stub(graph, end, 1.1 * graph.radii[node] + 0.75 * pen_width) for end in ends])
        for window in judges:
            for a, b in _run_through(drawn.points[by_window[window]], stubs, place, _NEAR * pen_width):
                key = (node, ends[a], ends[b])
                votes[key] = votes.get(key, 0.0) + _WEIGHT / len(judges)
    return votes


def _stub(graph: Graph, end: int, reach: float) -> np.ndarray:
    """[2] the point of a line at some distance from its crossing."""
    points = graph.edges[end // 2].points
    points = points[::-1] if end % 2 else points
    far = np.concatenate([[0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    reach = min(reach, 0.6 * far[-1])
    return np.array([np.interp(reach, far, points[:, axis]) for axis in (0, 1)])


def _run_through(
    points: np.ndarray, stubs: np.ndarray, place: np.ndarray, near: float
) -> set[tuple[int, int]]:
    """Pairs of stubs that one of [M, C, 2] curves passes, with the crossing between them."""
    found = set()
    to_stubs = np.linalg.norm(points[:, :, None] - stubs[None, None], axis=3)  # [M, C, stubs]
    to_place = np.linalg.norm(points - place, axis=2)
    nearest, at = to_stubs.min(1), to_stubs.argmin(1)
    for curve in range(len(points)):
        passed = [k for k in range(len(stubs)) if nearest[curve, k] < near]
        for a, b in itertools.combinations(passed, 2):
            first, last = sorted((at[curve, a], at[curve, b]))
            if to_place[curve, first : last + 1].min() < 1.5 * near:
                found.add((a, b))
    return found


def directions(paths: list[Path], drawn: Curves, pen_width: float) -> tuple[np.ndarray, np.ndarray]:
    """How each path is run by the model's curves.

    Returns:
      [paths] pixels of curves that run along it, less those that run against it; and the mean rank of those
      curves in their windows, NaN if there are none.
    """
    lines = [curves.evenly(path.points, max(int(curves.length(path.points)), 2)) for path in paths]
    owner = np.repeat(np.arange(len(paths)), [len(line) for line in lines])
    place = np.concatenate([np.arange(len(line)) for line in lines])
    tree = cKDTree(np.concatenate(lines))
    along, rank, seen = np.zeros(len(paths)), np.zeros(len(paths)), np.zeros(len(paths))
    first = np.searchsorted(drawn.window, drawn.window)
    for index, points in enumerate(drawn.points):
        distance, nearest = tree.query(points)
        of, at = owner[nearest], place[nearest]
        steps = np.diff(at)
        same = (of[1:] == of[:-1]) & (np.maximum(distance[1:], distance[:-1]) < _NEAR * pen_width)
        same &= np.abs(steps) < 4 * pen_width + 4
        np.add.at(along, of[1:][same], steps[same])
        np.add.at(rank, of[1:][same], np.abs(steps[same]) * (index - first[index]))
        np.add.at(seen, of[1:][same], np.abs(steps[same]))
    return along, np.where(seen > 0, rank / np.maximum(seen, 1e-9), np.nan)
