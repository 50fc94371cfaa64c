"""From a page to its strokes: trace, order, and look for ink that is left.

In which direction and order a pen would draw the strokes.

Hands start at the upper left and move right and down: of the rules that were measured on human pen strokes
(docs/vectorize.md), the best. What lies apart is taken as figures of a text: row by row, from left to right.

Ink that the strokes found so far leave unexplained, where it is large enough to be a stroke.

A page's ink to strokes: its lines as a graph, the model's way through them, refinement on the page.
"""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from dood_jax.errors import BadInput
from dood_jax.vectorize import crossings, curves, graph, graph_cleanup, ink_marks, model_votes, refining
from dood_jax.vectorize.curves import InkStroke
from dood_jax.vectorize.page import Page
from dood_jax.vectorize.refining import Line

_DOWN_RIGHT = np.array([1.0, 1.0])  # a stroke is run so that it advances this way
_FIRST = np.array([0.5, 1.0])  # of two strokes of a figure, the one starting less far this way comes first
_CLOSED = 0.15  # a stroke whose ends are nearer than this share of its size has no direction of its own
_APART = 0.5  # figures are further apart than this share of the typical stroke's size


def directed(points: np.ndarray, is_closed: bool, vote: float = 0.0) -> np.ndarray:
    """[n, 2] the points of a stroke from where a pen would start.

    Args:
      points: of a stroke; a closed one comes back to its first point.
      is_closed: it may then start anywhere.
      vote: pixels of other evidence, positive for the direction given.
    """
    if is_closed and len(points) > 3:
        start = int((points[:-1] @ _FIRST).argmin())
        points = np.concatenate([points[start:-1], points[: start + 1]])
        area = (points[:-1, 0] * points[1:, 1] - points[1:, 0] * points[:-1, 1]).sum()
        return points[::-1] if area > 0 else points  # against the clock, as letters are written
    advance = float((points[-1] - points[0]) @ _DOWN_RIGHT) + vote
    return points if advance >= 0 else points[::-1]


def in_order(lines: list[np.ndarray]) -> list[int]:
    """Which stroke comes first, second, …, of [n, 2] points each."""
    low = np.array([line.min(0) for line in lines])
    high = np.array([line.max(0) for line in lines])
    figure = _figures(low, high)
    rank = _reading_order(figure, low, high)
    starts = np.array([line[0] @ _FIRST for line in lines])
    return sorted(range(len(lines)), key=lambda i: (rank[figure[i]], starts[i]))


