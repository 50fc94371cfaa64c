"""Finds the strokes of a page and the order in which a pen would draw them.

The ink is thinned to a graph of lines, which is joined into strokes with the help of the model, and the
strokes are fitted to the page. Then the same is done with the ink that is left.
"""

import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

from dood_jax.errors import BadInput
from dood_jax.vectorize import areas, corners, crossings, curves, forks, graph, model_votes, order, retraced
from dood_jax.vectorize.curves import InkStroke
from dood_jax.vectorize.line_fitting import Line, fit_lines
from dood_jax.vectorize.marks import Marks, find_marks, marks_of, resample
from dood_jax.vectorize.page import Page
from dood_jax.vectorize.pixels import depths

_SPACING = 0.7  # of the points that curves are fitted to, in pen widths
_TOLERANCE = 0.15  # distance of curves from these points, in pen widths
_DOT = 0.5  # a stroke shorter than this fraction of its width is a dot

_ROUNDS = 2  # in which ink that is left is traced too
_EDGE = 0.5  # pixels beside a stroke that still belong to its ink
_STEP = 0.5  # pixels between the points that stand for a stroke
_LEAST_WIDTH = 0.8  # pen widths that a mark must reach somewhere to be traced; its area must be that of a dot

_CLEAR = 0.3  # ink above which lines are looked for beside filled areas
_SIMPLER = 0.08  # pen widths by which fewer curves may leave the fitted ones
_OUTLINE_WIDTH, _OUTLINE_TOLERANCE = 1.0, 0.5  # pixels, of the outline of a filled area


def strokes_of(
    page: Page, recognise: model_votes.Recognise | None, size: int
) -> tuple[list[InkStroke], float]:
    """Finds the strokes of a page.

    Args:
      page: its ink.
      recognise: the model, which draws windows of [size, size] pixels. If it is None, strokes follow from
        the lines alone.
      size: side of the model's images.

    Returns:
      The strokes in drawing order, and the sum over pixels of |page - drawing|.

    Raises:
      BadInput: there is nothing but specks, or a shape without lines.
    """
    marks = find_marks(page.ink, page.noise)
    marks, ink, filled = _without_areas(marks, page.ink)
    if filled and not (marks.mask.any() and (ink > _CLEAR).any()):
        return _of_areas_alone(filled)
    drawn = model_votes.draw_windows(ink, marks.pen_width, recognise, size) if recognise else None
    first = _trace(marks, drawn)
    if not first:
        return _of_areas_alone(filled)
    lines, l1 = fit_lines(ink, first)
    residual, newest = ink, lines
    for _ in range(_ROUNDS):
        left = residual_ink(residual, newest, marks.pen_width)
        if left is None:
            break
        residual = left
        mask = resample(residual, marks.factor) > 0.5
        if not mask.any():
            break
        found = _trace(marks_of(mask, marks.factor), None)
        if not found:
            break
        newest, error = fit_lines(residual, found)
        lines, l1 = lines + newest, l1 - float(residual.sum()) + error
    strokes = [*_strokes(lines), *filled]
    ranks = order.in_order([stroke.points() for stroke in strokes])
    return [strokes[index] for index in ranks], l1


def _of_areas_alone(filled: list[InkStroke]) -> tuple[list[InkStroke], float]:
    """What `strokes_of` returns where there are no lines."""
    if not filled:
        raise BadInput("nothing is drawn: the ink is one shape without lines; a larger image may show them")
    return filled, 0.0


def lines_of(page: Page) -> list[Line]:
    """The strokes of a page by its lines alone, neither fitted nor ordered; [] if there are only specks."""
    try:
        return _trace(find_marks(page.ink, page.noise), None)
    except BadInput:
        return []


def _without_areas(marks: Marks, ink: np.ndarray) -> tuple[Marks, np.ndarray, list[InkStroke]]:
    """Takes filled areas out of marks and [H, W] ink, and makes a dot or a filled outline of each."""
    mask, found = areas.split(marks.mask, marks.distance)
    if not found:
        return marks, ink, []
    strokes = []
    for area in found:
        centre, outline = area.centre / marks.factor, area.outline / marks.factor
        if area.is_dot:
            dot = np.repeat(centre[None], 4, axis=0)
            strokes.append(InkStroke(dot, area.diameter / marks.factor, is_closed=False, confidence=1.0))
            continue
        points = curves.smooth(order.directed(outline, is_closed=True), True, 1.0)
        chain = curves.fit(points, _OUTLINE_TOLERANCE)
        strokes.append(InkStroke(chain, _OUTLINE_WIDTH, is_closed=True, confidence=1.0, is_filled=True))
    taken = resample((marks.mask & ~mask).astype(np.float32), 1 / marks.factor)
    taken = np.asarray(Image.fromarray(taken).resize(ink.shape[::-1])) > 0
    left = np.where(ndimage.binary_dilation(taken), 0, ink).astype(np.float32)
    return (marks_of(mask, marks.factor) if mask.any() else marks._replace(mask=mask)), left, strokes


