"""How near found strokes are to the truth: ink, middle lines, number, width, order and direction."""

import dataclasses
import itertools

import numpy as np
from ink_sets import Known, dense
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

_SAMPLES = 32  # points that a stroke is compared at
_MATCHED = 0.08  # mean DTW distance, as a fraction of the image, up to which two strokes are the same
_CLOSED = 0.1  # a stroke whose ends are nearer than this fraction of the image has no direction


@dataclasses.dataclass
class Found:
    """What a tool made of an image."""

    strokes: list[np.ndarray]  # [n, 2] middle lines; of a tracer of outlines, the outlines
    widths: list[float]  # empty if the tool knows none
    ink: np.ndarray  # float32 [H, W] its image
    seconds: float
    bytes: int = 0  # of its SVG


def measures(known: Known, found: Found) -> dict[str, float]:
    """All measures of one drawing; Chamfer as a fraction of the image's longer side.

    IoU is Σ min / Σ max of the true ink and that of the found strokes. Chamfer is the mean of the mean
    distance of found middle lines to the true ones and back, at points half a pixel apart.
    """
    values = {
        "iou": float(np.minimum(found.ink, known.ink).sum() / np.maximum(found.ink, known.ink).sum()),
        "seconds": found.seconds,
        "seconds_per_megapixel": found.seconds / known.grey.size * 1e6,
        "strokes_found": len(found.strokes),
    }
    if found.bytes:
        values["bytes"] = found.bytes
    if not known.strokes:
        return values
    values |= {
        "strokes_ratio": len(found.strokes) / len(known.strokes),
        "strokes_error": abs(len(found.strokes) - len(known.strokes)),
        "count_right": float(len(found.strokes) == len(known.strokes)),
    }
    if not found.strokes:
        return values
    side = max(known.grey.shape)
    values["chamfer"] = _chamfer(known.strokes, found.strokes) / side
    if found.widths and np.isfinite(known.width):
        lengths = [max(_length(stroke), 1e-3) for stroke in found.strokes]
        values["width_error"] = abs(float(np.average(found.widths, weights=lengths)) / known.width - 1)
    return {**values, **agreement(known.strokes, found.strokes, side)}


def _chamfer(truth: list[np.ndarray], found: list[np.ndarray]) -> float:
    ours, theirs = (np.concatenate([dense(stroke, 0.5) for stroke in lines]) for lines in (found, truth))
    return float(cKDTree(theirs).query(ours)[0].mean() + cKDTree(ours).query(theirs)[0].mean()) / 2


def agreement(truth: list[np.ndarray], found: list[np.ndarray], side: float) -> dict[str, float]:
    """Whether strokes come in the true order and direction.

    Strokes are compared at 32 points of equal steps by dynamic time warping, which makes the distance
    independent of their lengths: the mean distance of warped pairs. A true and a found stroke are matched one
    to one (least total distance of the better direction) where that is at most 8 % of the image.
    Direction: the fraction of matched strokes nearer in the given direction than reversed; dots and closed
    strokes, which have none, are left out. Order: the fraction of pairs of matched strokes in the true order.
    """
    true_points, points = (np.stack([_even(one) for one in lines]) for lines in (truth, found))
    forward = warped(true_points, points) / side
    reverse = warped(true_points, points[:, ::-1]) / side
    better = np.minimum(forward, reverse)
    pairs = [pair for pair in zip(*linear_sum_assignment(better), strict=True) if better[pair] <= _MATCHED]
    directed = [pair for pair in pairs if _span(truth[pair[0]]) > _CLOSED * side]
    ordered = [(a[0] < b[0]) == (a[1] < b[1]) for a, b in itertools.combinations(pairs, 2)]
    values = {"matched": len(pairs) / len(truth)}
    if directed:
        values["direction"] = float(np.mean([forward[pair] < reverse[pair] for pair in directed]))
    if ordered:
        values["order"] = float(np.mean(ordered))
    return values


def warped(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[A, B] mean distance of the pairs of the cheapest warping of [A, S, 2] with [B, S, 2]."""
    apart = np.linalg.norm(one[:, None, :, None] - other[None, :, None], axis=-1)  # [A, B, S, S]
    cost, steps = np.full_like(apart, np.inf), np.zeros_like(apart)
    size = apart.shape[-1]
    for i, j in itertools.product(range(size), range(size)):
        before = [(a, b) for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
        if not before:
            cost[..., i, j], steps[..., i, j] = apart[..., i, j], 1
            continue
        costs = np.stack([cost[..., a, b] for a, b in before])
        counts = np.stack([steps[..., a, b] for a, b in before])
        best = costs.argmin(0)[None]
        cost[..., i, j] = np.take_along_axis(costs, best, 0)[0] + apart[..., i, j]
        steps[..., i, j] = np.take_along_axis(counts, best, 0)[0] + 1
    return cost[..., -1, -1] / steps[..., -1, -1]


def _even(stroke: np.ndarray) -> np.ndarray:
    far = np.concatenate([[0], np.linalg.norm(np.diff(stroke, axis=0), axis=1).cumsum()])
    at = np.linspace(0, far[-1], _SAMPLES)
    return np.stack([np.interp(at, far, stroke[:, axis]) for axis in (0, 1)], axis=1)


def _length(stroke: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(stroke, axis=0), axis=1).sum())


def _span(stroke: np.ndarray) -> float:
    return float(np.linalg.norm(stroke[-1] - stroke[0]))
