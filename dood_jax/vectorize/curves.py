"""Chains of cubic Bézier curves, and the pen strokes that are made of them.

A chain of m cubics is an array of [3 m + 1, 2] control points: neighbouring curves share one. Chains are
fitted to polylines by least squares with continuous tangents (Schneider, 1990); the curves of all lines are
fitted at the same time.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage

_CORNER = np.deg2rad(50)  # a sharper turn is a corner, where the tangent jumps
_REPARAMETRISATIONS = 8
_RIDGE = 1e-12  # of the trace of normal equations: where points leave a handle free, it stays near
_LEAST_RIDGE = 1e-30  # where all points lie at an end of a curve, and the trace is 0


class Place(NamedTuple):
    """What a stroke is part of. Numbers count from 1 in reading order, through the whole page."""

    line: int
    word: int
    character: int


class InkStroke(NamedTuple):
    """One path of the pen, in pixels of the image; see `Strokes`."""

    control_points: np.ndarray  # float [3 m + 1, 2] chain of cubics; all points are equal for a dot
    width: float  # full width of the pen
    is_closed: bool
    confidence: float  # agreement of the stroke's ink with the image's, 0..1
    is_filled: bool = False  # the outline of an area that is full of ink
    colour: tuple[int, int, int] | None = None  # sRGB of its ink, 0..255; None if it was not looked up
    place: Place | None = None  # what it is part of; None if that was not looked for

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
    return fit_all([points], [tolerance])[0]


def fit_all(lines: Sequence[np.ndarray], tolerances: Sequence[float]) -> list[np.ndarray]:
    """Fits a chain to each of some polylines; see `fit`."""
    distinct = [_distinct(np.asarray(points, np.float64)) for points in lines]
    bounds = [[0, *_corners(points), len(points) - 1] if len(points) > 1 else [] for points in distinct]
    runs = [
        points[a : b + 1]
        for points, places in zip(distinct, bounds, strict=True)
        for a, b in itertools.pairwise(places)
    ]
    counts = [max(len(places) - 1, 0) for places in bounds]
    chains = iter(_chains(runs, np.repeat(tolerances, counts)) if runs else [])
    found = []
    for points, count in zip(distinct, counts, strict=True):
        parts = [curve[1:] for chain in itertools.islice(chains, count) for curve in chain]
        found.append(np.concatenate([points[:1], *parts]) if parts else np.repeat(points, 4, axis=0))
    return found


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


class _Track(NamedTuple):
    """The vertices of all runs, one run after the other."""

    points: np.ndarray  # [n, 2]
    far: np.ndarray  # [n] length of the polyline up to each
    tangents: np.ndarray  # [n, 2], at ends of runs 0
    is_end: np.ndarray  # bool [n] of a run, where the tangent is free


class _Ends(NamedTuple):
    """What is known of B curves before they are fitted."""

    guess: np.ndarray  # [B, 4, 2] first curves
    ways: (
        np.ndarray
    )  # [B, 4, 4] in which (x, y) of both inner control points may move; 0 where there are less
    is_free: np.ndarray  # bool [B, 2] whether the tangent is free at the start and at the end


def _chains(runs: list[np.ndarray], tolerances: np.ndarray) -> list[list[np.ndarray]]:
    """[4, 2] curves along each of some polylines without corners, each reaching as far as one curve can."""
    points = np.concatenate(runs)
    last = np.cumsum([len(run) for run in runs]) - 1
    start = np.concatenate([[0], last[:-1] + 1])
    is_end = np.zeros(len(points), bool)
    is_end[start] = is_end[last] = True
    tangents = np.zeros_like(points)
    tangents[1:-1] = np.where(is_end[1:-1, None], 0, points[2:] - points[:-2])
    far = np.concatenate([[0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
    track = _Track(points, far, tangents, is_end)
    found: list[list[np.ndarray]] = [[] for _ in runs]
    left = np.arange(len(runs))
    while len(left):
        stop, curves = _longest(track, start[left], last[left], tolerances[left])
        for run, curve in zip(left.tolist(), curves, strict=True):
            found[run].append(curve)
        start[left] = stop
        left = left[stop < last[left]]
    return found


def _longest(
    track: _Track, start: np.ndarray, last: np.ndarray, tolerance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of curves from B vertices on, [B] the vertices that they can reach, and the [B, 4, 2] curves.

    If a curve cannot reach the last vertex, it is looked for by halving.
    """
    curves, errors = _curves(track, start, last, tolerance)
    left = np.flatnonzero(errors > tolerance)
    stop = last.copy()
    stop[left] = start[left] + 1
    curves[left] = _curves(track, start[left], stop[left], tolerance[left])[0]
    low, high = start + 2, last.copy()  # of the first vertex that is missed
    while len(left := left[low[left] < high[left]]):
        middle = (low[left] + high[left]) // 2
        tried, errors = _curves(track, start[left], middle, tolerance[left])
        misses = errors > tolerance[left]
        high[left[misses]] = middle[misses]
        reached = left[~misses]
        low[reached], stop[reached], curves[reached] = middle[~misses] + 1, middle[~misses], tried[~misses]
    return stop, curves


