"""Drawings as an animated GIF, in which the pen is seen at work."""

import io

import numpy as np
from PIL import Image, ImageDraw

from dood_jax.vectorize import curves
from dood_jax.vectorize.curves import InkStroke, Strokes

_LONGEST_SIDE, _SHORTEST_SIDE = 480, 160  # pixels of a GIF; larger drawings are shrunk, tiny ones enlarged
_FRAMES, _MILLISECONDS, _REST = 40, 60, 1500  # of a GIF, per frame, and for the last frame
_OVERSAMPLING = 3
_COLOURS = 32  # of a frame


def gif(drawing: Strokes) -> bytes:
    """A GIF that draws the strokes on white in some 40 frames, over and over."""
    longest = max(drawing.width, drawing.height)
    scale = min(_LONGEST_SIDE / longest, max(1.0, _SHORTEST_SIDE / longest))
    size = (max(1, round(drawing.width * scale)), max(1, round(drawing.height * scale)))
    canvas = Image.new("RGB", (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING), "white")
    pen = ImageDraw.Draw(canvas)
    marks = [mark for stroke in drawing.strokes for mark in _marks(stroke, scale * _OVERSAMPLING)]
    frames = []
    for some in np.array_split(np.arange(len(marks)), max(1, min(_FRAMES, len(marks)))):
        for index in some:
            _draw(pen, *marks[index])
        frames.append(canvas.resize(size, Image.Resampling.BOX).quantize(_COLOURS))
    times = [_MILLISECONDS] * (len(frames) - 1) + [_REST]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return file.getvalue()


_Mark = tuple[np.ndarray, float, tuple[int, int, int]]  # places [n, 2], radius, colour


def _marks(stroke: InkStroke, scale: float) -> list[_Mark]:
    """The discs of the pen in drawing order, each at one place; at last the area of a filled outline."""
    radius = max(stroke.width * scale / 2, 0.8)
    colour = stroke.colour or (0, 0, 0)
    points = stroke.points() * scale
    if len(points) > 1:
        points = curves.evenly(points, int(curves.length(points) / max(radius / 3, 1)) + 2)
    discs = [(point[None], radius, colour) for point in points]
    return [*discs, (points, 0.0, colour)] if stroke.is_filled and len(points) > 2 else discs


def _draw(pen: ImageDraw.ImageDraw, places: np.ndarray, radius: float, colour: tuple[int, int, int]) -> None:
    """Draws a disc, or the area between three places and more."""
    if len(places) > 2:
        pen.polygon(places.ravel().tolist(), fill=colour)
    else:
        x, y = places[0].tolist()
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)
