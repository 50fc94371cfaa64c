"""Segments: even lengths, a frame without place and size, and curves that other code draws alike."""

import numpy as np
import pytest

from dood_jax import geometry
from dood_jax.evaluation.one_shot import strokes
from dood_jax.types import BrushParams, Sketch, StrokeLatents

LONG, SHORT = np.array([[0.1, 0.2], [0.7, 0.2]]), np.array([[0.3, 0.4], [0.3, 0.6]])


def test_strokes_are_cut_by_their_length():
    found = strokes.segments_of_curves([LONG, SHORT], 8)
    assert np.bincount(found.stroke).tolist() == [6, 2]
    ends = found.ends * found.size + found.centre
    np.testing.assert_allclose(
        ends[:, 0], [*([0.1 + 0.1 * k, 0.2] for k in range(6)), [0.3, 0.4], [0.3, 0.5]]
    )
    np.testing.assert_allclose(
        np.linalg.norm(found.ends[:, 1] - found.ends[:, 0], axis=1) * found.size, 0.1, rtol=1e-5
    )
    np.testing.assert_allclose(found.arc_length[:6, 0] * found.size, 0.1 * np.arange(6), atol=1e-6)


def test_the_frame_has_no_place_and_size():
    found = strokes.segments_of_curves([LONG, SHORT], 16)
    moved = strokes.segments_of_curves([0.5 * LONG + 0.1, 0.5 * SHORT + 0.1], 16)
    np.testing.assert_allclose(moved.ends, found.ends, atol=1e-5)
    np.testing.assert_allclose(moved.centre, 0.5 * found.centre + 0.1, rtol=1e-5)
    assert moved.size == pytest.approx(0.5 * found.size)
    middles = found.ends.mean(1)
    np.testing.assert_allclose(found.weight @ middles, 0, atol=1e-4)
    assert (found.weight @ middles**2).sum() / found.weight.sum() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("count", [1, 3, 7])
def test_there_are_as_many_segments_as_wanted_whatever_the_strokes(count):
    curves = [LONG * length for length in (0.01, 0.2, 1, 0.5, 0.3)]
    found = strokes.segments_of_curves(curves, count)
    assert found.ends.shape == (count, 2, 2)
    assert np.isfinite(found.ends).all()
    assert found.weight.mean() == pytest.approx(1)
    assert 2 in found.stroke  # the longest


def test_a_dot_and_nothing_at_all_are_drawings():
    for curves in ([np.full((5, 2), 0.3)], [LONG, np.full((2, 2), 0.9)]):
        found = strokes.segments_of_curves(curves, 10)
        assert all(np.isfinite(values).all() for values in found)


def test_a_sketch_is_placed_as_the_renderer_places_it():
    rng = np.random.default_rng(0)
    layout = np.float32([[[0.2, -0.1, 0.5, 0.7], [0, 0, 1, 0], [0, 0, 1, 0]], [[0, 0, 1, 0]] * 3])
    points = rng.uniform(size=(2, 3, 5, 2)).astype(np.float32)
    presence = np.float32([[1, 1, 0], [0, 0, 0]])
    sketch = Sketch(StrokeLatents(presence, layout, points), BrushParams(0, 0, 0), None)
    windows = np.float32([[0.1, 0.2, 0.5], [0, 0, 1]])
    found = strokes.segments_of_sketch(sketch, windows, 40)
    placed = geometry.place_points(geometry.layout_to_matrix(layout[0, 0]), points[0, 0])
    curve = np.asarray(geometry.bezier_curve(placed, 200)) * 0.5 + [0.1, 0.2]
    ends = found.ends[0] * found.size[0] + found.centre[0]
    of_first = ends[found.stroke[0] == 0].reshape(-1, 2)
    apart = np.linalg.norm(of_first[:, None] - curve[None], axis=-1)
    assert apart.min(1).max() < 3e-3
    assert set(found.stroke[0]) == {0, 1}
    np.testing.assert_allclose(found.centre[1], 0.5)  # without strokes: a dot in the middle
