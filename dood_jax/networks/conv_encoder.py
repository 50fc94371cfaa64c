"""Images to features by convolutions, as published (method.md 3.3)."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from dood_jax.networks.initial import uniform
from dood_jax.types import Array

_CHANNELS = (8, 16)
_KERNEL = 3


class ConvEncoder(nn.Module):
    """Two 3 x 3 convolutions without padding, dropout, a hidden layer with tanh, a linear output.

    Units are dropped where the networks were bound with a key for dropout, in training; each call draws its
    own mask, and `twice` two.
    """

    features: int
    dropout: float  # share of the second convolution's units that is dropped

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
            shape = (num_masks, *units.shape[1:])
            units = _drop(jnp.broadcast_to(units, shape), self.dropout, self.make_rng("dropout"))
        hidden = jnp.tanh(_dense(self.features, units.shape[-1], "dense0")(units))
        features = _dense(self.features, self.features, "out")(hidden)
        return jnp.broadcast_to(features, (num_masks, *features.shape[1:]))


def _dense(features: int, fan_in: int, name: str) -> nn.Dense:
    return nn.Dense(features, kernel_init=uniform(fan_in), bias_init=uniform(fan_in), name=name)


def _drop(units: Array, rate: float, key: Array) -> Array:
    """Sets a share of the units to zero and scales the others up; consumes the key.

    A unit's fate takes one byte of randomness, so the share is kept to a 256th.
    """
    words = jax.random.bits(key, (math.ceil(units.size / 4),), jnp.uint32)
    dropped = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[: units.size] < round(256 * rate)
    return jnp.where(dropped.reshape(units.shape), 0, units / (1 - rate))
