"""A few drawings by hand: to try the page with, and to compile for before anybody has drawn."""

import json
from importlib import resources

import numpy as np
from PIL import Image, ImageDraw

Shape = list[list[list[float]]]  # strokes of (x, y) points in the unit square

_SIDE, _PEN = 480, 24  # pixels of the page's sheet and of its pen


def shapes() -> dict[str, Shape]:
    """All of them by name."""
    return json.loads((resources.files("dood_jax.demo") / "static" / "shapes.json").read_text())


def drawn(shape: Shape) -> np.ndarray:
    """float32 [480, 480] ink of a shape, as the page would send it."""
    picture = Image.new("L", (_SIDE, _SIDE))
    pen = ImageDraw.Draw(picture)
    for stroke in shape:
        points = [(x * _SIDE, y * _SIDE) for x, y in stroke]
        pen.line(points, fill=255, width=_PEN, joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - _PEN / 2, y - _PEN / 2, x + _PEN / 2, y + _PEN / 2), fill=255)
    return np.asarray(picture, np.float32) / 255
