"""Drawings as short straight segments of even length, in a frame without place and size (method.md 10.9)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dood_jax.geometry import bezier
from dood_jax.types import Sketch

_SAMPLES = 64  # of a curve, before it is cut into even segments
_LEAST_LENGTH = 0.02  # of a stroke, as a share of the picture: a dot counts as so much
_LEAST_SIZE = 0.01  # of a drawing


class Segments(NamedTuple):
    """N segments of one drawing, or of several with leading axes."""

    ends: np.ndarray  # float32 [N, 2, 2] centred; the middles lie at a root mean square distance of 1
    stroke: np.ndarray  # int32 [N] the stroke that each belongs to
    place: np.ndarray  # float32 [N, 2] of the ends along their stroke, in the same unit
    weight: np.ndarray  # float32 [N] share of the drawing's length, 1 on average
    centre: np.ndarray  # float32 [2] in the picture's unit square
    size: np.ndarray  # float32 [] of the unit, as a share of the picture


def of_sketch(sketch: Sketch, frames: np.ndarray, count: int) -> Segments:
    """The segments of N drawings, stacked.

    Args:
      sketch: the drawings; one without strokes is a dot in the middle of its picture.
      frames: [N, 3] left, top and side of the window that each was drawn in, in the picture's unit square.
      count: segments of each.
    """
    found = []
    for row, (left, top, side) in enumerate(frames):
        drawn = sketch.strokes.presence[row] > 0
        layouts, points = sketch.strokes.layout[row][drawn], sketch.strokes.control_points[row][drawn]
        curves = _curves(layouts, points) * side + np.float32([left, top])
        found.append(of_curves(list(curves), count))
    return stack(found)


def stack(drawings: Sequence[Segments]) -> Segments:
    """Several drawings along a new first axis."""
    return Segments(*(np.stack(values) for values in zip(*drawings, strict=True)))


def of_curves(curves: Sequence[np.ndarray], count: int) -> Segments:
    """Cuts [points, 2] polylines of the unit square into `count` segments, each stroke by its length.

    No polylines are a dot in the middle.
    """
    curves = curves or [np.full((2, 2), 0.5)]
    along = [np.append(0, np.hypot(*np.diff(curve, axis=0).T).cumsum()) for curve in curves]
    lengths = np.maximum([places[-1] for places in along], _LEAST_LENGTH)
    shares = _shares(lengths, count)
    ends, places, strokes = [], [], []
    for which in np.flatnonzero(shares):
        cuts = np.linspace(0, along[which][-1], shares[which] + 1)
        points = np.stack([np.interp(cuts, along[which], axis) for axis in curves[which].T], axis=1)
        ends.append(np.stack([points[:-1], points[1:]], axis=1))
        places.append(np.stack([cuts[:-1], cuts[1:]], axis=1))
        strokes.append(np.full(shares[which], which, np.int32))
    weight = np.repeat(lengths[shares > 0] / shares[shares > 0], shares[shares > 0])
    return _normalised(np.concatenate(ends), np.concatenate(strokes), np.concatenate(places), weight)


def _curves(layouts: np.ndarray, control_points: np.ndarray) -> np.ndarray:
    """[T, S, 2] points on the unit square along strokes of [T, 4] layouts and [T, P, 2] points."""
    shift, scale, angle = layouts[:, None, :2], layouts[:, 2], layouts[:, 3]
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], -2)
    placed = ((2 * control_points - 1) @ turn + shift + 1) / 2
    return bezier.bernstein_basis(control_points.shape[1], _SAMPLES) @ placed


def _shares(lengths: np.ndarray, count: int) -> np.ndarray:
    """[T] whole numbers that add up to `count`, as lengths say, 1 at least for the `count` longest."""
    kept = np.argsort(-lengths, kind="stable")[:count]
    exact = lengths[kept] / lengths[kept].sum() * (count - len(kept))
    whole = exact.astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: count - len(kept) - whole.sum()]] += 1
    shares = np.zeros(len(lengths), int)
    shares[kept] = 1 + whole
    return shares


def _normalised(ends: np.ndarray, stroke: np.ndarray, place: np.ndarray, weight: np.ndarray) -> Segments:
    middles, share = ends.mean(1), weight / weight.sum()
    centre = share @ middles
    size = max(np.sqrt((share @ (middles - centre) ** 2).sum()), _LEAST_SIZE)
    return Segments(
        ((ends - centre) / size).astype(np.float32),
        stroke,
        (place / size).astype(np.float32),
        (weight / weight.mean()).astype(np.float32),
        centre.astype(np.float32),
        np.float32(size),
    )
