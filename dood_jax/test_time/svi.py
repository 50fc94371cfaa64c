"""A posterior fitted to one image: the inferred drawing, corrected by gradient steps (method.md 10.11).

Nothing is learned. The strokes that the recognition network found become the means of Gaussians, of the kind
that further looks give, whose means, widths and brushes climb the bound of that image alone. The number of
strokes stays: a posterior that is sure of it is as valid a proposal as any, so the K-particle bound with it
lies below log p(x) as well.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.model import refinement, second_look
from dood_jax.model.guidance import PriorContext
from dood_jax.model.networks import Params, bind
from dood_jax.model.renderer import canvas_of, finished_canvas
from dood_jax.model.retracing import retrace, weigh_under_prior
from dood_jax.model.second_look import Correction
from dood_jax.objectives.brush_code import BrushCode
from dood_jax.objectives.elbo import log_likelihood, masked_log_prob
from dood_jax.objectives.iwae import LogWeights, charged, log_weights_of
from dood_jax.types import Array, BrushParams, StrokeLatents

_LAYOUT_RATE, _LOG_WIDTH_RATE = 2e-3, 0.1  # of Adam, at the first step
_POINT_WIDTH, _LAYOUT_WIDTH = 0.002, 0.05  # of the Gaussians at first
_LAST_SHARE = 0.1  # of the cosine


class OptimizedPosterior(NamedTuple):
    """Certain bits, and Gaussians for all else of a drawing."""

    presence: Array  # [T] bits
    correction: Correction


class _Climber(NamedTuple):
    """What the gradient moves: means, logarithms of widths, and brushes within their ranges."""

    layout: Array
    points: Array
    log_layout_width: Array
    log_point_width: Array
    brush: BrushParams


_RATES = _Climber(
    _LAYOUT_RATE, refinement.POINT_RATE, _LOG_WIDTH_RATE, _LOG_WIDTH_RATE, refinement.BRUSH_RATES
)


def optimize_posterior(
    config: ModelConfig,
    params: Params,
    image: Array,
    strokes: StrokeLatents,
    brush: BrushParams,
    key: Array,
    num_steps: int,
) -> OptimizedPosterior:
    """Climbs the one-sample bound of a [H, W] image from an inferred drawing, by Adam with a cosine.

    On the way the prior's view of the canvas is that of the drawing at the start; bounds are taken with the
    true one.

    Args:
      config: of the model that drew, whose `likelihood_scale` is the one to climb.
      params: its parameters.
      image: to be drawn.
      strokes: inferred for it, T of them.
      brush: their brushes.
      key: consumed.
      num_steps: gradient steps.
    """
    situations = retrace(config, params, strokes, brush).situations
    start = _Climber(
        strokes.layout,
        second_look.place(strokes),
        jnp.full_like(strokes.layout, jnp.log(_LAYOUT_WIDTH)),
        jnp.full_like(strokes.control_points, jnp.log(_POINT_WIDTH)),
        brush,
    )
    adam = optax.adam(optax.cosine_decay_schedule(1.0, num_steps, _LAST_SHARE))

    def loss(climber, key):
        return -_bound(config, params, image, situations, _posterior(strokes.presence, climber), key)

    def step(carry, key):
        climber, state = carry
        updates, state = adam.update(jax.grad(loss)(climber, key), state)
        moved = jax.tree_util.tree_map(
            lambda value, rate, update: value + rate * update, climber, _RATES, updates
        )
        return (moved._replace(brush=refinement.within_range(config, moved.brush)), state), None

    keys = jax.random.split(key, num_steps)
    (climber, _), _ = lax.scan(step, (start, adam.init(start)), keys)
    return _posterior(strokes.presence, climber)


def optimized_log_weights(
    config: ModelConfig,
    params: Params,
    image: Array,
    posterior: OptimizedPosterior,
    key: Array,
    num_particles: int,
    code: BrushCode | None = None,
) -> LogWeights:
    """Weighs K drawings of a [H, W] image from its refined posterior, in turn; consumes the key.

    A `code` rounds and charges the brush.
    """
    correction, price = charged(config, code, posterior.correction, posterior.presence)
    posterior = posterior._replace(correction=correction)

    def one(key):
        strokes, log_posterior = _sample(posterior, key)
        brush = posterior.correction.brush
        retraced = retrace(config, params, strokes, brush)
        prior = weigh_under_prior(config, params, retraced.situations, strokes)
        canvas = canvas_of(config, retraced.ink.sum(0), brush.canvas_slope)
        log_prior = masked_log_prob(prior, strokes.presence, retraced.final_stop)
        log_ratio = log_prior - log_posterior + price
        return log_weights_of(config, params, image, canvas, log_ratio, strokes.presence.sum())

    return lax.map(one, jax.random.split(key, num_particles))


def _bound(
    config: ModelConfig,
    params: Params,
    image: Array,
    situations: PriorContext,
    posterior: OptimizedPosterior,
    key: Array,
) -> Array:
    """[] one-sample bound but for a constant, with the prior's situations held."""
    strokes, log_posterior = _sample(posterior, key)
    canvas = finished_canvas(bind(config, params), strokes, posterior.correction.brush)
    prior = weigh_under_prior(config, params, situations, strokes)
    log_prior = masked_log_prob(prior, strokes.presence)
    return log_likelihood(config, params, image, canvas) + log_prior - log_posterior


def _sample(posterior: OptimizedPosterior, key: Array) -> tuple[StrokeLatents, Array]:
    """One drawing and its [] log-density; the bits are certain."""
    strokes, log_layout, log_points = second_look.sample(posterior.correction, posterior.presence, key)
    return strokes, ((log_layout + log_points) * posterior.presence).sum()


def _posterior(presence: Array, climber: _Climber) -> OptimizedPosterior:
    correction = Correction(
        Gaussian(climber.layout, jnp.exp(climber.log_layout_width)),
        Gaussian(climber.points, jnp.exp(climber.log_point_width)),
        climber.brush,
    )
    return OptimizedPosterior(presence, correction)