def _trace(marks: Marks, drawn: model_votes.WindowCurves | None) -> list[Line]:
    """The strokes of marks, not yet fitted; `drawn` are the model's curves, if it was asked."""
    skeleton = graph.trace(marks)
    forks.repair(skeleton, marks)
    votes = retraced.draw_twice(skeleton, marks)
    if drawn:
        of_model = model_votes.crossing_votes(skeleton, drawn, marks.pen_width)
        votes = {key: votes.get(key, 0.0) + of_model.get(key, 0.0) for key in votes | of_model}
    paths = corners.lift(crossings.join(skeleton, marks, votes))
    lines = _lines(paths)
    dots = [Line(np.repeat(place[None], 4, axis=0), width, False) for place, width in skeleton.dots]
    return lines + dots


def _lines(paths: list[crossings.Path]) -> list[Line]:
    """Paths as few curves, in drawing direction."""
    runs = []
    for path in paths:
        points = order.directed(path.points, path.is_closed)
        runs.append(curves.smooth(points, path.is_closed, max(_SPACING * path.width, 1.0)))
    chains = curves.fit_all(runs, [_TOLERANCE * path.width for path in paths])
    return [Line(chain, path.width, path.is_closed) for path, chain in zip(paths, chains, strict=True)]


def _strokes(lines: list[Line]) -> list[InkStroke]:
    """Fitted lines as strokes of fewer curves, or as dots if they are very short."""
    runs = [curves.sample(line.control_points) for line in lines]
    chains = curves.fit_all(runs, [_SIMPLER * line.width for line in lines])
    found = []
    for line, run, fewer in zip(lines, runs, chains, strict=True):
        points = fewer if len(fewer) < len(line.control_points) else line.control_points
        is_dot = curves.length(run) < _DOT * line.width
        points = np.repeat(points[[0, -1]].mean(0, keepdims=True), 4, axis=0) if is_dot else points
        found.append(InkStroke(points, line.width, line.is_closed and not is_dot, line.confidence))
    return found


def residual_ink(ink: np.ndarray, lines: list[Line], pen_width: float) -> np.ndarray | None:
    """The ink that no line explains.

    Args:
      ink: float32 [H, W], 0..1.
      lines: found so far.
      pen_width: in pixels.

    Returns:
      [H, W] the ink of the marks that are as wide as a pen and that no line runs through, elsewhere 0; or
      None if there are no such marks.
    """
    rows, columns = np.nonzero(ink > 0.5)
    runs = [curves.sample(line.control_points, 8) for line in lines]
    dense = [curves.evenly(run, int(curves.length(run) / _STEP) + 1) for run in runs]
    reach = np.repeat([line.width / 2 + _EDGE for line in lines], [len(points) for points in dense])
    places = np.stack([columns, rows], axis=1) + np.float32(0.5)
    distance, nearest = cKDTree(np.concatenate(dense)).query(places)
    outside = distance > reach[nearest]
    residual = np.zeros(ink.shape, bool)
    residual[rows[outside], columns[outside]] = True
    residual = _large_marks(residual, pen_width)
    return np.where(ndimage.binary_dilation(residual), ink, 0) if residual.any() else None


def _large_marks(mask: np.ndarray, pen_width: float) -> np.ndarray:
    """The marks of a bool [H, W] mask that hold most of the pen's disc and have at least its area."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    large = np.zeros_like(mask)
    for index, window in enumerate(ndimage.find_objects(labels, count), start=1):
        mark = labels[window] == index
        if mark.sum() < np.pi / 4 * pen_width**2:
            continue
        widest = 2 * depths(np.pad(mark, 1)).max()
        if widest >= _LEAST_WIDTH * pen_width:
            large[window] |= mark
    return large
