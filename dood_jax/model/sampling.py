"""Whole drawings sampled from the prior: from nothing, or going on from the first strokes of another.

A model is a pair (config, params); callers vmap these functions over drawings.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.model.dood import bind
from dood_jax.model.networks import Params
from dood_jax.model.prior import LEARNED, PriorNoise, Spread, prior_noise
from dood_jax.model.stroke import StrokeState, initial_state
from dood_jax.types import Array, BrushParams, StrokeLatents


def sample(
    config: ModelConfig,
    params: Params,
    brush: BrushParams | None,
    key: Array,
    num_strokes: int | None = None,
    spread: Spread = LEARNED,
) -> tuple[StrokeLatents, BrushParams]:
    """Generates one drawing by ancestral sampling from the prior (method.md 4, 10.5).

    Args:
      config: the model.
      params: its parameters.
      brush: scalars: one brush for all strokes. None if the model has a prior of brushes, to sample them.
      key: consumed.
      num_strokes: most strokes, T; as trained if None.
      spread: how far samples stray from the means of the prior's mixtures.
    """
    noise = noise_of_strokes(config, key, num_strokes or config.num_strokes)
    return sample_from_noise(config, params, brush, noise, spread)


def noise_of_strokes(config: ModelConfig, key: Array, num_strokes: int) -> PriorNoise:
    """[T, ...] randomness of so many strokes of the prior; consumes the key."""
    return jax.vmap(functools.partial(prior_noise, config))(jax.random.split(key, num_strokes))


def sample_from_noise(
    config: ModelConfig,
    params: Params,
    brush: BrushParams | None,
    noise: PriorNoise,
    spread: Spread = LEARNED,
) -> tuple[StrokeLatents, BrushParams]:
    """`sample` with its randomness given, [T, ...] of each kind."""
    state = initial_state(config)
    if brush is not None:
        state = state._replace(canvas_slope=jnp.asarray(brush.canvas_slope))
    return extend(config, params, state, brush, noise, spread)


def extend(
    config: ModelConfig,
    params: Params,
    state: StrokeState,
    brush: BrushParams | None,
    noise: PriorNoise,
    spread: Spread = LEARNED,
) -> tuple[StrokeLatents, BrushParams]:
    """Up to T further strokes of a drawing, sampled from the prior, and their brush (method.md 10.8).

    `noise` is [T, ...] of each kind. The canvas keeps its slope, if it has a stroke; see `sample` for the
    other arguments.
    """
    model = bind(config, params)
    step = lambda state, noise: model.sample_stroke(state, brush, spread, noise)
    final, (strokes, of_strokes) = lax.scan(step, state, noise)
    return strokes, of_strokes._replace(canvas_slope=final.canvas_slope)


def state_after(
    config: ModelConfig, params: Params, strokes: StrokeLatents, brush: BrushParams, count: Array
) -> StrokeState:
    """The state after the first `count` strokes of one drawing, as if it went on (method.md 10.8).

    Args:
      config: the model.
      params: its parameters.
      strokes: T of them; at least `count` are drawn.
      brush: of each stroke.
      count: [] from 0, the initial state, to T.
    """
    model = bind(config, params)

    def step(state, inputs):
        stroke, own = inputs
        state = model.skip_to_next(state, stroke, own._replace(canvas_slope=brush.canvas_slope))
        return state, state

    start = initial_state(config)._replace(canvas_slope=brush.canvas_slope)
    states = lax.scan(step, start, (strokes, brush._replace(canvas_slope=None)))[1]
    with_start = lambda first, later: jnp.concatenate([first[None], later])[count]
    return jax.tree_util.tree_map(with_start, start, states)
