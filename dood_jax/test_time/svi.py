"""Stochastic variational inference at test time: a posterior fitted to one image (method.md 10.11).

Nothing is learned. The strokes that the recognition network found become the means of Gaussians, of the kind
that iterative inference ends in, whose means, widths and brushes are moved to raise the bound of that image
alone. The number of strokes stays: a posterior that is sure of it is as valid a proposal as any, so the
K-particle bound with it lies below log p(x) as well.
"""

from typing import Generic, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.model import brush_latents, iterative_inference
from dood_jax.model.brush_latents import STROKE_NUMBERS
from dood_jax.model.dood import bind
from dood_jax.model.drawing import prior_log_probs, replay
from dood_jax.model.families import within_limits
from dood_jax.model.guidance import PriorContext
from dood_jax.model.iterative_inference import IteratedPosterior
from dood_jax.model.networks import Params
from dood_jax.model.renderer import canvas_of
from dood_jax.objectives.brush_code import BrushCode
from dood_jax.objectives.elbo import log_likelihood, masked_log_prob
from dood_jax.objectives.iwae import LogWeights, charged, log_weights_of
from dood_jax.test_time.optimize import POINT_RATE, brush_rates, descend
from dood_jax.types import Array, BrushParams, Leaf, StrokeLatents

_LAYOUT_RATE, _LOG_WIDTH_RATE = 2e-3, 0.1  # of Adam, at the first step
_RAW_BRUSH_WIDTH = -3.0  # of the brush's Gaussians at first
_POINT_WIDTH, _LAYOUT_WIDTH = 0.002, 0.05  # of the Gaussians at first


class OptimizedPosterior(NamedTuple):
    """Certain bits, and Gaussians for all else of a drawing."""

    presence: Array  # [T] bits
    gaussians: IteratedPosterior


class _Parameters(NamedTuple, Generic[Leaf]):
    """What the gradient moves: means, logarithms of widths, and brushes within their limits."""

    layout: Leaf
    points: Leaf
    log_layout_width: Leaf
    log_point_width: Leaf
    brush: BrushParams[Leaf]
    # [T + 1, 4] of strokes and, in the last row, of the canvas; None where the brush is free.
    raw_brush_width: Leaf | None


def optimize_posterior(
    config: ModelConfig,
    params: Params,
    image: Array,
    strokes: StrokeLatents,
    brush: BrushParams,
    key: Array,
    num_steps: int,
) -> OptimizedPosterior:
    """Raises the one-sample bound of a [H, W] image from an inferred drawing, by Adam with a cosine.

    On the way the prior's view of the canvas is that of the drawing at the start; bounds are taken with the
    true one.

    Args:
      config: of the model that drew, whose `likelihood_scale` is the one that counts.
      params: its parameters.
      image: to be drawn.
      strokes: inferred for it, T of them.
      brush: of each stroke.
      key: consumed.
      num_steps: gradient steps.
    """
    contexts = replay(config, params, strokes, brush).contexts
    start = _Parameters(
        strokes.layout,
        geometry.place_strokes(strokes.layout, strokes.control_points),
        jnp.full_like(strokes.layout, jnp.log(_LAYOUT_WIDTH)),
        jnp.full_like(strokes.control_points, jnp.log(_POINT_WIDTH)),
        brush,
        jnp.full((len(strokes.presence) + 1, STROKE_NUMBERS), _RAW_BRUSH_WIDTH)
        if config.has_latent_brush
        else None,
    )
    width_rate = _LOG_WIDTH_RATE
    rates = _Parameters(
        _LAYOUT_RATE,
        POINT_RATE,
        width_rate,
        width_rate,
        brush_rates(brush),
        width_rate if config.has_latent_brush else None,
    )
    loss = lambda moved, key: (
        -_bound(config, params, image, contexts, _posterior(strokes.presence, moved), key)
    )
    found = descend(
        jax.grad(loss),
        start,
        rates,
        jax.random.split(key, num_steps),
        project=lambda moved: moved._replace(brush=within_limits(config, moved.brush, brush)),
    )
    return _posterior(strokes.presence, found)


def optimized_log_weights(
    config: ModelConfig,
    params: Params,
    image: Array,
    posterior: OptimizedPosterior,
    key: Array,
    num_particles: int,
    code: BrushCode | None = None,
) -> LogWeights:
    """The log-weights of K drawings of a [H, W] image from its own posterior, in turn; consumes the key.

    A `code` rounds and charges the brush.
    """
    gaussians, price = charged(config, code, posterior.gaussians, posterior.presence)
    posterior = posterior._replace(gaussians=gaussians)

    def one(key):
        strokes, brush, log_posterior = _sample(posterior, key)
        replayed = replay(config, params, strokes, brush)
        prior = prior_log_probs(config, params, replayed.contexts, strokes, brush)
        canvas = canvas_of(config, replayed.ink.sum(0), brush.canvas_slope)
        log_prior = masked_log_prob(prior, strokes.presence, replayed.final_stop)
        log_ratio = log_prior - log_posterior + price
        return log_weights_of(config, params, image, canvas, log_ratio, strokes.presence.sum())

    return lax.map(one, jax.random.split(key, num_particles))


def _bound(
    config: ModelConfig,
    params: Params,
    image: Array,
    contexts: PriorContext,
    posterior: OptimizedPosterior,
    key: Array,
) -> Array:
    """[] one-sample bound but for a constant, with what the prior knows held."""
    strokes, brush, log_posterior = _sample(posterior, key)
    canvas = bind(config, params).finished_canvas(strokes, brush)
    prior = prior_log_probs(config, params, contexts, strokes, brush)
    log_prior = masked_log_prob(prior, strokes.presence)
    return log_likelihood(config, params, image, canvas) + log_prior - log_posterior


def _sample(posterior: OptimizedPosterior, key: Array) -> tuple[StrokeLatents, BrushParams, Array]:
    """One drawing and its [] log-density; the bits are certain."""
    presence = posterior.presence
    strokes, brush, *log_densities = iterative_inference.sample(posterior.gaussians, presence, key)
    return strokes, brush, (sum(part for part in log_densities if part is not None) * presence).sum()


def _posterior(presence: Array, moved: _Parameters[Array]) -> OptimizedPosterior:
    of_brush, widths = None, moved.raw_brush_width
    if widths is not None:
        of_brush = brush_latents.around(moved.brush, widths[:-1], widths[-1, 0])
    gaussians = IteratedPosterior(
        Gaussian(moved.layout, jnp.exp(moved.log_layout_width)),
        Gaussian(moved.points, jnp.exp(moved.log_point_width)),
        moved.brush,
        of_brush,
    )
    return OptimizedPosterior(presence, gaussians)
