"""One-shot classification as published: a token of a type fitted to an image by gradient (method.md 10.9).

A token is the type's control points on the canvas, each moved a little, under one map of the whole drawing.
Its score is log p(token | type) a stroke plus log p(image | token); the map has no prior.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.model import variation
from dood_jax.model.dood import bind
from dood_jax.model.drawing import prior_log_probs, replay
from dood_jax.model.networks import Params
from dood_jax.model.renderer import canvas_of
from dood_jax.objectives.elbo import log_likelihood, masked_log_prob
from dood_jax.test_time.optimize import optimize
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
    fix_rotation_units: bool,
) -> Array:
    """[] score of the best token of a parse for a [H, W] image; -inf for a parse without strokes.

    Args:
      config: of the model that drew.
      params: its parameters.
      image: to be explained.
      strokes: the type: one parse of another image.
      brush: of each stroke, which stays.
      num_steps: of Adam.
      fix_rotation_units: the map's angle counts in radians; as published it is taken for degrees.
    """
    model = bind(config, params)
    placed = geometry.place_strokes(strokes.layout, strokes.control_points)
    type_of_points = Gaussian(placed, jnp.full_like(placed, _POINT_DEVIATION))
    identity = jnp.broadcast_to(geometry.IDENTITY_LAYOUT, strokes.layout.shape)
    count = strokes.presence.sum()

    def score(token: Token) -> Array:
        params_of_map = variation.token_params(token.raw, variation.ONE_SHOT)
        matrix = variation.token_matrix(params_of_map, fix_rotation_units)
        moved = StrokeLatents(strokes.presence, identity, geometry.place_points(matrix, token.points))
        canvas = model.finished_canvas(moved, brush)
        apart = jax.vmap(Gaussian.log_prob)(type_of_points, token.points)
        of_token = (apart * strokes.presence).sum() / jnp.maximum(count, 1)
        return of_token + log_likelihood(config, params, image, canvas)

    start = Token(placed, jnp.zeros(7))
    loss = lambda token, _: -score(token)
    fitted = optimize(loss, start, _RATE, jnp.arange(num_steps), last_fraction=1.0)
    return jnp.where(count > 0, score(fitted), -jnp.inf)


def log_joint(
    config: ModelConfig, params: Params, image: Array, strokes: StrokeLatents, brush: BrushParams
) -> Array:
    """[] log p(image, drawing) of a [H, W] image and one drawing of it."""
    replayed = replay(config, params, strokes, brush)
    prior = prior_log_probs(config, params, replayed.contexts, strokes)
    canvas = canvas_of(config, replayed.ink.sum(0), brush.canvas_slope)
    of_drawing = masked_log_prob(prior, strokes.presence, replayed.final_stop)
    return of_drawing + log_likelihood(config, params, image, canvas)


def over_parses(scores: Array, log_weights: Array) -> Array:
    """Log Σ_k w_k exp(score_k) over the last axis, with w the softmax of the parses' log-weights."""
    return jax.nn.logsumexp(scores + jax.nn.log_softmax(log_weights, -1), -1)
