"""Drawings of pens come back from the images that the benchmark makes of them."""

import ink_pens
import numpy as np
import pytest

STROKES = [np.array([[30.0, 0], [30, 70]]), np.array([[5.0, 20], [60, 20]])]  # a cross
SQUARES = [b"M 25 0 L 35 0 L 35 70 L 25 70 Z", b"M 5 15 L 60 15 L 60 25 L 5 25 Z"]  # their outlines


@pytest.fixture(params=["lines", "brush"])
def pack(request, tmp_path):
    arrays = {
        "xy": np.concatenate(STROKES).astype(np.float32),
        "stroke_start": np.array([0, 2, 4]),
        "drawing_start": np.array([0, 2]),
    }
    if request.param == "brush":
        pytest.importorskip("svgpathtools")
        starts = np.cumsum([0, *map(len, SQUARES)])
        arrays |= {"outline": np.frombuffer(b"".join(SQUARES), np.uint8), "outline_start": starts}
    np.savez(tmp_path / "crosses.npz", **arrays)
    return tmp_path / "crosses.npz"


def test_a_cross_is_two_strokes_in_order(pack):
    (drawing,) = ink_pens.drawings(pack, 5)
    inked = np.argwhere(drawing.grey < 0.5) / max(drawing.grey.shape)
    assert 0.05 < inked.min() < 0.15 and 0.85 < inked.max() < 0.95
    row = ink_pens.measure(drawing)
    assert row == {"count": 1, "found": 1, "matched": 1, "direction": 1, "order": 1}