def _figures(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[N] the figure of each stroke: strokes whose boxes are near hang together."""
    gap = _APART * float(np.median((high - low).max(1)))
    figure = np.arange(len(low))
    for i in range(len(low)):
        apart = np.maximum(low[i] - high[: i + 1], low[: i + 1] - high[i]).max(1)
        joined = np.unique(figure[: i + 1][apart <= gap])
        figure[np.isin(figure, joined)] = i
    return np.unique(figure, return_inverse=True)[1]


def _reading_order(figure: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """[figures] rank: rows from the top, in each row from the left."""
    count = int(figure.max()) + 1
    lows, highs = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(lows, figure, low)
    np.maximum.at(highs, figure, high)
    rank = np.empty(count, int)
    left = sorted(range(count), key=lambda i: lows[i, 1])
    place = 0
    while left:
        tallest = max(_overlapping(left, left[0], lows, highs), key=lambda i: highs[i, 1] - lows[i, 1])
        row = sorted({left[0], *_overlapping(left, tallest, lows, highs)}, key=lambda i: lows[i, 0])
        for i in row:
            rank[i] = place
            place += 1
        left = [i for i in left if i not in set(row)]
    return rank


def _overlapping(left: list[int], of: int, lows: np.ndarray, highs: np.ndarray) -> list[int]:
    """Figures of which the middle height lies in that of another."""
    middle = lambda i: (lows[i, 1] + highs[i, 1]) / 2
    return [i for i in left if i == of or lows[of, 1] <= middle(i) <= highs[of, 1]]


_EDGE = 0.5  # pixels beside a stroke that are still its ink
_WIDEST = 0.8  # of the pen, that what is left must reach somewhere; its area must be a dot's
_STEP = 0.5  # pixels between the points that stand for a stroke


def left(ink: np.ndarray, lines: list[Line], pen_width: float) -> np.ndarray | None:
    """[H, W] ink -> that of its marks which no line runs through, elsewhere 0; None if there are none."""
    rows, columns = np.nonzero(ink > 0.5)
    runs = [curves.sample(line.control_points, 8) for line in lines]
    dense = [curves.evenly(run, int(curves.length(run) / _STEP) + 1) for run in runs]
    reach = np.repeat([line.width / 2 + _EDGE for line in lines], [len(points) for points in dense])
    places = np.stack([columns, rows], axis=1) + np.float32(0.5)
    distance, nearest = cKDTree(np.concatenate(dense)).query(places)
    outside = distance > reach[nearest]
    rest = np.zeros(ink.shape, bool)
    rest[rows[outside], columns[outside]] = True
    rest = _large(rest, pen_width)
    return np.where(ndimage.binary_dilation(rest), ink, 0) if rest.any() else None


def _large(mask: np.ndarray, pen_width: float) -> np.ndarray:
    """The marks that hold most of the pen's disc and are no smaller than it."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    large = np.zeros_like(mask)
    for index, window in enumerate(ndimage.find_objects(labels, count), start=1):
        mark = labels[window] == index
        if mark.sum() < np.pi / 4 * pen_width**2:
            continue
        widest = 2 * ndimage.distance_transform_edt(np.pad(mark, 1)).max()
        if widest >= _WIDEST * pen_width:
            large[window] |= mark
    return large


_SPACING = 0.7  # of the points that curves are fitted to, in pen widths
_TOLERANCE = 0.12  # of curves against them, in pen widths
_ROUNDS = 2  # in which ink that was left unexplained is vectorised too
_DOT = 0.5  # a shorter stroke than this share of its width is a dot
_VOTE = 0.15  # of the model's run along a stroke against where the stroke leads


def strokes_of(
    page: Page, recognise: model_votes.Recognise | None, size: int
) -> tuple[list[InkStroke], float]:
    """The strokes of a page in drawing order, and the L1 error of what they draw.

    Args:
      page: its ink.
      recognise: draws windows of [size, size] pixels; without it, lines alone decide.
      size: of the model's images.

    Raises:
      BadInput: nothing but specks was found.
    """
    marks = ink_marks.find_marks(page.ink, page.noise)
    drawn = model_votes.draw(page.ink, marks.pen_width, recognise, size) if recognise else None
    lines, l1 = refining.refine(page.ink, _lines(marks, drawn))
    for _ in range(_ROUNDS):
        rest = left(page.ink, lines, marks.pen_width)
        if rest is None:
            break
        mask = ink_marks.resample(rest, marks.factor) > 0.5
        found = _lines(ink_marks.marks_of(mask, marks.factor), None)
        if not found:
            break
        more, error = refining.refine(rest, found)
        lines, l1 = lines + more, l1 - float(rest.sum()) + error
    strokes = [_stroke(line) for line in lines]
    order = in_order([stroke.points() for stroke in strokes])
    return [strokes[index] for index in order], l1


def lines_of(page: Page) -> list[refining.Line]:
    """The strokes of a page by its lines alone, neither refined nor ordered; none if there are but specks."""
    try:
        return _lines(ink_marks.find_marks(page.ink, page.noise), None)
    except BadInput:
        return []


def _lines(marks: ink_marks.Marks, drawn: model_votes.Curves | None) -> list[refining.Line]:
    """The strokes of marks, before refinement; `drawn` by the model, where it was asked."""
    lines = graph.trace(marks)
    graph_cleanup.mend(lines, marks)
    votes = model_votes.crossing_votes(lines, drawn, marks.pen_width) if drawn else None
    paths = crossings.join(lines, marks.pen_width, votes)
    runs = np.zeros(len(paths))
    if drawn and paths:
        runs, _ = model_votes.directions(paths, drawn, marks.pen_width)
    found = [_line(path, run, marks.pen_width) for path, run in zip(paths, runs, strict=True)]
    dots = [refining.Line(np.repeat(place[None], 4, axis=0), width, False) for place, width in lines.dots]
    return found + dots


def _line(path: crossings.Path, run: float, pen_width: float) -> refining.Line:
    """A path in drawing direction, as few curves; `run` is by how many pixels the model runs along it."""
    points = directed(path.points, path.is_closed, _VOTE * run)
    points = curves.smooth(points, path.is_closed, max(_SPACING * pen_width, 1.0))
    return refining.Line(curves.fit(points, _TOLERANCE * pen_width), pen_width, path.is_closed)


def _stroke(line: refining.Line) -> InkStroke:
    points = line.control_points
    is_dot = curves.length(curves.sample(points)) < _DOT * line.width
    points = np.repeat(points[[0, -1]].mean(0, keepdims=True), 4, axis=0) if is_dot else points
    return InkStroke(points, line.width, line.is_closed and not is_dot, line.confidence)
