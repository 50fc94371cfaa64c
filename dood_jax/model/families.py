"""What the raw outputs of heads mean: Gaussians for the posterior, mixtures of them for the prior, brushes.

A family says which heads a model has and how their outputs are read. `Diagonal` is that of the fast model;
`published.Correlated` that of the published one.
"""

import math
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dood_jax.config.model import ModelConfig
from dood_jax.distributions import presence
from dood_jax.distributions.gaussian import (
    AnyGaussian,
    AnyMixture,
    CorrelatedGaussian,
    CorrelatedMixture,
    Gaussian,
    Mixture,
)
from dood_jax.model.networks import GRUCell, Head, bounded, unbounded
from dood_jax.types import Array, BrushParams

LAYOUT_LOW = np.array([-0.8, -0.8, 0.25, -np.pi / 4])  # ranges of a layout (method.md 4)
LAYOUT_HIGH = np.array([0.8, 0.8, 1.0, np.pi / 4])
POINT_LOW, POINT_HIGH = -0.2, 1.2  # range of a control point's mean (method.md 4)
INK_WIDTH, INK_SLOPE, CANVAS_SLOPE = (0.005, 0.04), (0.1, 0.9), (0.1, 1.5)  # of a brush (method.md 5)
TAPER = (-1.2, 1.2)
_UNSEEN = 1e-4  # weight of what the prior's networks have never seen
INK_WIDTH_IN_WINDOW = (0.01, 0.04)  # of a brush that draws in the stroke's own frame


class PosteriorHeads(NamedTuple):
    """The heads of DooD's recognition model; each takes vectors and gives raw numbers."""

    presence: nn.Module
    layout: nn.Module
    stroke: nn.Module
    canvas_slope: nn.Module
    brush: nn.Module  # ink width and ink slope; where the brush is latent, taper and four widths too


class PriorHeads(NamedTuple):
    """The heads of the sequential prior."""

    presence: nn.Module
    layout: nn.Module
    stroke: nn.Module


class Family(Protocol):
    """Heads, and what their outputs mean; P is the number of control points, M that of components."""

    def posterior_heads(self, config: ModelConfig) -> PosteriorHeads:
        """The heads of the posterior and the brush."""

    def prior_heads(self, config: ModelConfig) -> PriorHeads:
        """The heads of the prior."""

    def cell(self, features: int) -> GRUCell:
        """A recurrent cell with so many features."""

    def presence(self, raw: Array) -> tuple[Array, Array]:
        """Raw number -> log-probabilities of on and off."""

    def layout_posterior(self, raw: Array) -> AnyGaussian:
        """Raw numbers -> a Gaussian over [4] layouts."""

    def stroke_posterior(self, raw: Array) -> AnyGaussian:
        """Raw numbers -> a Gaussian over [P, 2] control points."""

    def layout_prior(self, raw: Array) -> AnyMixture:
        """Raw numbers -> a mixture over [4] layouts."""

    def stroke_prior(self, raw: Array, num_points: int) -> AnyMixture:
        """Raw numbers -> a mixture over each of [P, 2] control points."""


class Diagonal:
    """Gaussians without correlations, and small heads whose sizes do not follow the number of features."""

    def posterior_heads(self, config: ModelConfig) -> PosteriorHeads:
        """The heads of the posterior and the brush."""
        stroke_bias = (0,) * 2 * config.num_points + (-2,) * 2 * config.num_points
        of_canvas: tuple[float, ...] = (-1,)
        of_stroke: tuple[float, ...] = (-1, 0)
        if config.has_latent_brush:  # then there is a taper too, and each number has a width
            of_canvas, of_stroke = (*of_canvas, -2), (*of_stroke, 0, 0, -2, -2, -2, -2)
        return PosteriorHeads(
            presence=Head(128, 1, output_scale=0, output_bias=(2,)),
            layout=Head(256, 8, output_scale=0, output_bias=(0,) * 4 + (-2,) * 4),
            stroke=Head(256, 4 * config.num_points, output_scale=0.3, output_bias=stroke_bias),
            canvas_slope=Head(64, len(of_canvas), output_scale=0, output_bias=of_canvas),
            brush=Head(64, len(of_stroke), output_scale=0, output_bias=of_stroke),
        )

    def prior_heads(self, config: ModelConfig) -> PriorHeads:
        """The heads of the prior."""
        return PriorHeads(
            presence=Head(64, 1, output_scale=0, output_bias=(1,)),
            layout=Head(128, 9 * config.components),
            stroke=Head(256, 5 * config.components * config.num_points),
        )

    def cell(self, features: int) -> GRUCell:
        """A recurrent cell with LeCun's initial values."""
        return GRUCell(features)

    def presence(self, raw: Array) -> tuple[Array, Array]:
        """Raw number, a logit -> log-probabilities of on and off."""
        return presence.log_probs(raw)

    def layout_posterior(self, raw: Array) -> Gaussian:
        """[8] raw numbers -> the posterior of a layout; raw zeros are most of the canvas, unturned."""
        start = jnp.array([0, 0, 1, 0], raw.dtype)
        return Gaussian(bounded(raw[:4] + start, LAYOUT_LOW, LAYOUT_HIGH), bounded(raw[4:], 1e-3, 0.5))

    def stroke_posterior(self, raw: Array) -> Gaussian:
        """[4 P] raw numbers -> the posterior of [P, 2] control points."""
        mean, scale = raw.reshape(2, -1, 2)
        return Gaussian(bounded(mean, POINT_LOW, POINT_HIGH), bounded(scale, 1e-3, 0.5))

    def layout_prior(self, raw: Array) -> Mixture:
        """[9 M] raw numbers -> the prior of a layout."""
        return mixture(raw, 4, LAYOUT_LOW, LAYOUT_HIGH)

    def stroke_prior(self, raw: Array, num_points: int) -> Mixture:
        """[5 M P] raw numbers -> the prior of each control point, [P, M] components."""
        return mixture(raw.reshape(num_points, -1), 2, POINT_LOW, POINT_HIGH)


