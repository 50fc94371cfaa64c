"""From a type to a token by a Gaussian process of displacements along its strokes (method.md 10.9).

A displacement is the sum of a shift and a linear map of the whole drawing, of a field that is smooth over the
page, of a shift and a linear map of each stroke, and of jitter along a stroke.
"""

from typing import NamedTuple

import numpy as np

from dood_jax.matching.segments import Segments


class FieldPrior(NamedTuple):
    """Standard deviations and reaches, in units of a drawing's size."""

    shift: float = 0.3
    linear: float = 0.15
    smooth: float = 0.3
    smooth_reach: float = 0.7
    stroke_shift: float = 0.08
    stroke_linear: float = 0.15
    jitter: float = 0.1
    jitter_reach: float = 0.3  # along the stroke


_LEAST_VARIANCE = 1e-6


def basis(segments: Segments, prior: FieldPrior, rank: int) -> np.ndarray:
    """float32 [N, 2, R] displacements of the ends of a drawing's segments, R likely ones.

    With standard normal factors [R] for x and others for y, basis @ factors has the covariance of the prior
    as nearly as R dimensions can.
    """
    middles = segments.ends.mean(1)
    covariance = _covariance(segments, prior, middles, segments.stroke, segments.place.mean(1))
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances[::-1][:rank], _LEAST_VARIANCE)
    directions = directions[:, ::-1][:, :rank]
    ends = segments.ends.reshape(-1, 2)
    across = _covariance(segments, prior, ends, segments.stroke.repeat(2), segments.place.reshape(-1))
    return (across @ directions / np.sqrt(variances)).reshape(len(middles), 2, -1).astype(np.float32)


def _covariance(
    segments: Segments, prior: FieldPrior, points: np.ndarray, stroke: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """[M, N] of displacements at M points, on their strokes, with those at the middles of the segments."""
    middles, along = segments.ends.mean(1), segments.place.mean(1)
    same = stroke[:, None] == segments.stroke[None]
    centres = _centres(middles, segments.stroke)
    apart = ((points[:, None] - middles[None]) ** 2).sum(-1)
    in_stroke = (points - centres[stroke]) @ (middles - centres[segments.stroke]).T
    whole = prior.shift**2 + prior.linear**2 * points @ middles.T
    smooth = prior.smooth**2 * np.exp(-apart / (2 * prior.smooth_reach**2))
    jitter = np.exp(-((place[:, None] - along[None]) ** 2) / (2 * prior.jitter_reach**2))
    of_stroke = prior.stroke_shift**2 + prior.stroke_linear**2 * in_stroke + prior.jitter**2 * jitter
    return whole + smooth + same * of_stroke


def _centres(middles: np.ndarray, stroke: np.ndarray) -> np.ndarray:
    """[T, 2] mean middle of each stroke."""
    counts = np.maximum(np.bincount(stroke), 1)
    return np.stack([np.bincount(stroke, axis) / counts for axis in middles.T], axis=1)
