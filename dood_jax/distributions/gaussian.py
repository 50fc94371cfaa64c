"""Gaussians and mixtures of them: the posterior and the prior of layouts and control points (method.md 4, 5).

Densities are written out. The correlated Gaussians of the published model couple the first two coordinates
alone; distrax's triangular Gaussian gives the same densities, but its batched triangular solve takes five to
six times as long on a CPU, gradients included (`benchmarks/run.py --only=parts`). Samples are pure functions
of noise, so that exported programs can be given theirs.
"""

import math
from typing import NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp

from dood_jax.types import Array


class AnyGaussian(Protocol):
    """A Gaussian over one event: a layout, or all control points of a stroke."""

    def sample_and_log_prob(self, noise: Array) -> tuple[Array, Array]:
        """The sample for standard normal noise of the event's shape, and its [] log-density."""


class MixtureNoise(NamedTuple):
    """The randomness of a sample of independent mixtures."""

    component: Array  # [...] uniform in 0..1: which component of each mixture
    value: Array  # [..., n] standard normal: where in it


def mixture_noise(key: Array, shape: tuple[int, ...]) -> MixtureNoise:
    """Draws the randomness of an event [..., n] of this shape; consumes the key."""
    key_component, key_value = jax.random.split(key)
    return MixtureNoise(jax.random.uniform(key_component, shape[:-1]), jax.random.normal(key_value, shape))


class AnyMixture(Protocol):
    """Independent mixtures of Gaussians over one event."""

    def sample(self, noise: MixtureNoise) -> Array:
        """The sample of the event's shape for given noise."""

    def log_prob(self, value: Array) -> Array:
        """[] log-density of a value of the event's shape."""

    def narrowed(self, factor: Array, temperature: Array | float = 1.0) -> "AnyMixture":
        """The mixture with its components' standard deviations times a factor, and sharper weights."""


class Gaussian(NamedTuple):
    """Parameters of independent Gaussians; all axes belong to one event."""

    mean: Array  # event shape
    scale: Array  # event shape, positive

    def sample_and_log_prob(self, noise: Array) -> tuple[Array, Array]:
        """The sample mean + scale * noise for standard normal noise of its shape, and its [] log-density.

        The density is taken of the noise, which is exact however narrow the Gaussian is.
        """
        return self.mean + self.scale * noise, _log_normal(noise, self.scale).sum()

    def log_prob(self, value: Array) -> Array:
        """[] log-density of a value of the event's shape."""
        return _log_normal((value - self.mean) / self.scale, self.scale).sum()


class Mixture(NamedTuple):
    """Parameters of independent mixtures; leading axes before M are all part of one event."""

    logits: Array  # [..., M] unnormalised log-weights
    mean: Array  # [..., M, n]
    scale: Array  # [..., M, n], positive

    def sample(self, noise: MixtureNoise) -> Array:
        """The sample [..., n] for given noise."""
        mean, scale = _chosen(self.logits, noise.component, (self.mean, self.scale))
        return mean + scale * noise.value

    def log_prob(self, value: Array) -> Array:
        """[] log-density of [..., n], summed over the leading axes (method.md 4, p_stroke)."""
        scaled = (value[..., None, :] - self.mean) / self.scale
        of_components = _log_normal(scaled, self.scale).sum(-1)
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + of_components, axis=-1).sum()

    def narrowed(self, factor: Array, temperature: Array | float = 1.0) -> "Mixture":
        """The mixture with standard deviations times a factor, [n] or [], and sharper weights."""
        return self._replace(scale=self.scale * factor, logits=self.logits / temperature)


_Parts = TypeVar("_Parts")  # a tuple of arrays


def _chosen(logits: Array, uniform: Array, parts: _Parts) -> _Parts:
    """Of [..., M, ...] arrays those of the component that [...] uniform numbers choose.

    It is the first component at which the sum of the weights reaches the number.
    """
    reached = jnp.cumsum(jax.nn.softmax(logits), axis=-1)[..., :-1]
    index = (reached < uniform[..., None]).sum(-1)

    def of_part(part):
        places = index.reshape(index.shape + (1,) * (part.ndim - index.ndim))
        return jnp.take_along_axis(part, places, axis=index.ndim).squeeze(index.ndim)

    return jax.tree_util.tree_map(of_part, parts)


def _log_normal(noise: Array, scale: Array) -> Array:
    """Log-density of mean + scale * noise."""
    return -(noise**2 / 2 + jnp.log(scale)) - math.log(2 * math.pi) / 2


class CorrelatedGaussian(NamedTuple):
    """z = mean + L noise, where L is diagonal but for the coupling in its second row, first column.

    n is at least 2 (method.md 3.12).
    """

    mean: Array  # [..., n]
    scale: Array  # [..., n], positive
    coupling: Array  # [...] an entry of the Cholesky factor L, not a correlation coefficient

    def sample_and_log_prob(self, noise: Array) -> tuple[Array, Array]:
        """The sample for standard normal noise [..., n], and its [] log-density, leading axes independent."""
        log_density = -(noise**2 / 2 + jnp.log(self.scale)).sum() - noise.size / 2 * math.log(2 * math.pi)
        return self._place(noise), log_density

    def log_prob(self, value: Array) -> Array:
        """[...] log-density of values [..., n] (method.md 3.12)."""
        scaled = (value - self.mean) / self.scale
        coupled = (self.coupling * scaled[..., 0] / self.scale[..., 1])[..., None]
        first, second, rest = scaled[..., :1], scaled[..., 1:2] - coupled, scaled[..., 2:]
        whitened = jnp.concatenate([first, second, rest], axis=-1)  # L⁻¹ (value - mean)
        constant = value.shape[-1] / 2 * math.log(2 * math.pi)
        return -(whitened**2 / 2 + jnp.log(self.scale)).sum(-1) - constant

    def _place(self, noise: Array) -> Array:
        """Mean + L noise."""
        straight = self.mean + self.scale * noise
        coupled = straight[..., 1] + self.coupling * noise[..., 0]
        return jnp.concatenate([straight[..., :1], coupled[..., None], straight[..., 2:]], axis=-1)


class CorrelatedMixture(NamedTuple):
    """Parameters of independent mixtures; leading axes before M are all part of one event."""

    logits: Array  # [..., M] unnormalised log-weights
    components: CorrelatedGaussian  # [..., M, n]

    def sample(self, noise: MixtureNoise) -> Array:
        """The sample [..., n] for given noise."""
        chosen = _chosen(self.logits, noise.component, self.components)
        return chosen.sample_and_log_prob(noise.value)[0]

    def log_prob(self, value: Array) -> Array:
        """[] log-density of [..., n], summed over the leading axes (method.md 4)."""
        of_components = self.components.log_prob(value[..., None, :])
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + of_components, axis=-1).sum()

    def narrowed(self, factor: Array, temperature: Array | float = 1.0) -> "CorrelatedMixture":
        """The mixture with standard deviations times a factor, [n], and sharper weights."""
        coupling = self.components.coupling * factor[1]  # the second row of L
        components = self.components._replace(scale=self.components.scale * factor, coupling=coupling)
        return self._replace(components=components, logits=self.logits / temperature)
