"""Gaussians whose first two coordinates are coupled, and mixtures of them (method.md 3.12, 4)."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dood_jax.types import Array


class CorrelatedGaussian(NamedTuple):
    """z = mean + L noise, L diagonal but for the coupling in its second row, first column; n at least 2."""

    mean: Array  # [..., n]
    scale: Array  # [..., n], positive
    coupling: Array  # [...] an entry of the Cholesky factor, no correlation coefficient


class CorrelatedMixture(NamedTuple):
    """Parameters of independent mixtures; leading axes before M are all part of one event."""

    logits: Array  # [..., M] unnormalised log-weights
    components: CorrelatedGaussian  # [..., M, n]


def sample_and_log_prob(gaussian: CorrelatedGaussian, noise: Array) -> tuple[Array, Array]:
    """The sample for standard normal noise [..., n], and its [] log-density, leading axes independent."""
    log_density = -(noise**2 / 2 + jnp.log(gaussian.scale)).sum() - noise.size / 2 * math.log(2 * math.pi)
    return _place(gaussian, noise), log_density


def log_prob(gaussian: CorrelatedGaussian, value: Array) -> Array:
    """[...] log-density of values [..., n] (method.md 3.12)."""
    scaled = (value - gaussian.mean) / gaussian.scale
    coupled = (gaussian.coupling * scaled[..., 0] / gaussian.scale[..., 1])[..., None]
    first, second, rest = scaled[..., :1], scaled[..., 1:2] - coupled, scaled[..., 2:]
    whitened = jnp.concatenate([first, second, rest], axis=-1)
    constant = value.shape[-1] / 2 * math.log(2 * math.pi)
    return -(whitened**2 / 2 + jnp.log(gaussian.scale)).sum(-1) - constant


def mixture_log_prob(mixture: CorrelatedMixture, value: Array) -> Array:
    """[] log-density of [..., n], summed over the leading axes (method.md 4)."""
    weights = jax.nn.log_softmax(mixture.logits)
    return jax.nn.logsumexp(weights + log_prob(mixture.components, value[..., None, :]), axis=-1).sum()


def mixture_sample(mixture: CorrelatedMixture, key: Array) -> Array:
    """A sample [..., n]; consumes the key."""
    key_component, key_noise = jax.random.split(key)
    chosen = jax.random.categorical(key_component, mixture.logits)[..., None]
    mean, scale = (
        jnp.take_along_axis(part, chosen[..., None], axis=-2)[..., 0, :] for part in mixture.components[:2]
    )
    coupling = jnp.take_along_axis(mixture.components.coupling, chosen, axis=-1)[..., 0]
    noise = jax.random.normal(key_noise, mean.shape, mean.dtype)
    return _place(CorrelatedGaussian(mean, scale, coupling), noise)


def mixture_narrowed(
    mixture: CorrelatedMixture, factor: Array, temperature: Array | float = 1.0
) -> CorrelatedMixture:
    """A mixture with its components' standard deviations times a factor, [n], and sharper weights."""
    components = mixture.components
    coupling = components.coupling * factor[1]  # the second row of L
    components = components._replace(scale=components.scale * factor, coupling=coupling)
    return mixture._replace(components=components, logits=mixture.logits / temperature)


def _place(gaussian: CorrelatedGaussian, noise: Array) -> Array:
    """Mean + L noise."""
    straight = gaussian.mean + gaussian.scale * noise
    coupled = straight[..., 1] + gaussian.coupling * noise[..., 0]
    return jnp.concatenate([straight[..., :1], coupled[..., None], straight[..., 2:]], axis=-1)
