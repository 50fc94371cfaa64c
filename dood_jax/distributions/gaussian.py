"""Gaussians and mixtures of them: the posterior and the prior of layouts and control points (method.md 4, 5).

Densities are written out. The correlated Gaussians of the published model couple the first two coordinates
alone; distrax's triangular Gaussian gives the same densities, but its batched triangular solve takes five to
six times as long on a CPU, gradients included (`benchmarks/run.py --only=parts`). Diagonal mixtures are
sampled by distrax, which takes long to import, and so is imported there alone.
"""

import math
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp

from dood_jax.types import Array


class AnyGaussian(Protocol):
    """A Gaussian over one event: a layout, or all control points of a stroke."""

    def sample_and_log_prob(self, noise: Array) -> tuple[Array, Array]:
        """The sample for standard normal noise of the event's shape, and its [] log-density."""


class AnyMixture(Protocol):
    """Independent mixtures of Gaussians over one event."""

    def sample(self, key: Array) -> Array:
        """A sample of the event's shape; consumes the key."""

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

    def sample(self, key: Array) -> Array:
        """A sample [..., n]; consumes the key."""
        import distrax  # noqa: PLC0415

        components = distrax.Independent(distrax.Normal(self.mean, self.scale), reinterpreted_batch_ndims=1)
        return distrax.MixtureSameFamily(distrax.Categorical(self.logits), components).sample(seed=key)

    def log_prob(self, value: Array) -> Array:
        """[] log-density of [..., n], summed over the leading axes (method.md 4, p_stroke)."""
        scaled = (value[..., None, :] - self.mean) / self.scale
        of_components = _log_normal(scaled, self.scale).sum(-1)
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + of_components, axis=-1).sum()

    def narrowed(self, factor: Array, temperature: Array | float = 1.0) -> "Mixture":
        """The mixture with standard deviations times a factor, [n] or [], and sharper weights."""
        return self._replace(scale=self.scale * factor, logits=self.logits / temperature)


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

    def sample(self, key: Array) -> Array:
        """A sample [..., n]; consumes the key."""
        key_component, key_noise = jax.random.split(key)
        chosen = jax.random.categorical(key_component, self.logits)[..., None]
        mean, scale = (
            jnp.take_along_axis(part, chosen[..., None], axis=-2)[..., 0, :] for part in self.components[:2]
        )
        coupling = jnp.take_along_axis(self.components.coupling, chosen, axis=-1)[..., 0]
        noise = jax.random.normal(key_noise, mean.shape, mean.dtype)
        return CorrelatedGaussian(mean, scale, coupling).sample_and_log_prob(noise)[0]

    def log_prob(self, value: Array) -> Array:
        """[] log-density of [..., n], summed over the leading axes (method.md 4)."""
        of_components = self.components.log_prob(value[..., None, :])
        return jax.nn.logsumexp(jax.nn.log_softmax(self.logits) + of_components, axis=-1).sum()

    def narrowed(self, factor: Array, temperature: Array | float = 1.0) -> "CorrelatedMixture":
        """The mixture with standard deviations times a factor, [n], and sharper weights."""
        coupling = self.components.coupling * factor[1]  # the second row of L
        components = self.components._replace(scale=self.components.scale * factor, coupling=coupling)
        return self._replace(components=components, logits=self.logits / temperature)
