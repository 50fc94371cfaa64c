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
_LEAST_SIDE = 0.4  # of the picture: a window is no smaller
_BATCH_SIZE = 64


class Parses(NamedTuple):
    """One drawing of each of N pictures."""

    sketch: Sketch
    frames: np.ndarray  # float32 [N, 3] left, top and side of its window, in the picture's unit square
    images: np.ndarray  # float32 [N, H, W] what the model saw there, 0..1


def parse(
    model: Model,
    pictures: np.ndarray,
    seed: int,
    num_particles: int,
    num_strokes: int,
    num_steps: int,
    windowed: bool = True,
) -> Parses:
    """Draws uint8 [N, h, h] pictures; what is drawn of a blank one may have no strokes.

    Args:
      model: that draws.
      pictures: ink = 255, of any size.
      seed: of the drawings.
      num_particles: drawings tried a picture; the one of highest ELBO is kept.
      num_strokes: at most.
      num_steps: of refinement (method.md 10.11).
      windowed: each character fills what the model sees; otherwise it sees the picture as it is.
    """
    whole = np.float32([0, 0, 1])
    frames = np.stack([window(picture) if windowed else whole for picture in pictures])
    size = model.config.image_size
    images = np.stack([crop(*pair, size) for pair in zip(pictures, frames, strict=True)])
    sketch = model.infer(images, seed, num_particles, num_strokes)
    if num_steps:
        sketch = infer.refine(model.config, model.params, images, sketch, num_steps, _BATCH_SIZE)
    return Parses(sketch, frames, images)


def trace(picture: np.ndarray) -> list[np.ndarray]:
    """[points, 2] polylines, unit square, along the lines of a uint8 [h, h] picture without noise."""
    lines = tracing.lines_of(Page(picture.astype(np.float32) / 255, 0.0))
    return [curves.sample(line.control_points) / len(picture) for line in lines]


def window(picture: np.ndarray) -> np.ndarray:
    """[3] left, top and side, in the unit square, of the window that a [h, w] picture's ink fills."""
    rows, columns = (np.flatnonzero(picture.any(axis)) for axis in (1, 0))
    if not len(rows):
        return np.float32([0, 0, 1])
    low = np.array([columns[0], rows[0]]) / picture.shape[::-1]
    high = np.array([columns[-1] + 1, rows[-1] + 1]) / picture.shape[::-1]
    side = max((high - low).max() / _FILLED, _LEAST_SIDE)
    return np.float32([*((low + high - side) / 2), side])


def crop(picture: np.ndarray, frame: np.ndarray, size: int) -> np.ndarray:
    """float32 [size, size], 0..1: what a uint8 [h, h] picture shows in a window, paper around it."""
    whole = len(picture)
    left, top, side = frame * whole
    page = Image.fromarray(np.pad(picture, whole))
    box = (left + whole, top + whole, left + whole + side, top + whole + side)
    shown = page.resize((size, size), Image.Resampling.BILINEAR, box=tuple(float(edge) for edge in box))
    return np.asarray(shown, np.float32) / 255
