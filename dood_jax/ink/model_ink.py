"""What a model drew, as pen strokes of any size: its curves as chains of cubics, its pens as widths."""

import numpy as np

from dood_jax.geometry.bezier import bernstein_basis
from dood_jax.ink.drawing import InkDrawing
from dood_jax.ink.strokes import InkStroke
from dood_jax.types import BrushParams

_CUBICS = 4  # that make up one curve of higher degree


def drawing_of(
    control_points: np.ndarray,
    presence: np.ndarray,
    brush: BrushParams,
    size: int,
    pixel: float,
    source: str = "",
) -> InkDrawing:
    """One drawing of a model as ink on a square page.

    Args:
      control_points: [T, P, 2] of the strokes on the canvas, unit square.
      presence: [T] bits; only strokes that are on are kept.
      brush: pens of the strokes.
      size: pixels of the page's side.
      pixel: side of the model's own pixels in the unit square; the rasteriser puts them at their corners.
      source: names the drawing in its formats.
    """
    placed = (np.asarray(control_points, np.float64) + pixel / 2) * size
    widths = full_width(brush) * size
    strokes = tuple(
        InkStroke(cubics(points), float(width), is_closed=False, confidence=1.0)
        for points, width, is_on in zip(placed, widths, presence, strict=True)
        if is_on
    )
    return InkDrawing(strokes, size, size, source)


def cubics(control_points: np.ndarray) -> np.ndarray:
    """[P, 2] control points of a Bézier curve of any degree -> [3 m + 1, 2] of a chain of m = 4 cubics.

    At their joints they have the curve's points and tangents; it begins with point 0.
    """
    num_points = len(control_points)
    joints = bernstein_basis(num_points, _CUBICS + 1)[::-1] @ control_points
    legs = (num_points - 1) * np.diff(control_points, axis=0)
    handles = bernstein_basis(num_points - 1, _CUBICS + 1)[::-1] @ legs / (3 * _CUBICS)
    chain = np.stack([joints[:-1], joints[:-1] + handles[:-1], joints[1:] - handles[1:]], axis=1)
    return np.concatenate([chain.reshape(-1, 2), joints[-1:]])


def full_width(brush: BrushParams) -> np.ndarray:
    """[T] widths, in the unit square, within which a lone stroke has half the ink of its middle or more.

    Ink at a distance d is tanh(exp(-d²/2ρ²)/κ) / tanh(1/κ), the canvas its tanh(·/γ) (method.md 3.9 to 3.11).
    """
    deviation, ink_slope, canvas_slope = (np.asarray(value, np.float64) for value in brush)
    half_ink = canvas_slope * np.arctanh(np.tanh(1 / canvas_slope) / 2)
    nearness = ink_slope * np.arctanh(half_ink * np.tanh(1 / ink_slope))
    return 2 * deviation * np.sqrt(-2 * np.log(nearness))
