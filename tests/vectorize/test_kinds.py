"""Every kind of page that people trace, drawn here with known strokes, gives these strokes."""

import itertools

import ink_kinds
import numpy as np
import pytest
from known_strokes import MATCHED, STROKES, arc, ink_of, matched

from dood_jax.vectorize import page, tracing
from dood_jax.vectorize.curves import InkStroke

LEAST = {  # rates of random compositions
    "crossing of 30 degrees": 0.95,
    "crossing of 20 degrees": 0.90,
    "crossing of 10 degrees": 0.75,
    "dot": 0.97,
    "line beside another pen": 0.95,
    "lines of a page in a frame": 1.0,
}


def found_in(grey) -> list[InkStroke]:
    return tracing.strokes_of(page.remove_background(grey.astype(np.float32)), None, 0)[0]


def on_paper(ink) -> np.ndarray:
    return 0.95 - 0.8 * ink


def pairs(truth, found, size) -> list[tuple[int, int]]:
    return matched(truth, [stroke.points(0.5) for stroke in found], MATCHED * max(size))


def require(truth, grey) -> list[InkStroke]:
    """The true strokes are found, each once, and nothing else; returns them in the order of the truth."""
    found = found_in(grey)
    same = dict(pairs(truth, found, grey.shape))
    assert len(found) == len(truth)
    assert len(same) == len(truth)
    return [found[same[index]] for index in range(len(truth))]


def slanted(centre, half: float, degrees: float) -> np.ndarray:
    """[2, 2] a straight line."""
    step = half * np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
    return np.array([np.asarray(centre) - step, np.asarray(centre) + step])


def test_a_framed_page(ink):
    grey = on_paper(ink)
    grey[0] = grey[-1] = grey[:, 0] = grey[:, -1] = 0
    require(STROKES, grey)


def test_the_edge_of_a_scanner(ink):
    grey = on_paper(ink)
    grey[:4], grey[:, :6] = 0.1, np.linspace(0, 0.4, 6)
    require(STROKES, grey)


def test_a_card_with_a_transparent_border(ink):
    card = np.pad(on_paper(ink), 12, constant_values=np.nan)
    require([stroke + 12 for stroke in STROKES], card)


@pytest.mark.parametrize("pen", [3, 5])
def test_a_shallow_crossing_is_two_strokes(pen):
    side = 28 * pen
    lines = [slanted((side / 2, side / 2), 12 * pen, angle) for angle in (17, 47)]
    require(lines, on_paper(ink_of(lines, pen, (side, side))))


def test_thick_beside_thin():
    lines = [np.array([[12.0, y], [45, y - 4], [78, y + 3]]) for y in (14, 33, 52, 70)]
    widths = [3, 12, 3, 3]
    inks = [ink_of([line], width, (85, 90)) for line, width in zip(lines, widths, strict=True)]
    found = require(lines, on_paper(np.maximum.reduce(inks)))
    assert [stroke.width for stroke in found] == pytest.approx(widths, rel=0.2)


def test_a_grid_of_dots_is_read_in_rows():
    places = [(x, y) for y in (20.0, 45, 70) for x in (15.0, 40, 65, 90)]
    found = found_in(on_paper(ink_of([[place, place] for place in places], 5, (90, 105))))
    assert all(stroke.is_dot for stroke in found)
    np.testing.assert_allclose([stroke.control_points[0] for stroke in found], places, atol=0.5)


def test_the_dots_of_an_i_are_half_a_pen():
    stems = [np.array([[x, 40.0], [x + 2, 85]]) for x in (20, 50, 80)]
    dots = [np.repeat(stem[:1] - [0, 20], 2, axis=0) for stem in stems]
    ink = np.maximum(ink_of(stems, 6, (100, 100)), ink_of(dots, 3, (100, 100)))
    found = require(stems + dots, on_paper(ink))
    assert [stroke.is_dot for stroke in found] == [False] * 3 + [True] * 3


def test_a_pressed_stem_is_a_stroke_of_its_own():
    size, fork = (100, 100), np.array([50.0, 50.0])
    arms = [np.array([[x, 12.0], fork]) for x in (18, 82)]
    stem = np.linspace(fork, [50, 90], 20)
    widths = np.interp(np.arange(19), [0, 5.4], [5, 8])
    inks = [ink_of([stem[i : i + 2]], width, size) for i, width in enumerate(widths)]
    require([*arms, stem], on_paper(np.maximum.reduce([ink_of(arms, 5, size), *inks])))


def test_a_script_of_narrow_loops_is_one_stroke():
    turn = np.linspace(-np.pi, 9 * np.pi, 400)
    loops = np.stack([25 + 20 * turn / (2 * np.pi) - 8 * np.sin(turn), 40 - 26 * np.cos(turn)], axis=1)
    require([loops], on_paper(ink_of([loops], 3, (80, 130))))


@pytest.mark.parametrize("pens", [3, 6, 10])
def test_a_stem_that_is_drawn_twice_is_part_of_one_stroke(pens):
    pen, radius = 4.0, 4.0 * pens
    top, foot = 15 + radius, 55 + 2 * radius
    letter = [[15.0, foot]]
    for x in (15, 15 + 2 * radius):
        letter += [[x, top], *arc((x + radius, top), radius, 180, 360), [x + 2 * radius, foot]]
    size = (int(foot + 15), int(30 + 4 * radius))
    require([np.array(letter)], on_paper(ink_of([letter], pen, size)))


