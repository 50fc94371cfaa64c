"""Strokes of characters, and the short straight segments that they are compared by (method.md 10.9).

The strokes of a character come from the model, which sees a window that the character fills, or from tracing
the middle lines of its ink. Either way they are cut into segments of even length, in a frame of reference
from which the place and the size of the drawing are removed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from dood_jax import geometry
from dood_jax.api import Model
from dood_jax.inference import infer
from dood_jax.types import Sketch
from dood_jax.vectorize import curves, tracing
from dood_jax.vectorize.page import Page

WHOLE_IMAGE = np.array([0, 0, 1], np.float32)  # the window that shows an image as it is
_FILLED = 0.8  # fraction of a window's side that the longer side of the character takes
_MIN_WINDOW = 0.4  # least side of a window, as a fraction of the image
_BATCH_SIZE = 64  # images whose strokes are optimised together
_CURVE_SAMPLES = 64  # points along a curve before it is cut into even segments
_MIN_STROKE_LENGTH = 0.02  # a dot counts as a stroke of this length, as a fraction of the image
_MIN_DRAWING_SIZE = 0.01  # least unit of length of a drawing, as a fraction of the image


class Parses(NamedTuple):
    """One drawing of each of N images."""

    sketch: Sketch
    windows: np.ndarray  # float32 [N, 3] left, top and side of what the model saw, in the image's unit square
    images: np.ndarray  # float32 [N, H, W] what it saw there, 0..1


def parse(
    model: Model,
    images: np.ndarray,
    seed: int,
    num_particles: int,
    num_strokes: int,
    optimize_steps: int,
    windowed: bool = True,
) -> Parses:
    """The model's drawings of uint8 [N, h, h] images; the drawing of a blank image may have no strokes.

    Args:
      model: draws the images.
      images: of any size, ink = 255.
      seed: of the drawings.
      num_particles: drawings that are tried for an image; the one with the highest ELBO is kept.
      num_strokes: most strokes of a drawing.
      optimize_steps: steps of test-time optimisation of the strokes (method.md 10.11); 0 for none.
      windowed: whether the model sees a window that the character fills, instead of the whole image.
    """
    windows = np.stack([ink_window(image) if windowed else WHOLE_IMAGE for image in images])
    size = model.config.image_size
    seen = np.stack([crop(image, window, size) for image, window in zip(images, windows, strict=True)])
    sketch = model.infer(seen, seed, num_particles, num_strokes)
    if optimize_steps:
        sketch = infer.optimize(model.config, model.params, seen, sketch, optimize_steps, _BATCH_SIZE)
    return Parses(sketch, windows, seen)


def trace(image: np.ndarray) -> list[np.ndarray]:
    """[points, 2] polylines in the unit square along the lines of a uint8 [h, h] image without noise."""
    lines = tracing.lines_of(Page(image.astype(np.float32) / 255, 0.0))
    return [curves.sample(line.control_points) / len(image) for line in lines]


def ink_window(image: np.ndarray) -> np.ndarray:
    """float32 [3] left, top and side, in the unit square, of the window that a [h, w] image's ink fills."""
    rows, columns = (np.flatnonzero(image.any(axis)) for axis in (1, 0))
    if not len(rows):
        return WHOLE_IMAGE
    low = np.array([columns[0], rows[0]]) / image.shape[::-1]
    high = np.array([columns[-1] + 1, rows[-1] + 1]) / image.shape[::-1]
    side = max((high - low).max() / _FILLED, _MIN_WINDOW)
    return np.array([*((low + high - side) / 2), side], np.float32)


def crop(image: np.ndarray, window: np.ndarray, size: int) -> np.ndarray:
    """float32 [size, size] in 0..1: what a uint8 [h, h] image shows in a [3] window, paper around it."""
    height = len(image)
    left, top, side = (float(edge) for edge in window * height)
    padded = Image.fromarray(np.pad(image, height))
    box = (left + height, top + height, left + height + side, top + height + side)
    shown = padded.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return np.asarray(shown, np.float32) / 255


class Segments(NamedTuple):
    """N segments of one drawing, or of several drawings with leading axes."""

    ends: np.ndarray  # float32 [N, 2, 2] centred; the middles have a root mean square distance of 1 from 0
    stroke: np.ndarray  # int32 [N] number of the stroke that each segment belongs to
    arc_length: np.ndarray  # float32 [N, 2] where both ends lie along their stroke, in the unit of `ends`
    weight: np.ndarray  # float32 [N] length of the drawing that a segment stands for, 1 on average
    centre: np.ndarray  # float32 [2] in the image's unit square
    size: np.ndarray  # float32 [] the unit of `ends`, as a fraction of the image


