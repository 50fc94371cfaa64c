"""Strokes that are known are found: their number, course, width, kind, order and direction."""

import numpy as np
import pytest
from known_strokes import DOT, LINE, RING, SIZE, STROKES, WAVE, WIDTH, arc, ink_of
from scipy.spatial import cKDTree

from dood_jax.errors import BadInput
from dood_jax.vectorize import curves, line_fitting, marks, order, tracing
from dood_jax.vectorize.page import Page


def strokes_in(ink, noise=0.0):
    return tracing.strokes_of(Page(ink, noise), None, 0)[0]


def chamfer(found, truth) -> float:
    ours = np.concatenate([stroke.points(0.25) for stroke in found])
    theirs = np.concatenate([curves.evenly(stroke, 400) for stroke in truth])
    return float(cKDTree(theirs).query(ours)[0].mean() + cKDTree(ours).query(theirs)[0].mean()) / 2


@pytest.fixture(scope="module")
def found(ink):
    return strokes_in(ink)


def test_middle_lines_lie_within_a_tenth_of_a_pen_of_the_truth(found):
    assert chamfer(found, STROKES) < 0.1 * WIDTH


def test_a_crossing_is_two_strokes_a_ring_is_closed_and_a_dot_a_dot(found):
    assert len(found) == 4
    assert sum(stroke.is_closed for stroke in found) == 1
    (dot,) = [stroke for stroke in found if stroke.is_dot]
    np.testing.assert_allclose(dot.control_points[0], DOT[0], atol=0.3)
    for truth in (LINE, WAVE, RING):
        assert min(chamfer([stroke], [truth]) for stroke in found) < 0.15 * WIDTH


def test_widths_and_confidence(found):
    for stroke in found:
        assert stroke.width == pytest.approx(WIDTH, rel=0.06)
        assert stroke.confidence > 0.85


def test_drawn_again_the_ink_is_the_same(ink, found):
    again = ink_of([stroke.points(0.25) for stroke in found if not stroke.is_dot] + [DOT], WIDTH, SIZE)
    assert np.minimum(ink, again).sum() / np.maximum(ink, again).sum() > 0.93


@pytest.mark.parametrize("factor", [0.5, 3])
def test_the_same_drawing_at_other_sizes(factor):
    ink = ink_of(
        [factor * stroke for stroke in STROKES], factor * WIDTH, tuple(int(factor * n) for n in SIZE)
    )
    found = strokes_in(ink)
    assert len(found) == 4
    assert chamfer(found, [factor * stroke for stroke in STROKES]) < 0.12 * factor * WIDTH


def test_noise_adds_no_strokes(ink):
    noisy = np.clip(ink + np.random.default_rng(0).normal(0, 0.12, ink.shape), 0, 1).astype(np.float32)
    found = strokes_in(noisy, 0.12)
    assert len(found) == 4 and chamfer(found, STROKES) < 0.15 * WIDTH


def test_specks_are_no_strokes(ink):
    specked = ink.copy()
    specked[5, 5], specked[90, 3:5] = 1, 1
    assert len(strokes_in(specked)) == 4
    alone = np.zeros((60, 60), np.float32)
    alone[30, 10:50] = 1e-3
    with pytest.raises(BadInput, match="speck"):
        marks._marks_at(alone, 1.0, 4.0, 0.0)


def test_a_fork_is_a_stroke_that_goes_on_and_one_that_ends_there():
    stem, branch = np.array([[30.0, 8.0], [30.0, 72.0]]), np.array([[30.0, 40.0], [66.0, 25.0]])
    found = strokes_in(ink_of([stem, branch], 4, (80, 80)))
    assert sorted(round(curves.length(stroke.points()), -1) for stroke in found) in ([30, 60], [40, 60])


def test_the_short_tail_of_a_q_is_drawn_with_its_ring():
    ring, tail = arc((50, 50), 30, 0, 360), np.array([[69.8, 69.8], [79.0, 79.0]])
    (found,) = strokes_in(ink_of([ring, tail], 12, (110, 110)))
    assert np.linalg.norm(found.points() - tail[1], axis=1).min() < 4


