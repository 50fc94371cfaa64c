"""Features to the parameters of distributions and brushes: small dense stacks and what their outputs mean."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dood_jax.distributions import gaussian, mixture, presence
from dood_jax.distributions.bounded import bounded
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.distributions.mixture import Mixture
from dood_jax.types import Array

LAYOUT_LOW = np.array([-0.8, -0.8, 0.25, -np.pi / 4])  # ranges of a layout (method.md 4)
LAYOUT_HIGH = np.array([0.8, 0.8, 1.0, np.pi / 4])
POINT_LOW, POINT_HIGH = -0.2, 1.2  # range of a control point's mean (method.md 4)
INK_WIDTH, INK_SLOPE, CANVAS_SLOPE = (0.005, 0.04), (0.1, 0.9), (0.1, 1.5)  # ranges of pens (method.md 5)
INK_WIDTH_IN_WINDOW = (0.01, 0.04)  # of a pen that draws in the stroke's own frame


class Family(NamedTuple):
    """What the outputs of heads mean: Gaussians for the posterior, mixtures of them for the prior."""

    presence: Callable[[Array], tuple[Array, Array]]  # raw number -> log-probabilities of on and off
    layout_posterior: Callable[[Array], Any]  # raw numbers -> a Gaussian over layouts
    stroke_posterior: Callable[[Array], Any]  # raw numbers -> a Gaussian over control points
    layout_prior: Callable[[Array], Any]  # raw numbers -> a mixture over layouts
    stroke_prior: Callable[[Array, int], Any]  # raw numbers, P -> a mixture over control points
    sample_and_log_prob: Callable[[Any, Array], tuple[Array, Array]]  # Gaussian, noise -> value, its density
    mixture_log_prob: Callable[[Any, Array], Array]  # mixture, value -> [] log-density
    mixture_sample: Callable[[Any, Array], Array]  # mixture, key -> value
    mixture_narrowed: Callable[
        ..., Any
    ]  # mixture, [n] factors of deviations, temperature of weights -> mixture


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


def ink_width(raw: Array, limits: tuple[float, float] = INK_WIDTH) -> Array:
    """Raw number -> standard deviation of the pen, as a share of the image (method.md 5, 9.1)."""
    return bounded(raw, *limits)


def ink_slope(raw: Array) -> Array:
    """Raw number -> slope of a stroke's ink (method.md 5)."""
    return bounded(raw, *INK_SLOPE)


def canvas_slope(raw: Array) -> Array:
    """Raw number -> slope of the canvas (method.md 5)."""
    return bounded(raw, *CANVAS_SLOPE)


def make_heads(features: int, num_points: int, components: int, start: str) -> dict[str, nn.Module]:
    """The heads of posterior, pen and prior by name; sizes do not follow the features, nor values a set."""
    del features, start
    stroke_bias = (0,) * 2 * num_points + (-2,) * 2 * num_points
    return {
        "posterior_presence": Head(128, 1, output_scale=0, output_bias=(2,)),
        "posterior_layout": Head(256, 8, output_scale=0, output_bias=(0,) * 4 + (-2,) * 4),
        "posterior_stroke": Head(256, 4 * num_points, output_scale=0.3, output_bias=stroke_bias),
        "canvas_slope": Head(64, 1, output_scale=0, output_bias=(-1,)),
        "brush": Head(64, 2, output_scale=0, output_bias=(-1, 0)),
        "prior_presence": Head(64, 1, output_scale=0, output_bias=(1,)),
        "prior_layout": Head(128, 9 * components),
        "prior_stroke": Head(256, 5 * components * num_points),
    }


DIAGONAL = Family(
    presence=presence.log_probs,
    layout_posterior=layout_gaussian,
    stroke_posterior=stroke_gaussian,
    layout_prior=layout_mixture,
    stroke_prior=stroke_mixture,
    sample_and_log_prob=gaussian.sample_and_log_prob,
    mixture_log_prob=mixture.log_prob,
    mixture_sample=mixture.sample,
    mixture_narrowed=mixture.narrowed,
)
