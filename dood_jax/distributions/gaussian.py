"""Diagonal Gaussians over one event: a layout, or all control points of a stroke."""

from typing import NamedTuple

import distrax
import jax.numpy as jnp

from dood_jax.types import Array


class Gaussian(NamedTuple):
    """Parameters of independent Gaussians; all axes belong to one event."""

    mean: Array  # event shape
    scale: Array  # event shape, positive


def _distribution(gaussian: Gaussian) -> distrax.Distribution:
    normal = distrax.Normal(gaussian.mean, gaussian.scale)
    return distrax.Independent(normal, reinterpreted_batch_ndims=gaussian.mean.ndim)


def sample_and_log_prob(gaussian: Gaussian, noise: Array) -> tuple[Array, Array]:
    """The sample mean + scale * noise for standard normal noise of its shape, and its [] log-density."""
    sample = gaussian.mean + gaussian.scale * noise
    return sample, (distrax.Normal(0.0, 1.0).log_prob(noise) - jnp.log(gaussian.scale)).sum()


def log_prob(gaussian: Gaussian, value: Array) -> Array:
    """[] log-density of a value of the event's shape."""
    return _distribution(gaussian).log_prob(value)
