"""Diagonal Gaussians over one event: a layout, or all control points of a stroke."""

from typing import NamedTuple

import distrax

from dood_jax.types import Array


class Gaussian(NamedTuple):
    """Parameters of independent Gaussians; all axes belong to one event."""

    mean: Array  # event shape
    scale: Array  # event shape, positive


def _distribution(gaussian: Gaussian) -> distrax.Distribution:
    normal = distrax.Normal(gaussian.mean, gaussian.scale)
    return distrax.Independent(normal, reinterpreted_batch_ndims=gaussian.mean.ndim)


def sample_and_log_prob(gaussian: Gaussian, key: Array) -> tuple[Array, Array]:
    """A reparametrised sample of the event's shape and its [] log-density; consumes the key."""
    return _distribution(gaussian).sample_and_log_prob(seed=key)


def log_prob(gaussian: Gaussian, value: Array) -> Array:
    """[] log-density of a value of the event's shape."""
    return _distribution(gaussian).log_prob(value)
