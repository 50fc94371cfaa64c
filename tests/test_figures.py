"""Figures show what they are given."""

import numpy as np
from PIL import Image

from dood_jax import figures


def test_a_figure_has_a_row_for_the_target_and_each_stroke_and_colours_new_ink_only(tmp_path):
    images = np.zeros((2, 10, 10))
    canvases = np.zeros((2, 3, 10, 10))
    canvases[0, 0:, :5] = 1  # the first stroke fills the upper half, and nothing is added later
    path = tmp_path / "figures" / "steps.png"
    figures.step_by_step(path, images, canvases, "title")
    image = np.asarray(Image.open(path).convert("RGB")).astype(int)
    blue = (abs(image - [0x00, 0x72, 0xB2]).sum(-1) < 12).mean()
    orange = (abs(image - [0xD5, 0x5E, 0x00]).sum(-1) < 12).mean()
    assert 0.05 < blue < 0.5
    assert orange == 0
