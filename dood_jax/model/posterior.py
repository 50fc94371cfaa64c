"""One step of the recognition model: is there a stroke, where, which, and with what pen (method.md 5)."""

import jax.numpy as jnp

from dood_jax.model.guidance import Guidance
from dood_jax.model.networks import Networks
from dood_jax.model.recognition import PosteriorStep, StepInputs
from dood_jax.model.renderer import ink_width_limits
from dood_jax.model.state import StrokeState
from dood_jax.networks import heads
from dood_jax.networks.heads import Family
from dood_jax.types import Array, BrushParams, StrokeLatents, StrokeLogProbs


def advance(nets: Networks, state: StrokeState, seen: tuple[Array, ...]) -> StrokeState:
    """One step of both recurrent networks on the last stroke and what is seen of the canvas (method.md 4)."""
    last_points = state.control_points.reshape(-1)
    layout_input = jnp.concatenate([state.layout, *seen])
    stroke_input = jnp.concatenate([last_points, *seen])
    return state._replace(
        layout_hidden=nets.layout_rnn(state.layout_hidden, layout_input),
        stroke_hidden=nets.stroke_rnn(state.stroke_hidden, stroke_input),
    )


def decide(
    guidance: Guidance, family: Family, nets: Networks, turn: StepInputs
) -> tuple[StrokeState, PosteriorStep]:
    """Samples one stroke given target, canvas and the recurrent states, which stay (`Recognition.decide`)."""
    state, observation = turn.state, turn.observation
    on, off = family.presence(nets.posterior_presence(observation.presence)[0])
    bit = jnp.ones(()) if turn.hold_presence else (turn.noise.presence < jnp.exp(on)).astype(on.dtype)
    layouts = family.layout_posterior(nets.posterior_layout([state.layout_hidden, *observation.layout]))
    layout, log_q_layout = family.sample_and_log_prob(layouts, turn.noise.layout)
    glimpse = turn.look(layout)
    seen = [state.stroke_hidden, *glimpse.features]
    strokes = family.stroke_posterior(nets.posterior_stroke(seen))
    control_points, log_q_stroke = family.sample_and_log_prob(strokes, turn.noise.control_points)
    pen = nets.brush([*seen, layout])
    slope = nets.canvas_slope(guidance.for_canvas_slope(observation, state.layout_hidden))
    brush = BrushParams(
        ink_width=heads.ink_width(pen[0], ink_width_limits(nets.config)),
        ink_slope=heads.ink_slope(pen[1]),
        canvas_slope=heads.canvas_slope(slope[0]),
    )
    return state, PosteriorStep(
        StrokeLatents(bit * state.presence, layout, control_points),
        brush,
        StrokeLogProbs(on, off, log_q_layout, log_q_stroke),
        (layouts, strokes),
        glimpse.for_prior,
    )
