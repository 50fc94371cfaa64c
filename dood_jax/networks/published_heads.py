"""Heads as published: two tanh layers, correlated Gaussians, initial values (method.md 3.2, 4, 5, 14.1)."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dood_jax.distributions import correlated, presence
from dood_jax.distributions.bounded import bounded
from dood_jax.distributions.correlated import CorrelatedGaussian, CorrelatedMixture
from dood_jax.networks.heads import LAYOUT_HIGH, LAYOUT_LOW, POINT_HIGH, POINT_LOW, Family
from dood_jax.networks.initial import Initializer, constant, uniform
from dood_jax.types import Array

_LEAST = 1e-9  # distance of probabilities from 0 and 1, and of scales from 0
_SPREAD = 1e-3  # of the prior's initial means, so that components part
_LEADING, _OTHERS = 4.0, -4.0  # initial logits of the prior's components


class DenseStack(nn.Module):
    """Inputs, concatenated -> hidden layers with tanh -> raw outputs."""

    widths: tuple[int, ...]  # of the hidden layers
    outputs: int
    output_bias: Initializer | None = None  # with it the output weights start at zero

    @nn.compact
    def __call__(self, inputs: Sequence[Array]) -> Array:
        """Vectors [..., n] -> [..., outputs] raw numbers."""
        units = jnp.concatenate(inputs, axis=-1)
        for i, width in enumerate(self.widths):
            init = uniform(units.shape[-1])
            units = jnp.tanh(nn.Dense(width, kernel_init=init, bias_init=init, name=f"dense{i}")(units))
        init = uniform(units.shape[-1])
        kernel_init = nn.initializers.zeros if self.output_bias else init
        bias_init = self.output_bias or init
        return nn.Dense(self.outputs, kernel_init=kernel_init, bias_init=bias_init, name="out")(units)


def presence_log_probs(raw: Array) -> tuple[Array, Array]:
    """Raw number -> log-probabilities of on and off (method.md 4, 6)."""
    return presence.clamped_log_probs(bounded(raw, _LEAST, 1 - _LEAST))


def layout_gaussian(raw: Array) -> CorrelatedGaussian:
    """[9] raw numbers, means, scales, coupling -> the posterior of a layout (method.md 5)."""
    return _over_layouts(raw[:4], raw[4:8], raw[8])


def stroke_gaussian(raw: Array) -> CorrelatedGaussian:
    """[5 P] raw numbers, means, scales, couplings -> the posterior of [P, 2] control points (method.md 5)."""
    mean, scale, coupling = jnp.split(raw, np.array([2, 4]) * (len(raw) // 5))
    return _over_points(mean.reshape(-1, 2), scale.reshape(-1, 2), coupling)


def layout_mixture(raw: Array) -> CorrelatedMixture:
    """[10 M] raw numbers, logits, means, scales, couplings -> the prior of a layout (method.md 4)."""
    logits, mean, scale, coupling = jnp.split(raw, np.array([1, 5, 9]) * (len(raw) // 10))
    return CorrelatedMixture(logits, _over_layouts(mean.reshape(-1, 4), scale.reshape(-1, 4), coupling))


def stroke_mixture(raw: Array, num_points: int) -> CorrelatedMixture:
    """[6 M P] raw numbers, logits, means, scales, couplings -> the prior of each point (method.md 4)."""
    logits, mean, scale, coupling = jnp.split(raw, np.array([1, 3, 5]) * (len(raw) // 6))
    mean, scale = (part.reshape(num_points, -1, 2) for part in (mean, scale))
    components = _over_points(mean, scale, coupling.reshape(num_points, -1))
    return CorrelatedMixture(logits.reshape(num_points, -1), components)


def _over_layouts(mean: Array, scale: Array, coupling: Array) -> CorrelatedGaussian:
    mean = bounded(mean, LAYOUT_LOW, LAYOUT_HIGH)
    return CorrelatedGaussian(mean, bounded(scale, _LEAST, 1), bounded(coupling, -1, 1))


def _over_points(mean: Array, scale: Array, coupling: Array) -> CorrelatedGaussian:
    mean = bounded(mean, POINT_LOW, POINT_HIGH)
    return CorrelatedGaussian(mean, jax.nn.sigmoid(scale) + _LEAST, bounded(coupling, -1, 1))


def initial_layout_prior(components: int) -> Initializer:
    """Raw biases: one leading component, all means upright and almost the whole canvas (method.md 14.1)."""

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        noise = _SPREAD * jax.random.normal(key, (components, 4), dtype).at[0].set(0)
        mean = noise + jnp.array([0, 0, 4, 0], dtype)
        rest = jnp.full(4 * components, -4, dtype), jnp.zeros(components, dtype)
        return jnp.concatenate([_leading(components, 1), mean.reshape(-1), *rest]).reshape(shape)

    return init


def initial_stroke_prior(num_points: int, components: int) -> Initializer:
    """Raw biases (method.md 14.1).

    As published the flat logits are filled from the front, so the first point has leading components, as many
    as there are points, and the other points have none.
    """
    count = num_points * components

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        mean = _SPREAD * jax.random.normal(key, (2 * count,), dtype).at[: 2 * num_points].set(0)
        rest = jnp.full(2 * count, -1.386, dtype), jnp.zeros(count, dtype)
        return jnp.concatenate([_leading(count, num_points), mean, *rest]).reshape(shape)

    return init


def _leading(count: int, leaders: int) -> Array:
    return jnp.where(jnp.arange(count) < leaders, _LEADING, _OTHERS)


class Start(NamedTuple):
    """Raw biases with which a run starts."""

    presence: float
    canvas_slope: float
    brush: tuple[float, float]  # ink width and slope


STARTS = {  # by the set of the published runs
    "mnist": Start(2, -1, (-2, 2)),
    "synthetic": Start(10, -1, (-2, 2)),
    "omniglot": Start(10, 4, (-4, 4)),
}


def make_heads(features: int, num_points: int, components: int, start: str) -> dict[str, nn.Module]:
    """The heads of posterior, pen and prior by name, with the initial values of a set (method.md 14.1)."""
    raw = STARTS[start]
    stack = functools.partial(DenseStack, (features, features))
    return {
        "posterior_presence": stack(1, constant((raw.presence,))),
        "posterior_layout": stack(9, constant((0, 0, 6, 0, -4, -4, -4, -4, 0))),
        "posterior_stroke": stack(5 * num_points),
        "canvas_slope": stack(1, constant((raw.canvas_slope,))),
        "brush": stack(2, constant(raw.brush)),
        "prior_presence": stack(1, constant((1,))),
        "prior_layout": stack(10 * components, initial_layout_prior(components)),
        "prior_stroke": stack(6 * components * num_points, initial_stroke_prior(num_points, components)),
    }


CORRELATED = Family(
    presence=presence_log_probs,
    layout_posterior=layout_gaussian,
    stroke_posterior=stroke_gaussian,
    layout_prior=layout_mixture,
    stroke_prior=stroke_mixture,
    sample_and_log_prob=correlated.sample_and_log_prob,
    mixture_log_prob=correlated.mixture_log_prob,
    mixture_sample=correlated.mixture_sample,
    mixture_narrowed=correlated.mixture_narrowed,
)