DIAGONAL = Diagonal()


def mixture(raw: Array, size: int, low: np.ndarray | float, high: np.ndarray | float) -> Mixture:
    """Splits [..., M (1 + 2 size)] raw numbers into logits, means and scales."""
    components = raw.shape[-1] // (1 + 2 * size)
    logits, mean, scale = jnp.split(raw, [components, components * (1 + size)], axis=-1)
    shape = (*raw.shape[:-1], components, size)
    mean = bounded(mean.reshape(shape), low, high)
    return Mixture(logits, mean, jax.nn.softplus(scale.reshape(shape) - 1) + 1e-2)


def correlated_mixture(raw: Array, low: np.ndarray | float, high: np.ndarray | float) -> CorrelatedMixture:
    """Reads [..., 6 M] raw numbers as a mixture over pairs: logits, means, scales, couplings.

    No component is broader than a quarter of the range of the means. One more, as broad as that in the middle
    of the range and of little weight, keeps what the network has never seen from being all but impossible
    (method.md 9.7).

    Args:
      raw: what a network says.
      low: of the means, broadcast against [..., M, 2].
      high: the same.
    """
    components = raw.shape[-1] // 6
    logits, mean, scale, coupling = jnp.split(raw, np.array([1, 3, 5]) * components, axis=-1)
    pairs = lambda numbers: numbers.reshape(*raw.shape[:-1], components, 2)
    one = (*raw.shape[:-1], 1, 2)
    middle, broad = (jnp.broadcast_to(part, one) for part in ((low + high) / 2, (high - low) / 4))
    scale = jnp.minimum(jax.nn.softplus(pairs(scale) - 1) + 1e-2, broad)
    # A coupling in units of the second scale: the pair's correlation is c / sqrt(1 + c²).
    coupling = jnp.clip(coupling * scale[..., 1], -broad[..., 1], broad[..., 1])
    rare = jax.nn.logsumexp(logits, axis=-1, keepdims=True) + math.log(_UNSEEN / (1 - _UNSEEN))
    join = lambda *parts, axis: jnp.concatenate(parts, axis=axis)
    gaussians = CorrelatedGaussian(
        join(bounded(pairs(mean), low, high), middle, axis=-2),
        join(scale, broad, axis=-2),
        join(coupling, jnp.zeros_like(rare), axis=-1),
    )
    return CorrelatedMixture(join(logits, rare, axis=-1), gaussians)


def brush_limits(config: ModelConfig) -> BrushParams[tuple[float, float]]:
    """(low, high) of every number of a brush.

    Where the image of a stroke is placed, its ink width is that in the window, which shrinks with it
    (method.md 5, 9.1).
    """
    ink_width = INK_WIDTH_IN_WINDOW if config.placement == "glimpse" else INK_WIDTH
    return BrushParams(ink_width, INK_SLOPE, CANVAS_SLOPE, TAPER if config.has_latent_brush else None)


def brush_of(config: ModelConfig, raw: BrushParams[Array]) -> BrushParams[Array]:
    """Raw numbers -> the brush within its limits (method.md 5)."""
    return jax.tree_util.tree_map(lambda one, limits: bounded(one, *limits), raw, brush_limits(config))


def raw_brush(config: ModelConfig, brush: BrushParams[Array]) -> BrushParams[Array]:
    """The raw numbers that `brush_of` makes a brush of."""
    return jax.tree_util.tree_map(lambda one, limits: unbounded(one, *limits), brush, brush_limits(config))


def within_limits(
    config: ModelConfig, brush: BrushParams[Array], start: BrushParams[Array]
) -> BrushParams[Array]:
    """A brush clipped to the limits that the heads of a model have, and those of what it was changed from.

    A latent brush is sampled, so that `start` may lie beyond the limits of the heads.
    """
    clip = lambda one, old, limits: jnp.clip(one, jnp.minimum(old, limits[0]), jnp.maximum(old, limits[1]))
    return jax.tree_util.tree_map(clip, brush, start, brush_limits(config))
