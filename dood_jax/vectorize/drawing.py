"""A drawing as pen strokes: the formats it can be had in, and how one is made of a model's strokes.

A model's curves become chains of cubics, and its brush becomes a width in pixels.
"""

import dataclasses

import numpy as np

from dood_jax.config.model import ModelConfig
from dood_jax.types import BrushParams
from dood_jax.vectorize import curves, formats, groups, joins
from dood_jax.vectorize.curves import InkStroke, Strokes

_CUBICS = 4  # that make up one curve of higher degree
_CLOSEST = 0.02  # distance of a stroke's samples, in standard deviations of the brush


@dataclasses.dataclass(frozen=True)
class InkDrawing(Strokes):
    """The strokes of one image, and methods that write them in each format."""

    notes: tuple[str, ...] = ()  # one line each, of what the user should know of the image

    def resized(self, width: int, height: int) -> "InkDrawing":
        """The same drawing of an image of another size."""
        scale = np.array([width / self.width, height / self.height])
        area = float(scale.prod())
        strokes = tuple(
            one._replace(control_points=one.control_points * scale, width=one.width * area**0.5)
            for one in self.strokes
        )
        return dataclasses.replace(self, strokes=strokes, width=width, height=height, l1=self.l1 * area)

    def joined(self) -> "InkDrawing":
        """The drawing with strokes that continue each other joined to those that a pen would make.

        For drawings of a model (`Model.to_ink`), whose strokes are short; see `vectorize/joins.py`.
        """
        return dataclasses.replace(self, strokes=tuple(joins.joined(self.strokes)))

    def grouped(self) -> "InkDrawing":
        """The drawing with the line, the word and the character of each stroke, which its formats then tell.

        SVG has them as groups, InkML as trace groups, JSON as numbers; see `vectorize/groups.py`.
        """
        found = groups.places(self.strokes)
        strokes = tuple(one._replace(place=place) for one, place in zip(self.strokes, found, strict=True))
        return dataclasses.replace(self, strokes=strokes)

    def in_black(self) -> "InkDrawing":
        """The same drawing without colours."""
        strokes = tuple(one._replace(colour=None) for one in self.strokes)
        return dataclasses.replace(self, strokes=strokes)

    def to_svg(self, animated: bool = False) -> str:
        """SVG with one path for each stroke. If `animated`, the strokes appear as a pen would draw them."""
        return formats.animated_svg(self) if animated else formats.svg(self)

    def to_gif(self) -> bytes:
        """An animated GIF in which the strokes are drawn one after the other."""
        return formats.gif(self)

    def to_inkml(self) -> str:
        """InkML (W3C 2011) with one trace for each stroke."""
        return formats.inkml(self)

    def to_stroke3(self, most_points: int = formats.STROKE3_POINTS) -> np.ndarray:
        """float32 [N, 3] rows of (step x, step y, 1 if the pen is lifted afterwards), in pixels.

        Lines are simplified just so much that N is at most `most_points`; see `formats.stroke3`.
        """
        return formats.stroke3(self, most_points)

    def to_ndjson(self) -> str:
        """One line of ndjson in the simplified form of Quick, Draw!, with integers 0..255."""
        return formats.quickdraw(self)

    def to_json(self) -> str:
        """JSON with everything that is known about every stroke; `drawing.schema.json` describes it."""
        return formats.plain_json(self)


def drawing_of(
    control_points: np.ndarray,
    presence: np.ndarray,
    brush: BrushParams,
    size: int,
    config: ModelConfig,
    source: str = "",
) -> InkDrawing:
    """Turns one drawing of a model into pen strokes on a square page.

    Args:
      control_points: [T, P, 2] of the strokes on the canvas, in the unit square.
      presence: [T] bits; only strokes that are on are kept.
      brush: the brush of the strokes, [T] and scalar.
      size: side of the page in pixels.
      config: the model's config.
      source: the name of the drawing, which its formats carry.
    """
    chains = [cubics(np.asarray(points, np.float64)) for points in control_points]
    lengths = np.array([curves.length(curves.sample(chain)) for chain in chains])
    spacing = lengths / (config.curve_samples - 1) if config.brush == "soft_distance" else None
    # The model's rasteriser places a pixel at its corner, and ink has it at its middle.
    strokes = tuple(
        InkStroke((chain + 0.5 / config.image_size) * size, width * size, is_closed=False, confidence=1.0)
        for chain, width, is_on in zip(
            chains, full_width(brush, spacing, config.brush == "splat").tolist(), presence, strict=True
        )
        if is_on
    )
    return InkDrawing(strokes, size, size, source)


def cubics(control_points: np.ndarray) -> np.ndarray:
    """Approximates a Bézier curve of any degree by a chain of m = 4 cubics.

    Args:
      control_points: [P, 2] of the curve.

    Returns:
      [3 m + 1, 2] control points of the chain, which begins with point 0. Where two cubics join, the chain
      has the place and the tangent of the curve.
    """
    from dood_jax.geometry import bernstein_basis  # not needed by what is traced

    num_points = len(control_points)
    joints = bernstein_basis(num_points, _CUBICS + 1)[::-1] @ control_points
    legs = (num_points - 1) * np.diff(control_points, axis=0)
    handles = bernstein_basis(num_points - 1, _CUBICS + 1)[::-1] @ legs / (3 * _CUBICS)
    chain = np.stack([joints[:-1], joints[:-1] + handles[:-1], joints[1:] - handles[1:]], axis=1)
    return np.concatenate([chain.reshape(-1, control_points.shape[1]), joints[-1:]])


def full_width(brush: BrushParams, spacing: np.ndarray | None = None, is_splat: bool = False) -> np.ndarray:
    """[T] width of each stroke in the unit square: where it has at least half the ink of its middle.

    A brush of standard deviation ρ and slopes κ (ink) and γ (canvas) leaves at the distance d from the curve
    the ink tanh(A exp(-d²/2ρ²)/κ) / N, and the canvas shows the tanh(·/γ) of it (method.md 3.9 to
    3.11). The width is twice the distance at which the canvas falls to a half.

    Args:
      brush: ρ and κ are [T], γ is a scalar.
      spacing: [T] distance δ of neighbouring samples of the curve, for the brush `soft_distance`. Its
        peak A is (√(2π) ρ / 2δ)^(1/4); for the other brushes A is 1.
      is_splat: N is 1 for the brush `splat`; for the others it is tanh(1/κ), so that ink is 1 on the curve.
    """
    deviation, ink_slope, canvas_slope = (np.asarray(value, np.float64) for value in brush[:3])
    peak = np.ones_like(deviation)
    if spacing is not None:
        peak = (np.sqrt(2 * np.pi) * deviation / (2 * np.maximum(spacing, _CLOSEST * deviation))) ** 0.25
    norm = np.ones_like(ink_slope) if is_splat else np.tanh(1 / ink_slope)
    ink = np.tanh(peak / ink_slope) / norm
    half_ink = canvas_slope * np.arctanh(np.tanh(ink / canvas_slope) / 2)
    nearness = ink_slope * np.arctanh(half_ink * norm)
    return 2 * deviation * np.sqrt(2 * np.log(peak / nearness))
