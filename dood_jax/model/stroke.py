"""One stroke at a time: look at the canvas, decide, draw; and the scan that does so from a blank canvas."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.model.guidance import CanvasView, Observation, PriorContext
from dood_jax.model.networks import Networks
from dood_jax.model.parts import Parts
from dood_jax.model.recognition import PosteriorStep, StepInputs, StrokeNoise
from dood_jax.model.renderer import canvas_of, make_renderer
from dood_jax.model.state import StrokeState, initial_state
from dood_jax.types import Array, BaselineInputs, BrushParams, StrokeLatents, StrokeLogProbs


def scan_from_blank(config: ModelConfig, step: Callable, inputs: Any) -> tuple[StrokeState, Any]:
    """`lax.scan` of a step over strokes from the initial state, with the first stroke apart.

    The blank canvas and all that is computed from it alone then have no batch axis: under `vmap` it is
    computed once for all images.
    """
    first, later = (
        jax.tree_util.tree_map(lambda one, part=part: one[part], inputs) for part in (0, slice(1, None))
    )
    state, first = step(initial_state(config), first)
    state, later = lax.scan(step, state, later, unroll=max(config.unroll - 1, 1))
    join = lambda first, later: jnp.concatenate([first[None], later])
    return state, jax.tree_util.tree_map(join, first, later)


def canvas_before(config: ModelConfig, state: StrokeState) -> Array:
    """[H, W] what has been drawn before a stroke, without gradient."""
    return lax.stop_gradient(canvas_of(config, state.ink_sum, state.canvas_slope))


def draw_stroke(
    parts: Parts,
    nets: Networks,
    target: Any,
    state: StrokeState,
    is_first: Array,
    noise: StrokeNoise,
    hold_presence: bool,
) -> tuple[StrokeState, tuple[PosteriorStep, Array, PriorContext, BaselineInputs]]:
    """One stroke: look at the canvas, decide, draw.

    Returns:
      The state after it; the step, its ink, what the prior must know, and what a baseline may.
    """
    canvas = canvas_before(nets.config, state)
    observation = parts.guidance.observe(nets, target, canvas)
    state = parts.recognition.advance(nets, state, observation.canvas.features)
    look = functools.partial(parts.guidance.look, nets, target, canvas)
    turn = StepInputs(observation, look, state, noise, hold_presence)
    state, step = parts.recognition.decide(parts.guidance, parts.family, nets, turn)
    situation = PriorContext(
        state.layout_hidden, state.stroke_hidden, observation.canvas.for_prior, step.glimpse
    )
    takes_slope = is_first if parts.guidance.SLOPE_IS_OF_FIRST_STROKE else jnp.ones((), bool)
    state, ink = ink_stroke(nets, state, takes_slope, step.stroke, step.brush)
    return state, (step, ink, situation, _seen(observation))


def _seen(observation: Observation) -> BaselineInputs:
    """Without gradient."""
    target = observation.target_features
    canvas = jnp.concatenate([target[:0], *observation.canvas.features])
    return lax.stop_gradient(BaselineInputs(target, canvas))


def weigh_stroke(
    parts: Parts, nets: Networks, situation: PriorContext, stroke: StrokeLatents
) -> StrokeLogProbs:
    """Log-probabilities of one stroke under the prior."""
    return parts.prior.log_probs(parts.guidance, parts.family, nets, situation, stroke)


def ink_stroke(
    nets: Networks, state: StrokeState, takes_slope: Array, stroke: StrokeLatents, brush: BrushParams
) -> tuple[StrokeState, Array]:
    """Renders one stroke and passes it on, with its canvas slope where that is to hold (method.md 3.11)."""
    render = make_renderer(nets)
    ink = render(stroke.layout, stroke.control_points, brush.ink_width, brush.ink_slope) * stroke.presence
    state = state._replace(
        presence=stroke.presence,
        layout=stroke.layout,
        control_points=stroke.control_points,
        ink_sum=state.ink_sum + lax.stop_gradient(ink),
        canvas_slope=jnp.where(takes_slope, brush.canvas_slope, state.canvas_slope),
    )
    return state, ink


def weigh_final_stop(
    parts: Parts, nets: Networks, observe: Callable[[Networks, Array], CanvasView], state: StrokeState
) -> Array:
    """[] log-probability under the prior that no stroke follows the last, where the model weighs it."""
    if not nets.config.final_stop:
        return jnp.zeros(())
    view = observe(nets, canvas_before(nets.config, state))
    state = parts.recognition.advance(nets, state, view.features)
    situation = PriorContext(state.layout_hidden, state.stroke_hidden, view.for_prior, None)
    return parts.prior.presence_log_probs(parts.guidance, parts.family, nets, situation)[1]
