"""Figures show what they are given."""

import numpy as np
from PIL import Image

from dood_jax import figures

BLUE, ORANGE = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)


def fraction_of(image: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((abs(image.astype(int) - colour).sum(-1) < 12).mean())


def test_a_figure_has_a_row_for_the_target_and_each_stroke_and_colours_new_ink_only(tmp_path):
    images = np.zeros((2, 10, 10))
    canvases = np.zeros((2, 3, 10, 10))
    canvases[0, 0:, :5] = 1  # the first stroke fills the upper half, and nothing is added later
    path = tmp_path / "figures" / "steps.png"
    figures.step_by_step(path, images, canvases, "title")
    with Image.open(path) as opened:
        image = np.asarray(opened.convert("RGB"))
    assert 0.05 < fraction_of(image, BLUE) < 0.5
    assert fraction_of(image, ORANGE) == 0


def test_a_completion_is_black_where_it_began_and_coloured_where_it_went_on():
    start, whole = np.zeros((1, 4, 4)), np.zeros((1, 4, 4))
    start[0, :2] = whole[0, :3] = 1
    (image,) = np.round(255 * figures.coloured_completions(start, whole))
    assert (image[:2] == 0).all() and (image[3] == 255).all()
    assert fraction_of(image[2], ORANGE) == 1


def test_blocks_of_images_stand_beside_or_below_each_other(tmp_path):
    blocks = {"one": np.zeros((2, 3, 8, 8)), "other": np.ones((2, 3, 8, 8, 3))}
    sizes = {}
    for stacked in (False, True):
        figures.image_blocks(tmp_path / "blocks.png", blocks, stacked)
        with Image.open(tmp_path / "blocks.png") as image:
            sizes[stacked] = image.size
    assert abs(sizes[False][0] - 2 * sizes[True][0]) <= 2 and sizes[False][1] < sizes[True][1]