def test_the_tail_of_a_q_is_ink_that_is_left_if_only_its_ring_is_found():
    ring, tail = arc((50, 50), 30, 0, 360), np.array([[69.8, 69.8], [79.0, 79.0]])
    ink = ink_of([ring, tail], 12, (110, 110))
    alone = line_fitting.Line(curves.fit(ring, 0.5), 12.0, True)
    left = np.argwhere(tracing.residual_ink(ink, [alone], 12.0) > 0.5)
    np.testing.assert_allclose(left.mean(0) + 0.5, tail[1], atol=3)


def test_strokes_start_at_the_upper_left_and_a_text_is_read_in_rows():
    down = lambda x, y: np.array([[x, y + 10.0], [x, y]])
    rows = [down(x, y) for y in (10.0, 60.0) for x in (70.0, 40.0, 10.0)]
    run = [order.directed(line, False) for line in rows]
    assert all(line[0, 1] < line[-1, 1] for line in run)
    assert order.in_order(run) == [2, 1, 0, 5, 4, 3]


def test_curves_run_within_their_tolerance_and_keep_corners():
    line = np.concatenate([arc((50, 50), 40, 180, 360), [[90.0, 90.0]], [[20.0, 90.0]]])
    fitted = curves.fit(line, 0.2)
    assert len(fitted) % 3 == 1 and len(fitted) < 40
    run = curves.sample(fitted, 1000)
    assert cKDTree(run).query(line)[0].max() < 0.22
    np.testing.assert_allclose(fitted[[0, -1]], line[[0, -1]])
    assert np.abs(fitted - [90, 90]).max(1).min() < 1e-9


def test_a_curve_reaches_as_far_as_it_can():
    """A straight line is one cubic; so is a half circle within 2 % of its radius, and three within 0.1 %."""
    straight = np.linspace([3.0, 4.0], [90.0, 60.0], 50)
    assert len(curves.fit(straight, 0.01)) == 4
    half = arc((50, 50), 40, 0, 180)
    assert [len(curves.fit(half, 40 * share)) for share in (0.02, 0.001)] == [4, 10]


def test_a_line_of_uneven_steps_is_fitted():
    """Its vertices may all come to lie at the ends of a curve, which then has nothing to be fitted to."""
    steps = [(-0.5, 0.9), (1.2, 6.6), (2, 7.2), (2, 8.2), (1.4, 9), (0.9, 9.9), (-3.2, 14.3), (-2.8, 18.3)]
    line = np.array([*steps, (-3.1, 19.3), (-6.8, 24), (-6.7, 25), (-6.3, 25.9)])
    found = curves.sample(curves.fit(line, 0.6), 50)
    assert np.linalg.norm(line[:, None] - found[None], axis=-1).min(1).max() < 0.6 + 0.01


def test_a_stroke_is_few_curves(found):
    assert max(len(stroke.control_points) for stroke in found) <= 3 * 4 + 1


@pytest.mark.parametrize("angle", [15, 25, 40])
def test_a_sharp_turn_is_one_stroke_with_its_tip_in_place(angle):
    """Where the legs' ink is one, thinning leaves a stem, which is no stroke of its own."""
    half = np.deg2rad(angle / 2)
    leg = 70 * np.array([np.sin(half), np.cos(half)])
    tip = np.array([50.0, 15.0])
    turn = np.array([tip + leg * [-1, 1], tip, tip + leg])
    (found,) = strokes_in(ink_of([turn], 5, (100, 100)))
    assert chamfer([found], [turn]) < 0.12 * 5
    assert np.linalg.norm(found.points(0.25) - turn[1], axis=1).min() < 0.7 * 5


def test_a_stem_as_wide_as_its_legs_is_a_stroke():
    fork = [np.array([[20.0, 10.0], [50, 50], [50, 90]]), np.array([[80.0, 10.0], [50, 50]])]
    assert len(strokes_in(ink_of(fork, 5, (100, 100)))) == 2