def segments_of_sketch(sketch: Sketch, windows: np.ndarray, count: int) -> Segments:
    """The segments of N drawings, stacked.

    Args:
      sketch: the drawings; one without strokes becomes a dot in the middle of its window.
      windows: [N, 3] left, top and side of the window that each was drawn in, in the image's unit square.
      count: number of segments of each drawing.
    """
    found = []
    for row, (left, top, side) in enumerate(windows):
        drawn = sketch.strokes.presence[row] > 0
        layouts = np.asarray(sketch.strokes.layout[row][drawn])
        points = np.asarray(sketch.strokes.control_points[row][drawn])
        placed = _curves_on_canvas(layouts, points) * side + np.array([left, top], np.float32)
        found.append(segments_of_curves(list(placed), count))
    return stack_segments(found)


def stack_segments(drawings: Sequence[Segments]) -> Segments:
    """Several drawings along a new first axis."""
    return Segments(*(np.stack(values) for values in zip(*drawings, strict=True)))


def segments_of_curves(polylines: Sequence[np.ndarray], count: int) -> Segments:
    """Cuts [points, 2] polylines in the unit square into `count` segments, shared out by stroke length.

    An empty sequence becomes a dot in the middle of the square.
    """
    polylines = polylines if len(polylines) else [np.full((2, 2), 0.5)]
    arcs = [np.append(0, np.hypot(*np.diff(line, axis=0).T).cumsum()) for line in polylines]
    lengths = np.maximum([arc[-1] for arc in arcs], _MIN_STROKE_LENGTH)
    counts = _segments_per_stroke(lengths, count)
    ends, arc_lengths, strokes = [], [], []
    for stroke in np.flatnonzero(counts).tolist():
        cuts = np.linspace(0, arcs[stroke][-1], counts[stroke] + 1)
        points = np.stack([np.interp(cuts, arcs[stroke], axis) for axis in polylines[stroke].T], axis=1)
        ends.append(np.stack([points[:-1], points[1:]], axis=1))
        arc_lengths.append(np.stack([cuts[:-1], cuts[1:]], axis=1))
        strokes.append(np.full(counts[stroke], stroke, np.int32))
    used = counts > 0
    weight = np.repeat(lengths[used] / counts[used], counts[used])
    return _normalised(np.concatenate(ends), np.concatenate(strokes), np.concatenate(arc_lengths), weight)


def _curves_on_canvas(layouts: np.ndarray, control_points: np.ndarray) -> np.ndarray:
    """[T, S, 2] points on the unit square along strokes of [T, 4] layouts and [T, P, 2] points.

    As `geometry.place_points` does, but in NumPy: T differs from drawing to drawing, and JAX would compile
    a program for every T.
    """
    shift, scale, angle = layouts[:, None, :2], layouts[:, 2], layouts[:, 3]
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    transposed = np.stack([np.stack([cos, sin], -1), np.stack([-sin, cos], -1)], -2)
    placed = ((2 * control_points - 1) @ transposed + shift + 1) / 2
    return geometry.bernstein_basis(control_points.shape[1], _CURVE_SAMPLES) @ placed


def _segments_per_stroke(lengths: np.ndarray, count: int) -> np.ndarray:
    """[T] whole numbers that sum to `count`, in proportion to lengths, at least 1 for the `count` longest.

    What proportion leaves after rounding down goes to the strokes with the largest remainders.
    """
    used = np.argsort(-lengths, kind="stable")[:count]
    exact = lengths[used] / lengths[used].sum() * (count - len(used))
    whole = exact.astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: count - len(used) - whole.sum()]] += 1
    counts = np.zeros(len(lengths), int)
    counts[used] = 1 + whole
    return counts


def _normalised(ends: np.ndarray, stroke: np.ndarray, arc_length: np.ndarray, weight: np.ndarray) -> Segments:
    """Moves the weighted centre of [N, 2, 2] ends to the origin and scales their weighted deviation to 1."""
    middles, fraction = ends.mean(1), weight / weight.sum()
    centre = fraction @ middles
    size = max(np.sqrt((fraction @ (middles - centre) ** 2).sum()), _MIN_DRAWING_SIZE)
    return Segments(
        ((ends - centre) / size).astype(np.float32),
        stroke,
        (arc_length / size).astype(np.float32),
        (weight / weight.mean()).astype(np.float32),
        centre.astype(np.float32),
        np.array(size, np.float32),
    )
