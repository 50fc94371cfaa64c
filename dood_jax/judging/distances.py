"""How far two sets of pictures are apart, by their features (method.md 10.6)."""

import numpy as np
from scipy.spatial.distance import cdist

_NEIGHBOURS = 3  # of a picture, within whose distance its surroundings lie
_CHUNK = 4096


def frechet(one: np.ndarray, other: np.ndarray) -> float:
    """|μ - μ'|² + tr(Σ + Σ' - 2 (Σ Σ')^½) of the Gaussians through [N, D] and [M, D] features, N, M > 1."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    covariance, covariance_other = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (one, other))
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    of_product = np.maximum(np.linalg.eigvalsh(root @ covariance_other @ root), 0)
    between = ((one.mean(0) - other.mean(0)) ** 2).sum()
    apart = between + np.trace(covariance) + np.trace(covariance_other) - 2 * np.sqrt(of_product).sum()
    return float(max(apart, 0))


def kernel(one: np.ndarray, other: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy under (x · y / D + 1)³; may be a little below 0."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    similar = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3
    within = sum(_off_diagonal_mean(similar(each, each)) for each in (one, other))
    return float(within - 2 * similar(one, other).mean())


def _off_diagonal_mean(matrix: np.ndarray) -> float:
    count = len(matrix)
    return (matrix.sum() - np.trace(matrix)) / (count * (count - 1))


def precision_and_recall(real: np.ndarray, invented: np.ndarray) -> tuple[float, float]:
    """Shares of [M, D] invented features among the real ones, and of [N, D] real ones among the invented.

    Among them is what lies within the distance of the third neighbour of any (Kynkäänniemi et al. 2019).
    """
    between = cdist(invented, real)
    among_real = between <= _reach(real)[None]
    among_invented = between <= _reach(invented)[:, None]
    return float(among_real.any(1).mean()), float(among_invented.any(0).mean())


def _reach(features: np.ndarray) -> np.ndarray:
    """[N] distance of the third neighbour of each, or of the last of fewer."""
    which = min(_NEIGHBOURS, len(features) - 1)
    return np.partition(cdist(features, features), which, axis=1)[:, which]


def nearest(pictures: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The closest of uint8 [M, H, W] pictures to each of [N, H, W] in 0..1: [N] rows, and distances.

    The distance is the root of the summed squares of pixels.
    """
    flat = pictures.reshape(len(pictures), -1).astype(np.float32)
    rows, least = np.zeros(len(flat), int), np.full(len(flat), np.inf, np.float32)
    for start in range(0, len(gallery), _CHUNK):
        part = gallery[start : start + _CHUNK].reshape(-1, flat.shape[1]).astype(np.float32) / 255
        squares = (flat**2).sum(1)[:, None] + (part**2).sum(1) - 2 * flat @ part.T
        found = squares.argmin(1)
        closer = squares[np.arange(len(flat)), found] < least
        rows = np.where(closer, start + found, rows)
        least = np.where(closer, squares[np.arange(len(flat)), found], least)
    return rows, np.sqrt(np.maximum(least, 0))
