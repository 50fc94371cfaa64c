"""From misfits to a choice among supports, and the weights of that choice (method.md 10.9).

The energy of a support is a weighted sum of what is left of the query after bending, of what the bending
cost, and of how far place and size are apart; minus it is a log-probability up to a constant.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from dood_jax.matching.segments import Segments


class Evidence(NamedTuple):
    """Each [..., Q, S], 0 where a support and a query agree; or their weights."""

    ahead: np.ndarray | float
    back: np.ndarray | float
    turned_ahead: np.ndarray | float
    turned_back: np.ndarray | float
    bending: np.ndarray | float
    shift: np.ndarray | float  # squared distance of centres, in pictures
    size: np.ndarray | float  # squared difference of log sizes


_LOG_WEIGHT_RANGE = (-5.0, 3.0)  # of terms divided by their deviation


def place_and_size(supports: Segments, queries: Segments) -> tuple[np.ndarray, np.ndarray]:
    """[Q, S] squared distances of centres, and squared differences of log sizes."""
    shift = ((queries.centre[:, None] - supports.centre[None]) ** 2).sum(-1)
    return shift, (np.log(queries.size)[:, None] - np.log(supports.size)[None]) ** 2


def energy(evidence: Evidence, weights: Evidence) -> np.ndarray:
    """[..., Q, S] weighted sum; the least is the likeliest."""
    return sum(weight * term for weight, term in zip(weights, evidence, strict=True))


def over_ways(energies: np.ndarray) -> np.ndarray:
    """[K, ...] energies by K ways to draw, each as likely as another -> [...] -log mean exp(-E)."""
    return np.log(len(energies)) - logsumexp(-energies, axis=0)


def calibrate(evidence: Evidence, answers: np.ndarray, used: tuple[str, ...] = Evidence._fields) -> Evidence:
    """The weights under which [..., Q] right answers are most probable; terms that are not `used` weigh 0.

    Give it episodes that are not to be measured.
    """
    terms = [getattr(evidence, name) for name in used]
    scales = np.array([max(float(np.std(term)), 1e-12) for term in terms])
    columns = np.stack(terms, -1) / scales

    def loss(log_weights: np.ndarray) -> float:
        log_probs = log_softmax(-columns @ np.exp(log_weights), axis=-1)
        return -float(np.take_along_axis(log_probs, answers[..., None], -1).mean())

    start, bounds = np.zeros(len(terms)), [_LOG_WEIGHT_RANGE] * len(terms)
    found = np.exp(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x) / scales
    chosen = dict(zip(used, found.tolist(), strict=True))
    return Evidence(*(chosen.get(name, 0.0) for name in Evidence._fields))
