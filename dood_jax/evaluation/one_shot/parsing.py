"""Strokes of characters: by the model, in a window that each fills, or traced along their lines."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from dood_jax.api import Model
from dood_jax.inference import infer
from dood_jax.types import Sketch
from dood_jax.vectorize import curves, tracing
from dood_jax.vectorize.page import Page

_FILLED = 0.8  # of a window's side, by the longer side of the character
_LEAST_SIDE = 0.4  # of the image: a window is no smaller
_BATCH_SIZE = 64


class Parses(NamedTuple):
    """One drawing of each of N images."""

    sketch: Sketch
    frames: np.ndarray  # float32 [N, 3] left, top and side of its window, in the image's unit square
    images: np.ndarray  # float32 [N, H, W] what the model saw there, 0..1


def parse(
    model: Model,
    images: np.ndarray,
    seed: int,
    num_particles: int,
    num_strokes: int,
    num_steps: int,
    windowed: bool = True,
) -> Parses:
    """Draws uint8 [N, h, h] images; what is drawn of a blank one may have no strokes.

    Args:
      model: that draws.
      images: ink = 255, of any size.
      seed: of the drawings.
      num_particles: drawings tried an image; the one of highest ELBO is kept.
      num_strokes: at most.
      num_steps: of refinement (method.md 10.11).
      windowed: each character fills what the model sees; otherwise it sees the image as it is.
    """
    whole = np.float32([0, 0, 1])
    frames = np.stack([window(image) if windowed else whole for image in images])
    size = model.config.image_size
    seen = np.stack([crop(*pair, size) for pair in zip(images, frames, strict=True)])
    sketch = model.infer(seen, seed, num_particles, num_strokes)
    if num_steps:
        sketch = infer.optimize(model.config, model.params, seen, sketch, num_steps, _BATCH_SIZE)
    return Parses(sketch, frames, seen)


def trace(image: np.ndarray) -> list[np.ndarray]:
    """[points, 2] polylines, unit square, along the lines of a uint8 [h, h] image without noise."""
    lines = tracing.lines_of(Page(image.astype(np.float32) / 255, 0.0))
    return [curves.sample(line.control_points) / len(image) for line in lines]


def window(image: np.ndarray) -> np.ndarray:
    """[3] left, top and side, in the unit square, of the window that a [h, w] image's ink fills."""
    rows, columns = (np.flatnonzero(image.any(axis)) for axis in (1, 0))
    if not len(rows):
        return np.float32([0, 0, 1])
    low = np.array([columns[0], rows[0]]) / image.shape[::-1]
    high = np.array([columns[-1] + 1, rows[-1] + 1]) / image.shape[::-1]
    side = max((high - low).max() / _FILLED, _LEAST_SIDE)
    return np.float32([*((low + high - side) / 2), side])


def crop(image: np.ndarray, frame: np.ndarray, size: int) -> np.ndarray:
    """float32 [size, size], 0..1: what a uint8 [h, h] image shows in a window, paper around it."""
    whole = len(image)
    left, top, side = frame * whole
    page = Image.fromarray(np.pad(image, whole))
    box = (left + whole, top + whole, left + whole + side, top + whole + side)
    shown = page.resize((size, size), Image.Resampling.BILINEAR, box=tuple(float(edge) for edge in box))
    return np.asarray(shown, np.float32) / 255
