"""Mixtures of diagonal Gaussians (method.md 4)."""

from typing import NamedTuple

import distrax

from dood_jax.types import Array


class Mixture(NamedTuple):
    """Parameters of independent mixtures; leading axes before M are all part of one event."""

    logits: Array  # [..., M] unnormalised log-weights
    mean: Array  # [..., M, n]
    scale: Array  # [..., M, n], positive


def _distribution(mixture: Mixture) -> distrax.Distribution:
    components = distrax.Independent(distrax.Normal(mixture.mean, mixture.scale), reinterpreted_batch_ndims=1)
    return distrax.MixtureSameFamily(distrax.Categorical(mixture.logits), components)


def sample(mixture: Mixture, key: Array) -> Array:
    """A sample [..., n]; consumes the key."""
    return _distribution(mixture).sample(seed=key)


def narrowed(mixture: Mixture, factor: Array, temperature: Array | float = 1.0) -> Mixture:
    """A mixture with its components' standard deviations times a factor, [n] or [], and sharper weights."""
    return mixture._replace(scale=mixture.scale * factor, logits=mixture.logits / temperature)


def log_prob(mixture: Mixture, value: Array) -> Array:
    """[] log-density of [..., n], summed over the leading axes (method.md 4, p_stroke)."""
    return _distribution(mixture).log_prob(value).sum()
