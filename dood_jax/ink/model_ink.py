"""What a model drew, as pen strokes of any size: its curves as chains of cubics, its pens as widths."""

import numpy as np

from dood_jax.ink import curves
from dood_jax.ink.drawing import InkDrawing
from dood_jax.ink.strokes import InkStroke
from dood_jax.types import BrushParams

_TOLERANCE = 0.01  # of cubics against curves, in widths of the pen


def drawing_of(
    paths: np.ndarray, presence: np.ndarray, brush: BrushParams, size: int, pixel: float, source: str = ""
) -> InkDrawing:
    """One drawing of a model as ink on a square page.

    Args:
      paths: [T, C, 2] points along the strokes, unit square.
      presence: [T] bits; only strokes that are on are kept.
      brush: pens of the strokes.
      size: pixels of the page's side.
      pixel: side of the model's own pixels in the unit square; the rasteriser puts them at their corners.
      source: names the drawing in its formats.
    """
    placed = (np.asarray(paths, np.float64) + pixel / 2) * size
    widths = full_width(brush) * size
    strokes = tuple(
        InkStroke(curves.fit(path, max(_TOLERANCE * width, 1e-3)), float(width), is_closed=False, confidence=1)
        for path, width, is_on in zip(placed, widths, presence, strict=True)
        if is_on
    )
    return InkDrawing(strokes, size, size, source)


def full_width(brush: BrushParams) -> np.ndarray:
    """[T] widths, in the unit square, within which a lone stroke has half the ink of its middle or more.

    Ink at a distance d is tanh(exp(-d²/2ρ²)/κ) / tanh(1/κ), the canvas its tanh(·/γ) (method.md 3.9 to 3.11).
    """
    deviation, ink_slope, canvas_slope = (np.asarray(value, np.float64) for value in brush)
    half_ink = canvas_slope * np.arctanh(np.tanh(1 / canvas_slope) / 2)
    nearness = ink_slope * np.arctanh(half_ink * np.tanh(1 / ink_slope))
    return 2 * deviation * np.sqrt(-2 * np.log(nearness))
