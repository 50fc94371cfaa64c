"""Chains of cubic Bézier curves, and the pen strokes that are made of them.

A chain of m cubics is an array of [3 m + 1, 2] control points: neighbouring curves share one. Chains are
fitted to polylines by least squares with continuous tangents (Schneider, 1990).
"""

import bisect
import dataclasses
import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage

_CORNER = np.deg2rad(50)  # a sharper turn is a corner, where the tangent jumps
_REPARAMETRISATIONS = 8
_RIDGE = 1e-12  # of the trace of normal equations: where points leave a handle free, it stays near
_INNER = np.eye(4)  # x and y of the first inner control point, and of the second
_EACH_AXIS = np.eye(2)[None, :, None]


class InkStroke(NamedTuple):
    """One path of the pen, in pixels of the image; see `Strokes`."""

    control_points: np.ndarray  # float [3 m + 1, 2] chain of cubics; all points are equal for a dot
    width: float  # full width of the pen
    is_closed: bool
    confidence: float  # agreement of the stroke's ink with the image's, 0..1
    is_filled: bool = False  # the outline of an area that is full of ink
    colour: tuple[int, int, int] | None = None  # sRGB of its ink, 0..255; None if it was not looked up

    @property
    def is_dot(self) -> bool:
        """Whether the pen stayed where it was."""
        return bool(np.ptp(self.control_points, axis=0).max() < 1e-6)

    def points(self, step: float = 1.0) -> np.ndarray:
        """[n, 2] points along the path, about `step` pixels apart; a dot is one point."""
        if self.is_dot:
            return self.control_points[:1]
        fine = sample(self.control_points, 16)
        return evenly(fine, max(int(np.ceil(length(fine) / step)) + 1, 2))


@dataclasses.dataclass(frozen=True)
class Strokes:
    """The strokes of one image. Points are (x, y), x right, y down, and pixel i spans i .. i + 1."""

    strokes: tuple[InkStroke, ...]  # in drawing order
    width: int  # of the image, in pixels
    height: int
    source: str = ""  # the name of what they were made from
    l1: float = float("nan")  # sum over pixels of |image - drawing|, where ink is 1


def fit(points: np.ndarray, tolerance: float) -> np.ndarray:
    """Fits a chain of few cubics to a polyline.

    Args:
      points: [n, 2] vertices. The chain begins and ends where they do, and keeps their corners.
      tolerance: the largest distance of a vertex from the chain.

    Returns:
      [3 m + 1, 2] control points. A single point becomes one curve whose four control points coincide.
    """
    points = _distinct(np.asarray(points, np.float64))
    if len(points) == 1:
        return np.repeat(points, 4, axis=0)
    corners = [0, *_corners(points), len(points) - 1]
    runs = [points[a : b + 1] for a, b in itertools.pairwise(corners)]
    curves = [curve for run in runs for curve in _chain(run, tolerance)]
    return np.concatenate([curves[0][:1], *(curve[1:] for curve in curves)])


def sample(control_points: np.ndarray, per_curve: int = 12) -> np.ndarray:
    """[m per_curve + 1, 2] points along a chain of [3 m + 1, 2] control points, with both of its ends."""
    curves = np.stack([control_points[i : len(control_points) - 3 + i : 3] for i in range(4)], axis=1)
    inner = bernstein(np.linspace(0, 1, per_curve, endpoint=False)) @ curves
    return np.concatenate([inner.reshape(-1, 2), control_points[-1:]])


