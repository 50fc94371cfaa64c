"""Features to the parameters of distributions and brushes: small dense stacks and what their outputs mean."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dood_jax.distributions.bounded import bounded
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.distributions.mixture import Mixture
from dood_jax.types import Array

LAYOUT_LOW = np.array([-0.8, -0.8, 0.25, -np.pi / 4], np.float32)  # ranges of a layout (method.md 4)
LAYOUT_HIGH = np.array([0.8, 0.8, 1.0, np.pi / 4], np.float32)
POINT_LOW, POINT_HIGH = -0.2, 1.2  # range of a control point's mean (method.md 4)
INK_WIDTH, INK_SLOPE, CANVAS_SLOPE = (0.005, 0.04), (0.1, 0.9), (0.1, 1.5)  # ranges of pens (method.md 5)


class Head(nn.Module):
    """Inputs, concatenated -> one hidden SiLU layer -> raw outputs."""

    hidden: int
    outputs: int
    output_scale: float = 1.0  # of the last layer's initial weights; 0 starts from the bias alone
    output_bias: tuple[float, ...] | None = None

    @nn.compact
    def __call__(self, inputs: Sequence[Array]) -> Array:
        """Vectors -> [outputs] raw numbers."""
        init = nn.initializers.lecun_uniform()
        features = nn.silu(nn.Dense(self.hidden, kernel_init=init)(jnp.concatenate(inputs)))
        if self.output_scale != 1:
            init = _scaled(init, self.output_scale)
        layer = nn.Dense(self.outputs, kernel_init=init, bias_init=_constant(self.output_bias), name="out")
        return layer(features)


def _scaled(init: nn.initializers.Initializer, scale: float) -> nn.initializers.Initializer:
    return lambda *args: scale * init(*args)


def _constant(values: tuple[float, ...] | None) -> nn.initializers.Initializer:
    if values is None:
        return nn.initializers.zeros
    return lambda key, shape, dtype=jnp.float32: jnp.broadcast_to(jnp.array(values, dtype), shape)


def layout_gaussian(raw: Array) -> Gaussian:
    """[8] raw numbers -> the posterior of a layout; raw zeros are most of the canvas, unturned."""
    start = jnp.array([0, 0, 1, 0], raw.dtype)
    return Gaussian(bounded(raw[:4] + start, LAYOUT_LOW, LAYOUT_HIGH), bounded(raw[4:], 1e-3, 0.5))


def stroke_gaussian(raw: Array) -> Gaussian:
    """[4 P] raw numbers -> the posterior of [P, 2] control points."""
    mean, scale = raw.reshape(2, -1, 2)
    return Gaussian(bounded(mean, POINT_LOW, POINT_HIGH), bounded(scale, 1e-3, 0.5))


def layout_mixture(raw: Array) -> Mixture:
    """[9 M] raw numbers -> the prior of a layout."""
    return _mixture(raw, 4, LAYOUT_LOW, LAYOUT_HIGH)


def stroke_mixture(raw: Array, num_points: int) -> Mixture:
    """[5 M P] raw numbers -> the prior of each control point, [P, M] components."""
    return _mixture(raw.reshape(num_points, -1), 2, POINT_LOW, POINT_HIGH)


def _mixture(raw: Array, size: int, low: Array | float, high: Array | float) -> Mixture:
    """Splits [..., M (1 + 2 size)] raw numbers into logits, means and scales."""
    components = raw.shape[-1] // (1 + 2 * size)
    logits, mean, scale = jnp.split(raw, [components, components * (1 + size)], axis=-1)
    shape = (*raw.shape[:-1], components, size)
    mean = bounded(mean.reshape(shape), low, high)
    return Mixture(logits, mean, jax.nn.softplus(scale.reshape(shape) - 1) + 1e-2)


def ink_width(raw: Array) -> Array:
    """Raw number -> standard deviation of the pen, as a share of the picture (method.md 5, 9.1)."""
    return bounded(raw, *INK_WIDTH)


def ink_slope(raw: Array) -> Array:
    """Raw number -> slope of a stroke's ink (method.md 5)."""
    return bounded(raw, *INK_SLOPE)


def canvas_slope(raw: Array) -> Array:
    """Raw number -> slope of the canvas (method.md 5)."""
    return bounded(raw, *CANVAS_SLOPE)
