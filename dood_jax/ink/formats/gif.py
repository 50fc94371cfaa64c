"""A GIF of the drawing as it grows."""

import io

import numpy as np
from PIL import Image, ImageDraw

from dood_jax.ink import curves
from dood_jax.ink.strokes import Strokes

_LONGEST_SIDE, _SHORTEST_SIDE = 480, 160  # pixels; larger drawings are made smaller, tiny ones larger
_FRAMES, _MILLISECONDS, _REST = 40, 60, 1500  # frames, of which the last stays longest
_OVERSAMPLING = 3


def encode(drawing: Strokes) -> bytes:
    """Some 40 frames, over and over."""
    longest = max(drawing.width, drawing.height)
    scale = min(_LONGEST_SIDE / longest, max(1.0, _SHORTEST_SIDE / longest))
    size = tuple(max(1, round(side * scale)) for side in (drawing.width, drawing.height))
    canvas = Image.new("L", tuple(side * _OVERSAMPLING for side in size), 255)
    pen = ImageDraw.Draw(canvas)
    marks = _marks(drawing, scale * _OVERSAMPLING)
    frames = []
    for some in np.array_split(np.arange(len(marks)), min(_FRAMES, len(marks))):
        for index in some:
            _stamp(pen, marks[index])
        frames.append(canvas.resize(size, Image.Resampling.BOX).quantize(16))
    times = [_MILLISECONDS] * (len(frames) - 1) + [_REST]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return file.getvalue()


def _marks(drawing: Strokes, scale: float) -> np.ndarray:
    """[N, 3] (x, y, radius) of the discs that make up the drawing."""
    found = []
    for stroke in drawing.strokes:
        radius = max(stroke.width * scale / 2, 0.8)
        points = stroke.points() * scale
        if len(points) > 1:
            points = curves.evenly(points, int(curves.length(points) / max(radius / 3, 1)) + 2)
        found.append(np.concatenate([points, np.full((len(points), 1), radius)], axis=1))
    return np.concatenate(found)


def _stamp(pen: ImageDraw.ImageDraw, mark: np.ndarray) -> None:
    x, y, radius = (float(value) for value in mark)
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=0)
