"""Figures whose order of strokes is taught, with every stroke reversed at random and all of them shuffled."""

import numpy as np
import pytest
from known_strokes import arc, line, moved

from dood_jax.vectorize import order


def dot(x, y) -> np.ndarray:
    return np.array([[x, y], [x, y]], float)


BOX = [line((20, 20), (20, 80)), line((20, 20), (80, 20), (80, 80)), line((20, 80), (80, 80))]
LEVEL, UPRIGHT = line((10, 45), (90, 40)), line((50, 10), (50, 95))
FALLS_LEFT, FALLS_RIGHT = line((50, 10), (44, 50), (10, 90)), line((45, 45), (60, 70), (90, 90))
TREE = [LEVEL, UPRIGHT, line((48, 45), (12, 85)), line((52, 45), (90, 85))]
MIDDLE = [*moved(BOX, 0, 0), line((50, 5), (50, 99))]
SUN = [*BOX[:2], line((20, 50), (80, 50)), BOX[2]]
BOX_WITH_CONTENT = [
    *BOX[:2],
    line((30, 40), (70, 40)),
    line((50, 28), (50, 70)),
    line((30, 70), (70, 70)),
    BOX[2],
]
WALK = [line((12, 12), (19, 21)), line((5, 40), (22, 40), (8, 84)), line((8, 84), (40, 92), (98, 92))]
LETTER = [line((0, 0), (0, 40)), line((0, 2), (25, 10), (0, 20))]

STEM = line((10, 0), (10, 100))
LETTERS = {
    "A": [line((40, 0), (5, 100)), line((40, 0), (75, 100)), line((22, 60), (60, 58))],
    "A in two": [line((5, 100), (40, 0), (75, 100)), line((22, 60), (60, 58))],
    "B": [STEM, line((4, 2), (50, 10), (50, 35), (12, 48), (60, 55), (60, 90), (10, 100))],
    "D": [STEM, line((2, 0), (60, 20), (60, 80), (10, 100))],
    "E": [line((10, 0), (10, 100), (70, 100)), line((10, -2), (70, -4)), line((12, 50), (55, 48))],
    "F": [STEM, line((8, 2), (70, 0)), line((10, 45), (55, 44))],
    "H": [STEM, line((70, 0), (70, 100)), line((8, 50), (72, 48))],
    "P": [STEM, line((6, 4), (60, 10), (60, 40), (12, 55))],
    "R": [STEM, line((6, 4), (60, 10), (60, 40), (12, 55), (65, 100))],
    "a bar that lies on a stem": [line((5, 0), (78, 0)), line((40, 0), (40, 100))],
    "5": [line((12, 4), (10, 45), (50, 40), (65, 70), (40, 100), (5, 90)), line((14, 0), (60, -2))],
    "pi": [line((0, 6), (80, 0)), line((25, 5), (20, 90)), line((60, 3), (64, 90))],
    "i": [line((10, 30), (12, 100)), line((10, 2), (13, 6))],
    "j": [line((30, 30), (32, 90), (10, 120), (0, 105)), line((28, 2), (31, 5))],
    "a mark over a wide stroke": [line((38, 0), (42, 12)), line((0, 30), (80, 30))],
}

FIGURES = {
    **LETTERS,
    "level strokes are stacked": [
        line((20, 20), (80, 20)),
        line((25, 50), (75, 50)),
        line((10, 80), (90, 80)),
    ],
    "level before upright": TREE,
    "left before right": [FALLS_LEFT, FALLS_RIGHT],
    "what runs through comes last": MIDDLE,
    "content before the bottom": SUN,
    "a box closes last": BOX_WITH_CONTENT,
    "side by side": [*moved(TREE, 0, 0, 0.5), *moved(SUN, 52, 0, 0.5)],
    "one above the other": [*moved(SUN, 25, 0, 0.5), *moved(TREE, 25, 46, 0.5)],
    "on a line that leads on from the left": [*moved(SUN, 25, -8), *WALK],
    "a mark over the middle, then the lid": [
        line((50, 5), (52, 18)),
        line((12, 25), (8, 45)),
        line((12, 25), (90, 25), (82, 40)),
    ],
    "small marks at the upper right are last": [
        line((10, 45), (70, 40)),
        line((40, 15), (45, 70), (20, 95)),
        line((76, 18), (82, 28)),
        line((88, 13), (94, 23)),
    ],
    "letters in rows": [
        stroke for y in (0, 60) for x in (0, 40, 80, 120) for stroke in moved(LETTER, x, y + x / 20)
    ],
    "letters with a dot": [
        stroke for x in range(0, 140, 20) for stroke in (line((x, 20), (x, 50)), dot(x + 1, 12 + x % 3))
    ],
}


