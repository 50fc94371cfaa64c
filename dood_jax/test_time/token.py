"""One-shot classification as published: a token of a type fitted to an image by gradient (method.md 10.9).

A token is the type's control points on the canvas, each moved a little, under one map of the whole drawing.
Its score is log p(token | type) a stroke plus log p(image | token); the map has no prior.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.distributions import gaussian
from dood_jax.model import dood, second_look, token
from dood_jax.model.networks import Params, bind
from dood_jax.model.renderer import finished_canvas
from dood_jax.objectives.elbo import log_likelihood, masked_log_prob
from dood_jax.rendering import compositing
from dood_jax.types import Array, BrushParams, StrokeLatents

_POINT_DEVIATION = 0.001  # of the control points of a token from those of its type
_RATE = 1e-2  # of Adam


class Token(NamedTuple):
    """What is fitted."""

    points: Array  # [T, P, 2] on the canvas, before the map
    raw: Array  # [7] of the map, zeros for none


def token_score(
    config: ModelConfig,
    params: Params,
    image: Array,
    strokes: StrokeLatents,
    brush: BrushParams,
    num_steps: int,
    turned: bool,
) -> Array:
    """[] score of the best token of a parse for a [H, W] image; -inf for a parse without strokes.

    Args:
      config: of the model that drew.
      params: its parameters.
      image: to be explained.
      strokes: the type: one parse of another image.
      brush: its brushes, which stay.
      num_steps: of Adam.
      turned: the map's angle counts in radians; as published it is taken for degrees.
    """
    placed = second_look.place(strokes)
    type_of_points = gaussian.Gaussian(placed, jnp.full_like(placed, _POINT_DEVIATION))
    unmoved = jnp.broadcast_to(jnp.array([0.0, 0.0, 1.0, 0.0]), strokes.layout.shape)
    count = strokes.presence.sum()

    def score(fitted: Token) -> Array:
        matrix = token.token_matrix(token.token_params(fitted.raw, token.ONE_SHOT), turned)
        moved = StrokeLatents(strokes.presence, unmoved, geometry.place_points(matrix, fitted.points))
        canvas = finished_canvas(bind(config, params), moved, brush)
        apart = jax.vmap(gaussian.log_prob)(type_of_points, fitted.points)
        of_token = (apart * strokes.presence).sum() / jnp.maximum(count, 1)
        return of_token + log_likelihood(config, params, image, canvas)

    adam = optax.adam(_RATE)

    def step(carry, _):
        fitted, state = carry
        updates, state = adam.update(jax.grad(lambda one: -score(one))(fitted), state)
        return (optax.apply_updates(fitted, updates), state), None

    start = Token(placed, jnp.zeros(7))
    (fitted, _), _ = lax.scan(step, (start, adam.init(start)), length=num_steps)
    return jnp.where(count > 0, score(fitted), -jnp.inf)


def log_joint(
    config: ModelConfig, params: Params, image: Array, strokes: StrokeLatents, brush: BrushParams
) -> Array:
    """[] log p(image, drawing) of a [H, W] image and one drawing of it."""
    retraced = dood.retrace(config, params, strokes, brush)
    prior = dood.weigh_under_prior(config, params, retraced.situations, strokes)
    canvas = compositing.composite(retraced.ink.sum(0), brush.canvas_slope)
    of_drawing = masked_log_prob(prior, strokes.presence, retraced.final_stop)
    return of_drawing + log_likelihood(config, params, image, canvas)


def over_parses(scores: Array, log_weights: Array) -> Array:
    """Log Σ_k w_k exp(score_k) over the last axis, with w the softmax of the parses' log-weights."""
    return jax.nn.logsumexp(scores + jax.nn.log_softmax(log_weights, -1), -1)
