"""Filled areas are told from lines, thick ones too."""

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from dood_jax.vectorize import areas

THIN, SIZE = 6, (400, 300)


def split(draw):
    """Areas and lines of a mask that `draw` makes with a pen of Pillow."""
    image = Image.new("L", SIZE)
    pen = ImageDraw.Draw(image)
    pen.line([(10, 280), (390, 290)], fill=1, width=THIN)
    pen.ellipse((20, 20, 380, 270), outline=1, width=THIN)
    lines_alone = np.asarray(image).astype(bool)
    draw(pen)
    mask = np.asarray(image).astype(bool)
    return *areas.split(mask, ndimage.distance_transform_edt(mask)), mask, lines_alone


def area_of(outline) -> float:
    x, y = outline.T
    return abs(float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())) / 2


def test_a_round_eye_is_a_dot():
    lines, found, _, lines_alone = split(lambda pen: pen.ellipse((100, 100, 139, 139), fill=1))
    (dot,) = found
    assert dot.is_dot
    assert dot.centre == pytest.approx([120, 120], abs=0.5)
    assert dot.diameter == pytest.approx(40, abs=1)
    assert (lines == lines_alone).all()


def test_an_elliptic_eye_is_an_outline():
    lines, found, mask, lines_alone = split(lambda pen: pen.ellipse((100, 80, 129, 139), fill=1))
    (eye,) = found
    assert not eye.is_dot
    assert area_of(eye.outline) == pytest.approx((mask & ~lines_alone).sum(), rel=0.03)
    assert (lines == lines_alone).all()


@pytest.mark.parametrize("box", [(150, 100, 219, 149), (150, 100, 199, 149)])
def test_a_filled_box_keeps_its_corners(box):
    lines, found, mask, lines_alone = split(lambda pen: pen.rectangle(box, fill=1))
    assert len(found) == 1
    assert (lines == lines_alone).all()
    assert area_of(found[0].outline) == pytest.approx((mask & ~lines_alone).sum(), rel=0.03)


def test_the_head_of_an_arrow_leaves_the_shaft():
    def arrow(pen):
        pen.line([(60, 150), (200, 150)], fill=1, width=THIN)
        pen.polygon([(200, 125), (200, 175), (255, 150)], fill=1)

    lines, found, _, lines_alone = split(arrow)
    (head,) = found
    assert area_of(head.outline) == pytest.approx(25 * 55, rel=0.15)
    rest = lines & ~lines_alone
    assert rest[148:152, 70:185].all()
    assert not rest[:, 205:].any()


def test_the_head_of_a_note_leaves_the_stem():
    def note(pen):
        pen.ellipse((150, 180, 199, 219), fill=1)
        pen.line([(196, 80), (196, 200)], fill=1, width=THIN)

    lines, found, _, lines_alone = split(note)
    assert len(found) == 1
    assert (lines & ~lines_alone)[85:165, 195:198].all()


def test_a_thick_line_is_no_area():
    lines, found, mask, _ = split(lambda pen: pen.line([(100, 150), (300, 140)], fill=1, width=40))
    assert not found
    assert (lines == mask).all()


def test_a_tapered_stroke_is_no_area():
    _, found, _, _ = split(lambda pen: pen.polygon([(80, 120), (120, 100), (320, 160), (90, 150)], fill=1))
    assert not found


def test_thick_lines_alone_are_no_areas():
    mask = np.zeros((100, 100), bool)
    mask[5:45, 2:98] = mask[5:98, 30:70] = True
    lines, found = areas.split(mask, ndimage.distance_transform_edt(mask))
    assert not found
    assert (lines == mask).all()


def test_an_empty_mask():
    empty = np.zeros((20, 20), bool)
    assert areas.split(empty, np.zeros((20, 20)))[1] == []