@pytest.mark.parametrize("pen", [3, 5])
@pytest.mark.parametrize("tip", [12, 25, 35])
def test_a_nine_is_drawn_without_lifting_the_pen(tip, pen):
    nine = np.array([*arc((42, 45), 22, -60, -360), [64, tip], [64, 100]])
    require([nine], on_paper(ink_of([nine], pen, (125, 130))))


@pytest.mark.parametrize("pen", [3, 5])
@pytest.mark.parametrize("turn", [20, 40])
def test_the_waist_of_a_three_is_part_of_it(turn, pen):
    upper, lower = arc((50, 36), 20, -150, turn), arc((50, 80), 22, -turn - 10, 150)
    fork = (upper[-1] + lower[0]) / 2 - [6, 0]
    three = np.array([*upper, fork, fork - [8, 1], fork, *lower])
    require([three], on_paper(ink_of([three], pen, (125, 130))))


def test_a_sharp_corner_is_no_end_of_a_stroke():
    lifted = []
    for angle, towards, pen in itertools.product((20, 40, 50, 60, 70), (90, 20, 0, -20, -70), (3, 5)):
        way = lambda degrees: np.array([np.cos(np.deg2rad(degrees)), -np.sin(np.deg2rad(degrees))])
        tip = [60, 60] + 30 * way(towards)
        corner = [tip - 50 * way(towards + angle / 2), tip, tip - 70 * way(towards - angle / 2)]
        if len(found_in(on_paper(ink_of([corner], pen, (125, 130))))) != 1:
            lifted.append((angle, towards, pen))
    assert len(lifted) <= 1


def test_a_twig_belongs_to_the_stroke_that_it_meets():
    ring = arc((60, 60), 40, -80, 280)
    twig = np.array([ring[0], [64, 29]])
    (found,) = found_in(on_paper(ink_of([ring, twig], 5, (120, 120))))
    away = np.linalg.norm(found.points(0.5) - [64, 29], axis=1).min()
    assert away < 2.5


def test_clusters_of_noise_beside_a_thick_pen_are_no_strokes():
    line = np.array([[30.0, 30], [100, 120], [170, 60]])
    grey = on_paper(ink_of([line], 9, (150, 200)))
    require([line], grey + np.random.default_rng(3).normal(0, 0.1, grey.shape))


@pytest.mark.parametrize("pen", [3, 6])
@pytest.mark.parametrize("angle", [10, 37, 64])
def test_strokes_are_few_curves(pen, angle):
    for stroke, most in ((slanted((75, 75), 50, angle), 2), (arc((75, 75), 45, angle, angle + 180), 3)):
        (found,) = require([stroke], on_paper(ink_of([stroke], pen, (150, 150))))
        assert len(found.control_points) <= 3 * most + 1


def test_a_tight_zigzag_is_one_stroke():
    zigzag = np.array([[12.0 + 7 * i, 15.0 + 50 * (i % 2)] for i in range(14)])
    require([zigzag], on_paper(ink_of([zigzag], 4, (80, 120))))


def test_filled_eyes_are_dots_beside_lines():
    lines = [
        arc((50, 50), 42, 0, 360),
        arc((50, 50), 26, 30, 150),
        np.array([[50.0, 42], [46, 56], [53, 57]]),
    ]
    eyes = [np.array([[x, 36.0], [x, 36]]) for x in (34, 66)]
    ink = np.maximum(ink_of(lines, 3, (100, 100)), ink_of(eyes, 13, (100, 100)))
    found = require(lines + eyes, on_paper(ink))
    assert [stroke.is_dot for stroke in found] == [False] * 3 + [True] * 2
    assert [stroke.width for stroke in found[3:]] == pytest.approx([13, 13], rel=0.1)


def test_a_very_thick_letter():
    letter = [np.array([[22.0, 24], [88, 24]]), np.array([[55.0, 24], [55, 90]])]
    found = found_in(on_paper(ink_of(letter, 30, (110, 110))))
    assert len(found) == 2
    assert [stroke.width for stroke in found] == pytest.approx([30, 30], rel=0.2)


def test_larger_drawings_have_the_same_strokes():
    letter = [
        np.array([[10.0, 54], [24, 10], [38, 54]]),
        np.array([[16.0, 36], [32, 36]]),
        np.array([[50.0, 10], [50, 54]]),
        np.array([[74.0, 10], [50, 35], [75, 54]]),
    ]
    small, large = (
        found_in(on_paper(ink_of([k * line for line in letter], 4 * k, (64 * k, 85 * k)))) for k in (1, 3)
    )
    enlarged = [3 * stroke.points(0.5) for stroke in small]
    same = matched(enlarged, [stroke.points() for stroke in large], MATCHED * 255)
    assert len(small) == len(large) == len(same)


@pytest.mark.slow
def test_random_compositions():
    rates = ink_kinds.rates(count=100, seed=1)
    assert min(rate.total for rate in rates.values()) >= 40
    short = {name: rates[name] for name, least in LEAST.items() if rates[name].share < least}
    assert not short
