"""Asks a model how the lines of a page were drawn: which of them go on through a crossing.

The page is cut into windows in which the pen is as wide as the model knows it, and the model draws each of
them. Windows overlap by half, so that every crossing lies well inside one. The model's curves are not used as
strokes: they only vote on the lines that were found on the page.
"""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from dood_jax.vectorize.crossings import Votes, edge_end
from dood_jax.vectorize.graph import Graph

Recognise = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Draws [N, H, W] windows: returns [N, T, S, 2] points along curves, unit square, and [N, T] presence."""

_PEN_IN_PIXELS = 2.8  # width of the pen in a window
_THINNEST_PEN = 1.3  # the least width at which a drawing is still shown in one window
_MARGIN = 5  # pixels of paper around a drawing in one window
_AT_ONCE = 512  # windows that are drawn together, so that large pages fit into memory

_NEAR = 0.75  # pen widths within which a curve follows a line
_INSIDE = 0.36  # of a window's side: crossings nearer to its centre are judged in it
_WEIGHT = 0.12  # vote of all windows together, where 1 is a straight continuation


class WindowCurves(NamedTuple):
    """The curves that the model drew in all windows."""

    points: np.ndarray  # [M, S, 2] points along each curve, in pixels of the page
    window: np.ndarray  # [M] the window of each curve
    centres: np.ndarray  # [N, 2] middle of each window
    side: float  # of a window, in pixels of the page


def draw_windows(ink: np.ndarray, pen_width: float, recognise: Recognise, size: int) -> WindowCurves:
    """Lets the model draw the windows of a page.

    Args:
      ink: float32 [H, W], 0..1.
      pen_width: in pixels of the page.
      recognise: the model.
      size: side of the model's images in pixels.
    """
    corners, factor = _windows(ink, pen_width, size)
    side = size / factor
    crops = _crops(ink, corners, side, size)
    parts = [recognise(crops[i : i + _AT_ONCE]) for i in range(0, len(crops), _AT_ONCE)]
    drawn, presence = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    window, stroke = np.nonzero(presence)
    # The model's pixels are at their corners, those of the page at their middles: hence half a pixel.
    points = drawn[window, stroke] * side + 0.5 / factor + corners[window][:, None]
    return WindowCurves(points, window, corners + side / 2, side)


def _windows(ink: np.ndarray, pen_width: float, size: int) -> tuple[np.ndarray, float]:
    """[N, 2] upper left corners of the windows in pixels of the page, and their pixels for one of the page.

    A drawing that is small enough has one window.
    """
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
    """[N, size, size] windows of the page, with paper beyond its edges."""
    pad = int(np.ceil(side)) + 1
    page = Image.fromarray(np.pad(ink, pad))
    crops = np.empty((len(corners), size, size), np.float32)
    for i, (x, y) in enumerate(corners + pad):
        box = (x, y, x + side, y + side)
        crops[i] = np.asarray(page.resize((size, size), Image.Resampling.BILINEAR, box=box))
    return np.clip(crops, 0, 1)


def crossing_votes(graph: Graph, drawn: WindowCurves, pen_width: float) -> Votes:
    """For every pair of lines that meet, the fraction of windows in which one curve runs along both.

    Only windows count that have the crossing near their middle. The fractions are scaled by `_WEIGHT`.
    """
    votes: Votes = {}
    ends_of_windows = np.bincount(drawn.window, minlength=len(drawn.centres)).cumsum()[:-1]
    by_window = np.split(np.argsort(drawn.window, kind="stable"), ends_of_windows)
    for node, meeting in graph.at().items():
        if len(meeting) < 3:
            continue
        place = graph.nodes[node].place
        off = np.abs(drawn.centres - place).max(1)
        judges = [i for i in np.flatnonzero(off < _INSIDE * drawn.side).tolist() if len(by_window[i])]
        if not judges and len(drawn.centres) == 1:
            judges = [0]
        ends = sorted(edge_end(*one) for one in meeting)
        stubs = np.array(
            [_stub(graph, end, 1.1 * graph.nodes[node].reach + 0.75 * pen_width) for end in ends]
        )
        for window in judges:
            for a, b in _run_through(drawn.points[by_window[window]], stubs, place, _NEAR * pen_width):
                key = (node, ends[a], ends[b])
                votes[key] = votes.get(key, 0.0) + _WEIGHT / len(judges)
    return votes


def _stub(graph: Graph, end: int, reach: float) -> np.ndarray:
    """[2] the point of a line at the distance `reach` from its crossing, along the line."""
    points = graph.edges[end // 2].points
    points = points[::-1] if end % 2 else points
    far = np.concatenate([[0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    reach = min(reach, 0.6 * far[-1])
    return np.array([np.interp(reach, far, points[:, axis]) for axis in (0, 1)])


def _run_through(
    points: np.ndarray, stubs: np.ndarray, place: np.ndarray, near: float
) -> set[tuple[int, int]]:
    """Pairs of stubs that one curve passes, with the crossing between them.

    Args:
      points: [M, S, 2] of the curves.
      stubs: [n, 2] a point on each line.
      place: [2] the crossing.
      near: distance at which a curve passes a point.
    """
    found: set[tuple[int, int]] = set()
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