def restored(strokes, seed: int) -> list[int]:
    """The order that is found for strokes given in random order and directions."""
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(strokes))
    lines = [order.directed(strokes[i][:: random.choice([-1, 1])], False) for i in shuffled]
    for index, run in zip(shuffled, lines, strict=True):
        np.testing.assert_allclose(run, strokes[index])
    return [int(shuffled[i]) for i in order.in_order(lines)]


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("scale", [0.3, 4.0])
def test_strokes_come_in_the_taught_order(name, scale):
    strokes = moved(FIGURES[name], 7, 9, scale)
    for seed in range(4):
        assert restored(strokes, seed) == list(range(len(strokes)))


@pytest.mark.parametrize(("rows", "columns"), [(1, 3), (1, 12), (2, 5), (4, 10), (5, 2)])
@pytest.mark.parametrize("underlined", [False, True])
def test_dots_are_read_in_rows_however_they_jitter(rows, columns, underlined):
    for seed in range(10):
        jitter = np.random.default_rng(seed).uniform(-2, 2, (rows, columns, 2))
        dots = [dot(20 * j, 20 * i) + jitter[i, j] for i in range(rows) for j in range(columns)]
        below = [line((-15, 20 * rows), (20 * columns + 15, 20 * rows))] if underlined else []
        assert restored([*dots, *below], seed) == list(range(len(dots) + len(below)))


def n_at(x, y) -> np.ndarray:
    return line((x, y + 35), (x, y), (x + 20, y), (x + 20, y + 35))


@pytest.mark.parametrize("mark", [line((40, 33), (37, 42)), line((32, 18), (48, 18))], ids=["comma", "dash"])
def test_marks_of_a_row_are_no_dots_of_the_next_one(mark):
    first = [n_at(0, 0), mark, n_at(60, 0), n_at(120, 0)]
    second = [n_at(0, 90), line((40, 77), (40, 125)), n_at(60, 90), n_at(120, 90)]
    assert restored([*first, *second], 0) == list(range(8))


def test_a_dot_stays_with_its_stroke_in_a_figure_of_many():
    """The stroke lies over another upright one, of which it is no dot, since the figure is no letter."""
    i = [line((10, 12), (10, 22)), dot(10, 8)]
    bars = [line((14, y), (60, y)) for y in (40, 60, 80)]
    order_of = restored([*i, line((12, 30), (12, 90)), *bars], 0)
    assert order_of.index(1) == order_of.index(0) + 1


def test_dots_at_the_end_of_a_row_of_letters_belong_to_it():
    letters = [stroke for x in (0, 60, 120) for stroke in moved(LETTER, x, 0)]
    dots = [dot(x, 38 - x % 3) for x in (180, 210, 240)]
    strokes = [*letters, *dots, *moved(letters, 0, 90)]
    assert restored(strokes, 0) == list(range(len(strokes)))


@pytest.mark.parametrize("bend", [-6, 6])
def test_mostly_level_strokes_run_right_and_mostly_upright_ones_down(bend):
    for degrees in (-25, 0, 30, 60, 90, 120, 140):
        end = 50 * np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
        stroke = line((0, 0), end / 2 + [0, bend], end)
        for given in (stroke, stroke[::-1]):
            np.testing.assert_allclose(order.directed(given, False), stroke)


def test_a_ring_runs_against_the_clock_from_its_upper_left():
    angles = np.linspace(0, 2 * np.pi, 41)
    ring = 20 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for given in (ring, ring[::-1]):
        run = order.directed(given, True)
        assert run[0, 1] < 0 and run[5, 0] < run[0, 0]
        np.testing.assert_allclose(run[0], run[-1])


def test_a_large_grid_of_dots_is_read_in_rows():
    many = [dot(x, y) for y in range(20) for x in range(30)]
    assert order.in_order(many) == list(range(len(many)))


@pytest.mark.parametrize("gap", [5, 20, 35])
def test_a_ring_that_almost_closes_runs_against_the_clock(gap):
    """Wherever its ends are: y grows downwards, so the angle falls."""
    for start in range(0, 360, 45):
        ring = arc((50, 50), 30, start, start - 360 + gap)
        np.testing.assert_array_equal(order.directed(ring, False), ring)
        np.testing.assert_array_equal(order.directed(ring[::-1], False), ring)


def test_an_eight_that_almost_closes_starts_to_the_left():
    turn = np.linspace(0.15, 2 * np.pi - 0.1, 120)
    eight = np.stack([50 - 20 * np.sin(2 * turn), 50 - 40 * np.cos(turn)], axis=1)
    assert eight[5, 0] < eight[0, 0]
    np.testing.assert_array_equal(order.directed(eight, False), eight)
    np.testing.assert_array_equal(order.directed(eight[::-1], False), eight)
