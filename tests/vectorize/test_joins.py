"""Strokes of a model become strokes of a pen: known lines, cut into pieces that overlap, come back whole."""

import itertools

import numpy as np
import pytest
from scipy.spatial import cKDTree

from dood_jax.vectorize import curves
from dood_jax.vectorize.curves import InkStroke
from dood_jax.vectorize.drawing import InkDrawing

WIDTH = 4.0


def arc(start: float, stop: float, centre=(50, 50), radius=30) -> np.ndarray:
    turn = np.linspace(start, stop, 200)
    return np.stack([centre[0] + radius * np.cos(turn), centre[1] + radius * np.sin(turn)], 1)


def straight(*places) -> np.ndarray:
    return np.concatenate([np.linspace(a, b, 80) for a, b in itertools.pairwise(np.array(places, float))])


def drawn(*lines: np.ndarray) -> InkDrawing:
    strokes = [InkStroke(curves.fit(line, 0.2), WIDTH, False, 1.0) for line in lines]
    return InkDrawing(tuple(strokes), 100, 100)


def pieces(line: np.ndarray, cuts: list[float], overlap: int) -> list[np.ndarray]:
    """A line cut at fractions of its points; its pieces overlap by some points."""
    bounds = [0, *(int(cut * len(line)) for cut in cuts), len(line)]
    return [line[max(a - overlap, 0) : b + overlap] for a, b in itertools.pairwise(bounds)]


def assert_same(found: InkStroke, line: np.ndarray, most: float = 1.0) -> None:
    points = found.points(0.5)
    assert cKDTree(line).query(points)[0].max() < most and cKDTree(points).query(line)[0].max() < most


@pytest.mark.parametrize(
    "line",
    [
        arc(0.5, 5),
        straight((10, 20), (80, 30)),
        straight((20, 20), (70, 20), (40, 80)),  # a seven
        np.concatenate([arc(-2.5, 1.5, (50, 30), 20), arc(-1.5, 2.5, (50, 70), 20)]),  # a three
    ],
)
@pytest.mark.parametrize("overlap", [0, 6])
def test_a_line_in_pieces_is_one_stroke(line, overlap):
    for order in itertools.permutations(range(3)):
        parts = pieces(line, [0.3, 0.7], overlap)
        (found,) = drawn(*(parts[i] if i != 1 else parts[i][::-1] for i in order)).joined().strokes
        assert_same(found, line)
        assert found.width == pytest.approx(WIDTH)


def test_it_runs_as_its_first_piece_did():
    line = straight((10, 20), (80, 30))
    left, right = pieces(line, [0.5], 3)
    for first, other, start in ((left, right[::-1], line[0]), (right[::-1], left, line[-1])):
        (found,) = drawn(first, other).joined().strokes
        assert np.linalg.norm(found.points()[0] - start) < 1


def test_lines_that_cross_or_branch_or_lie_apart_stay_themselves():
    level, upright = straight((10, 50), (90, 50)), straight((50, 10), (50, 90))
    branch, apart = straight((51, 52), (80, 90)), straight((10, 90), (35, 90))
    drawing = drawn(level, upright, apart).joined()
    assert len(drawing.strokes) == 3
    for found, line in zip(drawing.strokes, (level, upright, apart), strict=True):
        assert_same(found, line)
    assert len(drawn(level, branch).joined().strokes) == 2


def test_what_is_drawn_twice_is_drawn_once():
    line = straight((10, 50), (90, 50))
    (found,) = drawn(line, line[20:60] + np.array([0, 1.5])).joined().strokes
    assert_same(found, line)


def test_dots_and_areas_stay():
    dot = InkStroke(np.full((4, 2), 30.0), WIDTH, False, 1.0)
    area = InkStroke(curves.fit(arc(0, 6.28), 0.2), 1.0, True, 1.0, is_filled=True)
    first, second = pieces(straight((10, 80), (90, 80)), [0.4], 4)
    strokes = (dot, *drawn(first).strokes, area, *drawn(second).strokes)
    found = InkDrawing(strokes, 100, 100).joined().strokes
    assert (found[0], found[2], len(found)) == (dot, area, 3)
    assert InkDrawing((dot,), 100, 100).joined().strokes == (dot,)
    assert InkDrawing((), 100, 100).joined().strokes == ()
