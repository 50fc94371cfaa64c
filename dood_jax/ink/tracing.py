"""A page's ink to strokes: its lines as a graph, the model's way through them, refinement on the page."""

import numpy as np

from dood_jax.errors import BadInput
from dood_jax.ink import (
    crossings,
    curves,
    graph,
    mending,
    ordering,
    recognition,
    refining,
    residue,
    scale,
    voting,
)
from dood_jax.ink.page import Page
from dood_jax.ink.strokes import InkStroke

_SPACING = 0.7  # of the points that curves are fitted to, in pen widths
_TOLERANCE = 0.12  # of curves against them, in pen widths
_ROUNDS = 2  # in which ink that was left unexplained is vectorised too
_DOT = 0.5  # a shorter stroke than this share of its width is a dot
_VOTE = 0.15  # of the model's run along a stroke against where the stroke leads


def strokes_of(
    page: Page, recognise: recognition.Recognise | None, size: int
) -> tuple[list[InkStroke], float]:
    """The strokes of a page in drawing order, and the L1 error of what they draw.

    Args:
      page: its ink.
      recognise: draws windows of [size, size] pixels; without it, lines alone decide.
      size: of the model's pictures.

    Raises:
      BadInput: nothing but specks was found.
    """
    marks = scale.find_marks(page.ink, page.noise)
    drawn = recognition.draw(page.ink, marks.pen_width, recognise, size) if recognise else None
    lines, l1 = refining.refine(page.ink, _lines(marks, drawn))
    for _ in range(_ROUNDS):
        rest = residue.left(page.ink, lines, marks.pen_width)
        if rest is None:
            break
        mask = scale.resample(rest, marks.factor) > 0.5
        found = _lines(scale.marks_of(mask, marks.factor), None)
        if not found:
            break
        more, error = refining.refine(rest, found)
        lines, l1 = lines + more, l1 - float(rest.sum()) + error
    strokes = [_stroke(line) for line in lines]
    order = ordering.in_order([stroke.points() for stroke in strokes])
    return [strokes[index] for index in order], l1


def lines_of(page: Page) -> list[refining.Line]:
    """The strokes of a page by its lines alone, neither refined nor ordered; none if there are but specks."""
    try:
        return _lines(scale.find_marks(page.ink, page.noise), None)
    except BadInput:
        return []


def _lines(marks: scale.Marks, drawn: recognition.Curves | None) -> list[refining.Line]:
    """The strokes of marks, before refinement; `drawn` by the model, where it was asked."""
    lines = graph.trace(marks)
    mending.mend(lines, marks)
    votes = voting.crossing_votes(lines, drawn, marks.pen_width) if drawn else None
    paths = crossings.join(lines, marks.pen_width, votes)
    runs = np.zeros(len(paths))
    if drawn and paths:
        runs, _ = voting.directions(paths, drawn, marks.pen_width)
    found = [_line(path, run, marks.pen_width) for path, run in zip(paths, runs, strict=True)]
    dots = [refining.Line(np.repeat(place[None], 4, axis=0), width, False) for place, width in lines.dots]
    return found + dots


def _line(path: crossings.Path, run: float, pen_width: float) -> refining.Line:
    """A path in drawing direction, as few curves; `run` is by how many pixels the model runs along it."""
    points = ordering.directed(path.points, path.is_closed, _VOTE * run)
    points = curves.smooth(points, path.is_closed, max(_SPACING * pen_width, 1.0))
    return refining.Line(curves.fit(points, _TOLERANCE * pen_width), pen_width, path.is_closed)


def _stroke(line: refining.Line) -> InkStroke:
    points = line.control_points
    is_dot = curves.length(curves.sample(points)) < _DOT * line.width
    points = np.repeat(points[[0, -1]].mean(0, keepdims=True), 4, axis=0) if is_dot else points
    return InkStroke(points, line.width, line.is_closed and not is_dot, line.confidence)
