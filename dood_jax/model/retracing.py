"""Given strokes, drawn one after the other without a target, and weighed under the prior (method.md 4)."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dood_jax.config.model import ModelConfig
from dood_jax.model.guidance import PriorContext
from dood_jax.model.networks import Params, bind, where_prior_learns
from dood_jax.model.parts import parts_of
from dood_jax.model.stroke import canvas_before, ink_stroke, scan_from_blank, weigh_final_stop, weigh_stroke
from dood_jax.types import Array, BrushParams, StrokeLatents, StrokeLogProbs


class Retraced(NamedTuple):
    """Given strokes, drawn one after the other: what weighing them under the prior needs."""

    ink: Array  # [T, H, W] of each stroke, blank where presence is 0
    situations: PriorContext  # before each stroke, [T, ...]
    final_stop: Array  # [] prior log-probability that no stroke follows, if weighed


def retrace(
    config: ModelConfig,
    params: Params,
    strokes: StrokeLatents,
    brush: BrushParams,
    prior_learns: Array | bool = True,
) -> Retraced:
    """Draws given strokes of one drawing, without looking at a target.

    Args:
      config: the model.
      params: its parameters.
      strokes: T of them.
      brush: pens of each stroke.
      prior_learns: [] whether the prior's networks get a gradient.
    """
    parts = parts_of(config)

    def step(state, inputs):
        is_first, stroke, ink_width, ink_slope = inputs
        nets = bind(config, params)
        canvas = canvas_before(config, state)
        view = parts.guidance.observe_canvas(nets, canvas)
        state = parts.recognition.advance(nets, state, view.features)
        glimpse = parts.guidance.look_at_canvas(nets, canvas, stroke.layout)
        situation = PriorContext(state.layout_hidden, state.stroke_hidden, view.for_prior, glimpse)
        pen = BrushParams(ink_width, ink_slope, brush.canvas_slope)
        state, ink = ink_stroke(nets, state, is_first, stroke, pen)
        return state, (ink, situation)

    is_first = jnp.arange(strokes.presence.shape[0]) == 0
    inputs = (is_first, strokes, brush.ink_width, brush.ink_slope)
    final, (ink, situations) = scan_from_blank(config, step, inputs)
    stop = lambda params, final: weigh_final_stop(
        parts, bind(config, params), parts.guidance.observe_canvas, final
    )
    return Retraced(ink, situations, where_prior_learns(prior_learns, stop, params, final))


def weigh_under_prior(
    config: ModelConfig,
    params: Params,
    situations: PriorContext,
    strokes: StrokeLatents,
    learns: Array | bool = True,
) -> StrokeLogProbs:
    """[T] prior log-probabilities of the strokes of one drawing, all at once (method.md 4).

    Where `learns` is 0 the prior gets no gradient, neither its own networks nor what it knows of the drawing
    so far; the strokes still do.
    """

    def weighed(params, situations):
        weigh = functools.partial(weigh_stroke, parts_of(config), bind(config, params))
        return jax.vmap(weigh)(situations, strokes)

    return where_prior_learns(learns, weighed, params, situations)