def _curves(
    track: _Track, start: np.ndarray, stop: np.ndarray, tolerance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fits curves to parts of the track, from vertices [B] to vertices [B]: [B, 4, 2], and [B] errors."""
    ends = _ends(track, start, stop)
    curves, errors = ends.guess.copy(), np.zeros(len(start))
    left = np.flatnonzero(stop > start + 1)
    counts = (stop - start + 1)[left]
    first = counts.cumsum() - counts
    vertex = np.arange(counts.sum()) + np.repeat(start[left] - first, counts)
    size = track.far[stop] - track.far[start]
    at = (track.far[vertex] - np.repeat(track.far[start[left]], counts)) / np.repeat(size[left], counts)
    for _ in range(_REPARAMETRISATIONS):
        if not len(left):
            break
        own = _Ends(*(part[left] for part in ends))
        curves[left], off = _least_squares(track.points[vertex], at, own, counts)
        errors[left] = np.sqrt(np.maximum.reduceat((off**2).sum(1), counts.cumsum() - counts))
        again = (errors[left] > tolerance[left]) & (errors[left] <= 4 * tolerance[left])
        chosen = np.repeat(again, counts)
        left, counts, vertex = left[again], counts[again], vertex[chosen]
        at = _nearer(np.repeat(curves[left], counts, axis=0), off[chosen], at[chosen], counts)
    return curves, errors


def _ends(track: _Track, start: np.ndarray, stop: np.ndarray) -> _Ends:
    """First curves from vertices [B] to vertices [B], whose handles are a third of the length or chord."""
    first, last = track.points[start], track.points[stop]
    size, chord = track.far[stop] - track.far[start], last - first
    is_free = np.stack([track.is_end[start], track.is_end[stop]], axis=1)
    handles = []
    for tangent in (track.tangents[start], track.tangents[stop]):
        norm = np.hypot(*tangent.T)
        scale = size / 3 / np.where(norm > 0, norm, 1)
        handles.append(np.where(norm[:, None] > 0, tangent * scale[:, None], chord / 3))
    ways = np.zeros((len(start), 4, 4))
    for k, handle in enumerate(handles):
        inner = slice(2 * k, 2 * k + 2)
        ways[:, 2 * k, inner] = handle
        ways[is_free[:, k], inner, inner] = np.eye(2)
    return _Ends(np.stack([first, first + handles[0], last - handles[1], last], axis=1), ways, is_free)


def _least_squares(
    points: np.ndarray, at: np.ndarray, ends: _Ends, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """[B, 4, 2] the best curves, and by how much they miss each vertex, [n, 2].

    Args:
      points: [n, 2] vertices of all B curves, one curve after the other.
      at: [n] where on their curve they are, 0..1.
      ends: of the curves.
      counts: [B] vertices of each.
    """
    weights = bernstein(at)
    drawn = lambda curves: np.einsum("nk,nkx->nx", weights, np.repeat(curves, counts, axis=0))
    total = lambda values: np.add.reduceat(values, counts.cumsum() - counts)
    off, inner = drawn(ends.guess) - points, weights[:, 1:3]
    squares = total(inner[:, :, None] * inner[:, None])
    both = np.einsum("bij,xy->bixjy", squares, np.eye(2)).reshape(-1, 4, 4)
    normal = ends.ways @ both @ ends.ways.transpose(0, 2, 1)
    ridge = _RIDGE * np.trace(normal, axis1=1, axis2=2)[:, None] + _LEAST_RIDGE + ~ends.ways.any(2)
    normal += ridge[..., None] * np.eye(4)
    slopes = ends.ways @ total(inner[:, :, None] * off[:, None]).reshape(-1, 4, 1)
    change = np.linalg.solve(normal, slopes).transpose(0, 2, 1) @ ends.ways
    curves = ends.guess.copy()
    curves[:, 1:3] -= change.reshape(-1, 2, 2)
    ahead = lambda chains: np.stack([chains[:, 1] - chains[:, 0], chains[:, 3] - chains[:, 2]], axis=1)
    is_cusp = ((ahead(curves) * ahead(ends.guess)).sum(2) <= 0) & ~ends.is_free
    cusps = is_cusp.any(1)  # a handle against its tangent
    curves[cusps] = ends.guess[cusps]
    return curves, drawn(curves) - points


def _nearer(curves: np.ndarray, off: np.ndarray, at: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Moves each of n places by a Newton step to where its curve, [n, 4, 2], is nearest to its vertex.

    The curve misses the vertex by `off`, [n, 2]. `counts` are the vertices of each curve.
    """
    first = 3 * (curves[:, 1:] - curves[:, :-1])
    second = 2 * (first[:, 1:] - first[:, :-1])
    v = 1 - at
    speed = np.einsum("kn,nkx->nx", np.stack([v * v, 2 * at * v, at * at]), first)
    bend = np.einsum("kn,nkx->nx", np.stack([v, at]), second)
    slope = (speed**2).sum(1) + (off * bend).sum(1)
    step = np.where(np.abs(slope) > 1e-9, (off * speed).sum(1) / np.where(slope == 0, 1, slope), 0)
    moved = np.clip(at - step, 0, 1)
    stops = counts.cumsum()
    moved[stops - counts], moved[stops - 1] = 0, 1
    turn = np.repeat(2.0 * np.arange(len(counts)), counts)  # places of the next curve are larger
    return np.maximum.accumulate(moved + turn) - turn


def bernstein(u: np.ndarray) -> np.ndarray:
    """[n, 4] weights of the control points of a cubic at [n] places in 0..1."""
    v = 1 - u
    return np.stack([v * v * v, 3 * u * v * v, 3 * u * u * v, u * u * u], axis=1)