def length(points: np.ndarray) -> float:
    """Length of a [n, 2] polyline."""
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def evenly(points: np.ndarray, count: int) -> np.ndarray:
    """[count, 2] points at equal steps of length along a [n, 2] polyline."""
    far = np.concatenate([[0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    at = np.linspace(0, far[-1], count)
    return np.stack([np.interp(at, far, points[:, axis]) for axis in (0, 1)], axis=1)


def smooth(points: np.ndarray, is_closed: bool, spacing: float) -> np.ndarray:
    """Smooths away the steps that pixels leave in a line.

    Args:
      points: [n, 2]; a closed line returns to its first point.
      is_closed: whether the line is closed. The ends of an open one stay where they are.
      spacing: distance of the points that are returned.

    Returns:
      [m, 2] evenly spaced points.
    """
    size = length(points)
    fine = max(spacing / 4, size / 4000)
    dense = evenly(points, max(int(size / fine) + 1, 3))
    if is_closed:
        run = ndimage.gaussian_filter1d(dense[:-1], 2, axis=0, mode="wrap")
        run = np.concatenate([run, run[:1]])
    else:  # the line is continued by its point reflection at either end, so that the ends stay
        before, after = 2 * dense[0] - dense[8:0:-1], 2 * dense[-1] - dense[-2:-10:-1]
        run = ndimage.gaussian_filter1d(np.concatenate([before, dense, after]), 2, axis=0)
        run = run[len(before) : len(before) + len(dense)]
    chosen = np.linspace(0, len(run) - 1, max(round(size / spacing) + 1, 4 if is_closed else 2))
    return np.stack([np.interp(chosen, np.arange(len(run)), axis) for axis in run.T], axis=1)


def _distinct(points: np.ndarray) -> np.ndarray:
    """The [n, 2] points without repetitions of the point before."""
    moved = np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-9
    return points[np.concatenate([[True], moved])]


def _corners(points: np.ndarray) -> list[int]:
    """Indices of the vertices where the polyline turns sharply; of neighbouring ones only the sharpest."""
    steps = np.diff(points, axis=0)
    angles = np.arctan2(steps[:, 1], steps[:, 0])
    turns = np.abs((np.diff(angles) + np.pi) % (2 * np.pi) - np.pi)
    sharp = [i + 1 for i in np.flatnonzero(turns > _CORNER).tolist()]
    return [i for i in sharp if turns[i - 1] >= max(turns[max(i - 2, 0) : i + 1])]


def _chain(points: np.ndarray, tolerance: float) -> list[np.ndarray]:
    """[4, 2] curves along a polyline without corners, each reaching as far as one curve can."""
    tangents = [None, *(points[2:] - points[:-2]), None]
    start, last, found = 0, len(points) - 1, []
    while start < last:
        between = functools.cache(
            lambda stop, start=start: _curve(
                points[start : stop + 1], tangents[start], tangents[stop], tolerance
            )
        )
        stop, misses = last, lambda to: between(to)[1] > tolerance  # noqa: B023 - called at once
        if misses(last):
            stop = start + 1 + bisect.bisect_left(range(start + 2, last), True, key=misses)
        found.append(between(stop)[0])
        start = stop
    return found


def _curve(
    points: np.ndarray, start: np.ndarray | None, end: np.ndarray | None, tolerance: float
) -> tuple[np.ndarray, float]:
    """Fits one curve to a polyline: its [4, 2] control points and its largest error.

    `start` and `end` are the tangents [2] that it must have at its ends, or None where it is free.
    """
    steps = np.diff(points, axis=0)
    far = np.concatenate([[0], np.sqrt((steps**2).sum(1)).cumsum()])
    at = far / far[-1]
    first, second = _handle(points, start, far[-1]), _handle(points, end, far[-1])
    guess = np.array([points[0], points[0] + first, points[-1] - second, points[-1]])
    ways = np.concatenate([_ways(first, start) @ _INNER[:2], _ways(second, end) @ _INNER[2:]])
    for _ in range(_REPARAMETRISATIONS):
        curve, off = _least_squares(points, bernstein(at), guess, ways)
        if (start is not None and (curve[1] - curve[0]) @ first <= 0) or (
            end is not None and (curve[3] - curve[2]) @ second <= 0
        ):  # a handle against its tangent would be a cusp
            curve, off = guess, bernstein(at) @ guess - points
        error = math.sqrt((off**2).sum(1).max())
        if error <= tolerance or error > 4 * tolerance:
            break
        at = _nearer(curve, off, at)
    return curve, error


def _least_squares(
    points: np.ndarray, weights: np.ndarray, guess: np.ndarray, ways: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[4, 2] the best curve between a polyline's ends, and by how much it misses each vertex, [n, 2].

    Args:
      points: [n, 2] of the polyline.
      weights: [n, 4] of the control points at each vertex.
      guess: [4, 2] a first curve.
      ways: [k, 4] in which (x, y) of both inner control points may move together.
    """
    off = weights @ guess - points
    if len(points) == 2:
        return guess, off
    inner = weights[:, 1:3]
    normal = ways @ ((inner.T @ inner)[:, None, :, None] * _EACH_AXIS).reshape(4, 4) @ ways.T
    normal.flat[:: len(ways) + 1] += _RIDGE * normal.trace()
    curve = guess.copy()
    curve[1:3] -= (np.linalg.solve(normal, ways @ (inner.T @ off).ravel()) @ ways).reshape(2, 2)
    return curve, weights @ curve - points


def _ways(handle: np.ndarray, tangent: np.ndarray | None) -> np.ndarray:
    """[k, 2] the directions in which a handle is free: both, or that of its tangent."""
    return np.eye(2) if tangent is None else handle[None]


def _handle(points: np.ndarray, tangent: np.ndarray | None, size: float) -> np.ndarray:
    """[2] a first guess of a handle: a third of the length along the tangent, or a third of the chord."""
    if tangent is None or not tangent.any():
        return (points[-1] - points[0]) / 3
    return tangent * (size / 3 / math.hypot(*tangent))


def _nearer(curve: np.ndarray, off: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Moves every place by a Newton step to where the curve, which misses its vertex by `off`, is nearest."""
    first = 3 * (curve[1:] - curve[:-1])
    second = 2 * (first[1:] - first[:-1])
    v = 1 - at
    speed = np.stack([v * v, 2 * at * v, at * at], axis=1) @ first
    bend = np.stack([v, at], axis=1) @ second
    slope = (speed**2).sum(1) + (off * bend).sum(1)
    step = np.where(np.abs(slope) > 1e-9, (off * speed).sum(1) / np.where(slope == 0, 1, slope), 0)
    moved = np.clip(at - step, 0, 1)
    moved[0], moved[-1] = 0, 1
    return np.maximum.accumulate(moved)


def bernstein(u: np.ndarray) -> np.ndarray:
    """[n, 4] weights of the control points of a cubic at [n] places in 0..1."""
    v = 1 - u
    return np.stack([v * v * v, 3 * u * v * v, 3 * u * u * v, u * u * u], axis=1)
