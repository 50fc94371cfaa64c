"""The networks of the published model, with its initial values (method.md 3.2 to 3.5, 4, 5, 12.1)."""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dood_jax.config.model import ModelConfig
from dood_jax.distributions import presence
from dood_jax.distributions.gaussian import CorrelatedGaussian, CorrelatedMixture
from dood_jax.model.families import LAYOUT_HIGH, LAYOUT_LOW, POINT_HIGH, POINT_LOW, PosteriorHeads, PriorHeads
from dood_jax.model.networks import GRUCell, Initializer, bounded, constant
from dood_jax.types import Array

_CHANNELS = (8, 16)
_KERNEL = 3
_LEAST = 1e-9  # distance of probabilities from 0 and 1, and of scales from 0
_PRIOR_MEAN_NOISE = 1e-3  # of the prior's initial means, so that components part
_LEADING, _OTHERS = 4.0, -4.0  # initial logits of the prior's components


def uniform(fan_in: int) -> Initializer:
    """Uniform in ±1/√fan_in, for kernels and biases alike (method.md 3.5)."""
    bound = 1 / math.sqrt(fan_in)
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype, -bound, bound)


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


class ConvEncoder(nn.Module):
    """Images to features by convolutions (method.md 3.3).

    Two 3 x 3 convolutions without padding, dropout, a hidden layer with tanh, a linear output. Units are
    dropped where the model was bound with a key for dropout, in training; each call draws a mask of its own,
    and `twice` two.
    """

    features: int
    dropout: float  # fraction of the second convolution's units that is dropped

    def __call__(self, image: Array) -> Array:
        """[..., H, W] images -> [..., D] features."""
        return self._encode(image, 1)[0]

    def twice(self, image: Array) -> Array:
        """[..., H, W] images -> [2, ..., D] features under two masks; the convolutions are run once."""
        return self._encode(image, 2)

    @nn.compact
    def _encode(self, image: Array, num_masks: int) -> Array:
        units = image[..., None]
        for i, channels in enumerate(_CHANNELS):
            init = uniform(_KERNEL**2 * units.shape[-1])
            window, name = (_KERNEL, _KERNEL), f"conv{i + 1}"
            layer = nn.Conv(channels, window, padding="VALID", kernel_init=init, bias_init=init, name=name)
            units = nn.relu(layer(units))
        units = units.reshape(1, *image.shape[:-2], -1)
        if self.dropout and self.has_rng("dropout"):
            units = jnp.broadcast_to(units, (num_masks, *units.shape[1:]))
            units = nn.Dropout(self.dropout, deterministic=False)(units)
        hidden = jnp.tanh(_dense(self.features, units.shape[-1], "dense0")(units))
        features = _dense(self.features, self.features, "out")(hidden)
        return jnp.broadcast_to(features, (num_masks, *features.shape[1:]))


def _dense(features: int, fan_in: int, name: str) -> nn.Dense:
    return nn.Dense(features, kernel_init=uniform(fan_in), bias_init=uniform(fan_in), name=name)


def published_cell(features: int) -> GRUCell:
    """A recurrent cell with weights and biases uniform in ±1/√features at the start (method.md 3.5)."""
    return GRUCell(features, kernel_init=uniform(features), bias_init=uniform(features))


class Baseline(nn.Module):
    """What NVIL expects of a drawing before each stroke: a recurrent network of its own (method.md 5, 7).

    A recurrent cell over strokes, then layers with tanh and a linear output.
    """

    features: int
    widths: tuple[int, ...]  # of the layers

    def setup(self) -> None:
        """Declares both parts."""
        self.baseline_rnn = published_cell(self.features)
        self.baseline = DenseStack(self.widths, 1)

    def __call__(self, inputs: Array) -> Array:
        """[T, n] what is known before each stroke -> [T] values."""
        states = [jnp.zeros(self.features, inputs.dtype)]
        for one in inputs:
            states.append(self.baseline_rnn(states[-1], one))
        return self.baseline([jnp.stack(states[1:])])[:, 0]


class StartValues(NamedTuple):
    """Raw biases with which a run starts."""

    presence: float
    canvas_slope: float
    brush: tuple[float, float]  # ink width and slope


START_VALUES = {  # by the set of the published runs
    "mnist": StartValues(2, -1, (-2, 2)),
    "synthetic": StartValues(10, -1, (-2, 2)),
    "omniglot": StartValues(10, 4, (-4, 4)),
}


