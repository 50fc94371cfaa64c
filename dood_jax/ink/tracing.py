"""A page's ink to strokes: its lines as a graph, the model's way through them, refinement on the page."""

import numpy as np

from dood_jax.ink import crossings, curves, graph, ordering, recognition, refining, scale, voting
from dood_jax.ink.page import Page
from dood_jax.ink.strokes import InkStroke

_TOLERANCE = 0.08  # of a curve against its polyline, in pen widths
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
    lines = graph.trace(marks)
    drawn = recognition.draw(page.ink, marks.pen_width, recognise, size) if recognise else None
    votes = voting.crossing_votes(lines, drawn, marks.pen_width) if drawn else None
    paths = crossings.join(lines, marks.pen_width, votes)
    runs = np.zeros(len(paths))
    if drawn and paths:
        runs, _ = voting.directions(paths, drawn, marks.pen_width)
    found = [
        refining.Line(
            ordering.directed(path.points, path.is_closed, _VOTE * run), marks.pen_width, path.is_closed
        )
        for path, run in zip(paths, runs, strict=True)
    ]
    found += [refining.Line(place[None], width, False) for place, width in lines.dots]
    refined = refining.refine(page.ink, found)
    order = ordering.in_order([line.points for line in refined.lines])
    return [_stroke(refined.lines[index], marks.pen_width) for index in order], refined.l1


def _stroke(line: refining.Line, pen_width: float) -> InkStroke:
    is_dot = curves.length(line.points) < _DOT * line.width
    points = line.points.mean(0, keepdims=True) if is_dot else line.points
    points = curves.fit(points, max(_TOLERANCE * pen_width, 0.1))
    return InkStroke(points, line.width, line.is_closed and not is_dot, line.confidence)
