"""Heads of Attend, Infer, Repeat and what their outputs mean (method.md 9.5)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from dood_jax.distributions.bounded import bounded
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.networks.heads import Head
from dood_jax.networks.published_heads import DenseStack
from dood_jax.types import Array

_LEAST = 1e-6
_SHIFT = 0.8  # largest


def layout_gaussian(raw: Array) -> Gaussian:
    """[8] raw numbers, means and scales -> the posterior of a layout; its angle has no limits."""
    shift = bounded(raw[:2], -_SHIFT, _SHIFT)
    mean = jnp.concatenate([shift, jax.nn.softplus(raw[2:3]) + _LEAST, raw[3:4]])
    return Gaussian(mean, jax.nn.softplus(raw[4:]))


def code_gaussian(raw: Array) -> Gaussian:
    """[4 P] raw numbers, means and scales -> the posterior of the [P, 2] numbers that describe a piece."""
    mean, scale = raw.reshape(2, -1, 2)
    return Gaussian(jnp.tanh(mean), jax.nn.softplus(scale) + _LEAST)


def make_heads(features: int, num_points: int) -> dict[str, nn.Module]:
    """The heads by name, as fast as DooD's fast ones."""
    del features
    scales = (-2,) * 2 * num_points
    return {
        "posterior_presence_layout": Head(256, 9, output_scale=0, output_bias=(2, 0, 0, 0.5, 0, *(-2,) * 4)),
        "posterior_stroke": Head(
            256, 4 * num_points, output_scale=0.3, output_bias=(*(0,) * 2 * num_points, *scales)
        ),
    }


def make_published_heads(features: int, num_points: int) -> dict[str, nn.Module]:
    """The heads by name, as published."""
    widths = (features, features)
    return {
        "posterior_presence_layout": DenseStack(widths, 9),
        "posterior_stroke": DenseStack(widths, 4 * num_points),
    }