class Correlated:
    """Gaussians with one correlation, and heads of two tanh layers as wide as the features (`Family`)."""

    def posterior_heads(self, config: ModelConfig) -> PosteriorHeads:
        """The heads of the posterior and the brush, with the initial values of a set (method.md 12.1)."""
        raw, stack = START_VALUES[config.start], self._stack(config)
        return PosteriorHeads(
            presence=stack(1, constant((raw.presence,))),
            layout=stack(9, constant((0, 0, 6, 0, -4, -4, -4, -4, 0))),
            stroke=stack(5 * config.num_points),
            canvas_slope=stack(1, constant((raw.canvas_slope,))),
            brush=stack(2, constant(raw.brush)),
        )

    def prior_heads(self, config: ModelConfig) -> PriorHeads:
        """The heads of the prior."""
        points, components, stack = config.num_points, config.components, self._stack(config)
        return PriorHeads(
            presence=stack(1, constant((1,))),
            layout=stack(10 * components, initial_layout_prior(components)),
            stroke=stack(6 * components * points, initial_stroke_prior(points, components)),
        )

    def _stack(self, config: ModelConfig) -> functools.partial[DenseStack]:
        return functools.partial(DenseStack, (config.features, config.features))

    def cell(self, features: int) -> GRUCell:
        """A recurrent cell."""
        return published_cell(features)

    def presence(self, raw: Array) -> tuple[Array, Array]:
        """Raw number -> log-probabilities of on and off (method.md 4, 6)."""
        return presence.clamped_log_probs(bounded(raw, _LEAST, 1 - _LEAST))

    def layout_posterior(self, raw: Array) -> CorrelatedGaussian:
        """[9] raw numbers, means, scales, coupling -> the posterior of a layout (method.md 5)."""
        return _over_layouts(raw[:4], raw[4:8], raw[8])

    def stroke_posterior(self, raw: Array) -> CorrelatedGaussian:
        """[5 P] raw numbers, means, scales, couplings -> the posterior of [P, 2] points (method.md 5)."""
        mean, scale, coupling = jnp.split(raw, np.array([2, 4]) * (len(raw) // 5))
        return _over_points(mean.reshape(-1, 2), scale.reshape(-1, 2), coupling)

    def layout_prior(self, raw: Array) -> CorrelatedMixture:
        """[10 M] raw numbers, logits, means, scales, couplings -> the prior of a layout (method.md 4)."""
        logits, mean, scale, coupling = jnp.split(raw, np.array([1, 5, 9]) * (len(raw) // 10))
        return CorrelatedMixture(logits, _over_layouts(mean.reshape(-1, 4), scale.reshape(-1, 4), coupling))

    def stroke_prior(self, raw: Array, num_points: int) -> CorrelatedMixture:
        """[6 M P] raw numbers, logits, means, scales, couplings -> the prior of each point (method.md 4)."""
        logits, mean, scale, coupling = jnp.split(raw, np.array([1, 3, 5]) * (len(raw) // 6))
        mean, scale = (part.reshape(num_points, -1, 2) for part in (mean, scale))
        components = _over_points(mean, scale, coupling.reshape(num_points, -1))
        return CorrelatedMixture(logits.reshape(num_points, -1), components)


CORRELATED = Correlated()


def _over_layouts(mean: Array, scale: Array, coupling: Array) -> CorrelatedGaussian:
    mean = bounded(mean, LAYOUT_LOW, LAYOUT_HIGH)
    return CorrelatedGaussian(mean, bounded(scale, _LEAST, 1), bounded(coupling, -1, 1))


def _over_points(mean: Array, scale: Array, coupling: Array) -> CorrelatedGaussian:
    mean = bounded(mean, POINT_LOW, POINT_HIGH)
    return CorrelatedGaussian(mean, jax.nn.sigmoid(scale) + _LEAST, bounded(coupling, -1, 1))


def initial_layout_prior(components: int) -> Initializer:
    """Raw biases: one leading component, all means upright and almost the whole canvas (method.md 12.1)."""

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        noise = _PRIOR_MEAN_NOISE * jax.random.normal(key, (components, 4), dtype).at[0].set(0)
        mean = noise + jnp.array([0, 0, 4, 0], dtype)
        rest = jnp.full(4 * components, -4, dtype), jnp.zeros(components, dtype)
        return jnp.concatenate([_leading(components, 1), mean.reshape(-1), *rest]).reshape(shape)

    return init


def initial_stroke_prior(num_points: int, components: int) -> Initializer:
    """Raw biases (method.md 12.1).

    As published the flat logits are filled from the front, so the first point has leading components, as many
    as there are points, and the other points have none.
    """
    count = num_points * components

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        mean = _PRIOR_MEAN_NOISE * jax.random.normal(key, (2 * count,), dtype).at[: 2 * num_points].set(0)
        rest = jnp.full(2 * count, -1.386, dtype), jnp.zeros(count, dtype)
        return jnp.concatenate([_leading(count, num_points), mean, *rest]).reshape(shape)

    return init


def _leading(count: int, leaders: int) -> Array:
    return jnp.where(jnp.arange(count) < leaders, _LEADING, _OTHERS)
