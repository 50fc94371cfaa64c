"""Drawings with known strokes, rendered by Pillow, and which of these strokes are found."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

OVERSAMPLING = 8
MATCHED = 0.02  # of the longer side: mean distance of two strokes that are the same


def ink_of(strokes, width: float, size: tuple[int, int]) -> np.ndarray:
    """float32 [H, W] of round pens along [n, 2] polylines in pixels."""
    high, wide = size
    image = Image.new("L", (wide * OVERSAMPLING, high * OVERSAMPLING), 0)
    pen = ImageDraw.Draw(image)
    radius = width * OVERSAMPLING / 2 - 0.5
    for stroke in strokes:
        points = np.asarray(stroke, float)
        far = np.concatenate([[0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
        at = np.linspace(0, far[-1], int(far[-1] * 4) + 2)
        for x, y in zip(
            *(np.interp(at, far, points[:, axis]) * OVERSAMPLING for axis in (0, 1)), strict=True
        ):
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)
    return np.asarray(image.resize((wide, high), Image.Resampling.BOX), np.float32) / 255


def arc(centre, radius: float, start: float, stop: float) -> np.ndarray:
    """[40, 2] points of a circle's arc, angles in degrees."""
    angles = np.deg2rad(np.linspace(start, stop, 40))
    return np.asarray(centre) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def line(*corners) -> np.ndarray:
    """A polyline with points in between."""
    at = np.linspace(0, len(corners) - 1, 20 * (len(corners) - 1) + 1)
    return np.stack([np.interp(at, range(len(corners)), axis) for axis in np.transpose(corners)], axis=1)


def moved(strokes, x, y, scale=1.0) -> list[np.ndarray]:
    """Polylines in another place, and of another size."""
    return [stroke * scale + np.array([x, y]) for stroke in strokes]


def dense(stroke, step: float = 0.5) -> np.ndarray:
    """[m, 2] points along a [n, 2] polyline, about `step` pixels apart."""
    points = np.asarray(stroke, float)
    far = np.concatenate([[0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    at = np.linspace(0, far[-1], int(far[-1] / step) + 2)
    return np.stack([np.interp(at, far, points[:, axis]) for axis in (0, 1)], axis=1)


def matched(truth, found, within: float) -> list[tuple[int, int]]:
    """Pairs of a true and a found stroke that are the same, one to one.

    Args:
      truth: [n, 2] polylines.
      found: [n, 2] polylines.
      within: pixels. The mean distance of the points of each stroke from the other is at most this.

    Returns:
      Indices (of the truth, of the found), chosen so that the distances are least in sum.
    """
    if not truth or not found:
        return []
    ours, theirs = ([dense(stroke) for stroke in strokes] for strokes in (truth, found))
    near, far = ([cKDTree(points) for points in strokes] for strokes in (ours, theirs))
    apart = np.array(
        [
            [
                max(a.query(other)[0].mean(), b.query(one)[0].mean())
                for b, other in zip(far, theirs, strict=True)
            ]
            for a, one in zip(near, ours, strict=True)
        ]
    )
    pairs = zip(*linear_sum_assignment(np.minimum(apart, 2 * within)), strict=True)
    return [(int(i), int(j)) for i, j in pairs if apart[i, j] <= within]


LINE = np.array([[20.0, 80.0], [60.0, 15.0]])  # with WAVE, a crossing
WAVE = np.concatenate([arc((30, 50), 15, 180, 300), arc((57, 45), 18, 130, 0)])
RING = arc((79, 79), 10, 0, 360)
DOT = np.array([[82.0, 22.0], [82.0, 22.0]])
STROKES = [LINE, WAVE, RING, DOT]
WIDTH, SIZE = 4.0, (96, 100)
