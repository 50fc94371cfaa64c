"""A vectorised image with its formats, and one made of a model's strokes.

A vectorised image, and the formats that it can be had in.

What a model drew, as pen strokes of any size: its curves as chains of cubics, its pens as widths.
"""

import dataclasses

import numpy as np

from dood_jax.config.model import ModelConfig
from dood_jax.geometry import bernstein_basis
from dood_jax.types import BrushParams
from dood_jax.vectorize import curves, formats
from dood_jax.vectorize.curves import InkStroke, Strokes


@dataclasses.dataclass(frozen=True)
class InkDrawing(Strokes):
    """The strokes of one image, with their formats."""

    def to_svg(self, animated: bool = False) -> str:
        """An SVG with a path a stroke; animated, the strokes appear as they are drawn."""
        return formats.animated_svg(self) if animated else formats.svg(self)

    def to_gif(self) -> bytes:
        """A GIF of the strokes being drawn."""
        return formats.gif(self)

    def to_inkml(self) -> str:
        """InkML (W3C 2011), a trace a stroke."""
        return formats.inkml(self)

    def to_stroke3(self) -> np.ndarray:
        """float32 [N, 3] (step x, step y, pen lifted afterwards), in pixels from the origin."""
        return formats.stroke3(self)

    def to_ndjson(self) -> str:
        """One line in the simplified form of Quick, Draw!: integers 0..255 from the drawing's corner."""
        return formats.quickdraw(self)

    def to_json(self) -> str:
        """All that is known of every stroke."""
        return formats.plain_json(self)


_CUBICS = 4  # that make up one curve of higher degree
_CLOSEST = 0.02  # samples of a stroke, in deviations of its pen


def drawing_of(
    control_points: np.ndarray,
    presence: np.ndarray,
    brush: BrushParams,
    size: int,
    config: ModelConfig,
    source: str = "",
) -> InkDrawing:
    """One drawing of a model as ink on a square page.

    Args:
      control_points: [T, P, 2] of the strokes on the canvas, unit square.
      presence: [T] bits; only strokes that are on are kept.
      brush: pens of the strokes.
      size: pixels of the page's side.
      config: of the model; its rasteriser has pixels at their corners, ink has them at their middles.
      source: names the drawing in its formats.
    """
    chains = [cubics(np.asarray(points, np.float64)) for points in control_points]
    lengths = np.array([curves.length(curves.sample(chain)) for chain in chains])
    spacing = lengths / (config.curve_samples - 1) if config.brush == "soft_distance" else None
    strokes = tuple(
        InkStroke((chain + 0.5 / config.image_size) * size, width * size, is_closed=False, confidence=1.0)
        for chain, width, is_on in zip(chains, full_width(brush, spacing).tolist(), presence, strict=True)
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


def full_width(brush: BrushParams, spacing: np.ndarray | None = None) -> np.ndarray:
    """[T] widths, in the unit square, within which a lone stroke has half the ink of its middle or more.

    Ink at a distance d is tanh(A exp(-d²/2ρ²)/κ) / tanh(1/κ), the canvas its tanh(·/γ) (method.md 3.9 to
    3.11). A is 1; for samples that `soft_distance` finds [T] `spacing` δ apart it is (√(2π) ρ / 2δ)^(1/4).
    """
    deviation, ink_slope, canvas_slope = (np.asarray(value, np.float64) for value in brush)
    peak = np.ones_like(deviation)
    if spacing is not None:
        peak = (np.sqrt(2 * np.pi) * deviation / (2 * np.maximum(spacing, _CLOSEST * deviation))) ** 0.25
    ink = np.tanh(peak / ink_slope) / np.tanh(1 / ink_slope)
    half_ink = canvas_slope * np.arctanh(np.tanh(ink / canvas_slope) / 2)
    nearness = ink_slope * np.arctanh(half_ink * np.tanh(1 / ink_slope))
    return 2 * deviation * np.sqrt(2 * np.log(peak / nearness))
