"""Characters whose lines meet in corners in which the pen was lifted, drawn and found again."""

import numpy as np
import pytest
from known_strokes import arc, ink_of, line, matched, moved

from dood_jax.vectorize import corners
from dood_jax.vectorize.page import Page
from dood_jax.vectorize.tracing import strokes_of

WIDTH, SIZE = 5.0, (240, 240)
BOX = [line((20, 20), (20, 80)), line((20, 20), (80, 20), (80, 80)), line((20, 80), (80, 80))]
CROSS = [line((10, 45), (90, 42)), line((50, 10), (50, 95))]
CHARACTERS = {
    "a box beside other strokes": [
        *moved(BOX, 0, 50),
        *moved(CROSS, 90, 40, 1.2),
        line((100, 200), (210, 200)),
    ],
    "boxes over each other": [*moved(BOX, 70, 10), *moved(BOX, 70, 100), *moved(CROSS, 130, 60)],
    "a box whose top is free, as letters are": [
        *moved([line((20, 30), (20, 80), (80, 80), (80, 30)), line((50, 10), (50, 75))], 60, 60),
        line((40, 30), (200, 30)),
        line((40, 190), (200, 190)),
    ],
    "a root": [
        line((20, 120), (40, 160), (70, 40), (220, 40)),
        *moved(CROSS, 80, 45),
        line((180, 80), (180, 150)),
    ],
    "a door": [
        *moved(BOX[:2], 60, 60),
        line((110, 100), (110, 150)),
        line((30, 55), (200, 55)),
        line((95, 170), (180, 170)),
    ],
    "an acute corner that runs back": [
        line((60, 30), (180, 30)),
        line((110, 60), (60, 130), (160, 110)),
        line((150, 80), (180, 130)),
        line((60, 190), (180, 190)),
    ],
    "a hook": [
        line((120, 20), (120, 200), (95, 180)),
        line((60, 60), (180, 60)),
        line((60, 100), (90, 130)),
        line((180, 100), (150, 130)),
    ],
    "round lines": [
        arc((70, 120), 30, 180, 330),
        arc((170, 120), 30, 200, 400),
        line((40, 30), (200, 30)),
        line((40, 210), (200, 210)),
    ],
}


@pytest.mark.parametrize("name", CHARACTERS)
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_strokes_are_those_that_a_pen_would_draw(name, scale):
    truth = moved(CHARACTERS[name], 0, 0, scale)
    ink = ink_of(truth, WIDTH * scale, tuple(int(side * scale) for side in SIZE))
    found, _ = strokes_of(Page(ink, 0.0), None, 28)
    assert len(found) == len(truth)
    assert len(matched(truth, [stroke.points() for stroke in found], WIDTH)) == len(truth)


def test_a_box_alone_is_one_stroke():
    found, _ = strokes_of(Page(ink_of(moved(BOX, 0, 0), WIDTH, (100, 100)), 0.0), None, 28)
    assert len(found) == 1 and found[0].is_closed


@pytest.mark.parametrize("degrees", [-20, 0, 20])
def test_kinds_of_corners(degrees):
    """Those of a box that leans, from its upper left on with the clock."""
    turn = np.deg2rad(degrees)
    box = line((0, 0), (60, 0), (60, 60), (0, 60), (0, 0)) @ [
        [np.cos(turn), np.sin(turn)],
        [-np.sin(turn), np.cos(turn)],
    ]
    even = np.stack(
        [np.interp(np.arange(240.0), np.linspace(0, 240, len(box)), axis) for axis in box.T], axis=1
    )
    kinds = corners.corners(np.concatenate([even, even[:1]]), is_closed=True)
    assert kinds == [(0, (True, True)), (60, (False, True)), (120, (False, False)), (180, (True, False))]
    assert corners.corners(even[30:210], is_closed=False) == [
        (30, (False, True)),
        (90, (False, False)),
        (150, (True, False)),
    ]


def test_a_circle_has_no_corners():
    for radius in (3, 10, 40, 200):
        angles = np.linspace(0, 2 * np.pi, int(2 * np.pi * radius) + 1)
        ring = radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        assert not corners.corners(ring, is_closed=True)
