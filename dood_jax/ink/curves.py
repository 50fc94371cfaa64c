"""Polylines to chains of cubic Bézier curves, by least squares with continuous tangents (Schneider, 1990)."""

import itertools

import numpy as np

_CORNER = np.deg2rad(50)  # a sharper turn is a corner, where the tangent jumps
_REPARAMETRISATIONS = 4


def fit(points: np.ndarray, tolerance: float) -> np.ndarray:
    """[n, 2] polyline -> [3 m + 1, 2] control points of m curves that run within `tolerance` of its vertices.

    A single point becomes a curve whose four control points coincide. Ends are kept.
    """
    points = _distinct(np.asarray(points, np.float64))
    if len(points) == 1:
        return np.repeat(points, 4, axis=0)
    corners = [0, *_corners(points), len(points) - 1]
    runs = [points[a : b + 1] for a, b in itertools.pairwise(corners)]
    curves = [curve for run in runs for curve in _fit(run, _direction(run), _direction(run[::-1]), tolerance)]
    return np.concatenate([curves[0][:1], *(curve[1:] for curve in curves)])


def sample(control_points: np.ndarray, per_curve: int = 12) -> np.ndarray:
    """[3 m + 1, 2] control points -> [m per_curve + 1, 2] points along the chain, ends included."""
    curves = np.stack([control_points[i : len(control_points) - 3 + i : 3] for i in range(4)], axis=1)
    inner = _bernstein(np.linspace(0, 1, per_curve, endpoint=False)) @ curves
    return np.concatenate([inner.reshape(-1, 2), control_points[-1:]])


def length(points: np.ndarray) -> float:
    """Of a [n, 2] polyline."""
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def evenly(points: np.ndarray, count: int) -> np.ndarray:
    """[count, 2] points at equal steps of length along a [n, 2] polyline."""
    far = np.concatenate([[0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    at = np.linspace(0, far[-1], count)
    return np.stack([np.interp(at, far, points[:, axis]) for axis in (0, 1)], axis=1)


def _distinct(points: np.ndarray) -> np.ndarray:
    moved = np.linalg.norm(np.diff(points, axis=0), axis=1) > 1e-9
    return points[np.concatenate([[True], moved])]


def _corners(points: np.ndarray) -> list[int]:
    """Vertices of sharp turns, of neighbouring ones the sharpest."""
    steps = np.diff(points, axis=0)
    angles = np.arctan2(steps[:, 1], steps[:, 0])
    turns = np.abs((np.diff(angles) + np.pi) % (2 * np.pi) - np.pi)
    sharp = [i + 1 for i in np.flatnonzero(turns > _CORNER)]
    return [i for i in sharp if turns[i - 1] >= max(turns[max(i - 2, 0) : i + 1])]


def _direction(points: np.ndarray) -> np.ndarray:
    """[2] unit vector in which a polyline sets out."""
    step = points[1] - points[0]
    if len(points) > 2:  # as a parabola through three points does
        step = 2 * step - (points[2] - points[0]) / 2
    size = np.linalg.norm(step)
    return step / size if size > 0 else (points[1] - points[0]) / np.linalg.norm(points[1] - points[0])


def _fit(points: np.ndarray, start: np.ndarray, end: np.ndarray, tolerance: float) -> list[np.ndarray]:
    """[4, 2] curves through a polyline, with unit tangents into it at both ends."""
    if len(points) == 2:
        third = np.linalg.norm(points[1] - points[0]) / 3
        return [np.array([points[0], points[0] + start * third, points[1] + end * third, points[1]])]
    far = np.concatenate([[0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    at = far / far[-1]
    for _ in range(_REPARAMETRISATIONS):
        curve = _least_squares(points, at, start, end)
        errors = np.linalg.norm(_bernstein(at) @ curve - points, axis=1)
        worst = int(errors[1:-1].argmax()) + 1
        if errors[worst] <= tolerance:
            return [curve]
        if errors[worst] > 4 * tolerance:
            break
        at = _nearer(curve, points, at)
    across = points[worst - 1] - points[worst + 1]
    size = np.linalg.norm(across)
    middle = across / size if size > 0 else -start
    return [
        *_fit(points[: worst + 1], start, middle, tolerance),
        *_fit(points[worst:], -middle, end, tolerance),
    ]


def _least_squares(points: np.ndarray, at: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """[4, 2] the curve with given ends and tangents whose handles fit best."""
    weights = _bernstein(at)
    fixed = weights[:, :2].sum(1)[:, None] * points[0] + weights[:, 2:].sum(1)[:, None] * points[-1]
    one, other = weights[:, 1, None] * start, weights[:, 2, None] * end
    a = np.array([[(one * one).sum(), (one * other).sum()], [(one * other).sum(), (other * other).sum()]])
    b = np.array([(one * (points - fixed)).sum(), (other * (points - fixed)).sum()])
    chord = np.linalg.norm(points[-1] - points[0])
    third = max(chord, length(points) * 0.3) / 3
    handles = np.linalg.solve(a, b) if abs(np.linalg.det(a)) > 1e-12 else np.full(2, third)
    if (handles < 0.01 * chord).any() or (handles > 3 * length(points)).any():
        handles = np.full(2, third)
    return np.array([points[0], points[0] + handles[0] * start, points[-1] + handles[1] * end, points[-1]])


def _nearer(curve: np.ndarray, points: np.ndarray, at: np.ndarray) -> np.ndarray:
    """One Newton step of every place towards the foot of its point."""
    first = 3 * np.diff(curve, axis=0)
    second = 2 * np.diff(first, axis=0)
    u = at[:, None]
    off = _bernstein(at) @ curve - points
    speed = (1 - u) ** 2 * first[0] + 2 * u * (1 - u) * first[1] + u**2 * first[2]
    bend = (1 - u) * second[0] + u * second[1]
    slope = (speed**2).sum(1) + (off * bend).sum(1)
    step = np.where(np.abs(slope) > 1e-9, (off * speed).sum(1) / np.where(slope == 0, 1, slope), 0)
    moved = np.clip(at - step, 0, 1)
    moved[0], moved[-1] = 0, 1
    return np.maximum.accumulate(moved)


def _bernstein(u: np.ndarray) -> np.ndarray:
    """[n] places -> [n, 4] weights of the control points of a cubic."""
    return np.stack([(1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3], axis=1)
