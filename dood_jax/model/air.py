"""The recognition model of Attend, Infer, Repeat: where a piece is, then what it is (method.md 9.5).

Ten numbers, which stand as control points, say what it is. With `model.guidance=residual` the networks see
what is still to be drawn (Difference-AIR), with `none` the image (AIR). There is no pen.
"""

import jax.numpy as jnp

from dood_jax.distributions import gaussian, presence
from dood_jax.model.guidance import Guidance
from dood_jax.model.networks import Networks
from dood_jax.model.recognition import PosteriorStep, StepInputs
from dood_jax.model.state import StrokeState
from dood_jax.networks import air_heads
from dood_jax.networks.heads import Family
from dood_jax.types import Array, BrushParams, StrokeLatents, StrokeLogProbs


def advance(nets: Networks, state: StrokeState, seen: tuple[Array, ...]) -> StrokeState:
    """Nothing: the prior is fixed and shares no recurrent state."""
    del nets, seen
    return state


def decide(
    guidance: Guidance, family: Family, nets: Networks, turn: StepInputs
) -> tuple[StrokeState, PosteriorStep]:
    """Samples one piece, moving the recurrent states on the way (`Recognition.decide`)."""
    del guidance, family
    state = turn.state
    last = [state.presence[None], state.layout, state.control_points.reshape(-1)]
    layout_hidden = nets.layout_rnn(state.layout_hidden, jnp.concatenate([*last, *turn.observation.layout]))
    raw = nets.posterior_presence_layout([layout_hidden])
    on, off = presence.log_probs(raw[0])
    bit = jnp.ones(()) if turn.hold_presence else (turn.noise.presence < jnp.exp(on)).astype(on.dtype)
    layouts = air_heads.layout_gaussian(raw[1:])
    layout, log_q_layout = gaussian.sample_and_log_prob(layouts, turn.noise.layout)
    glimpse = turn.look(layout)
    stroke_hidden = nets.stroke_rnn(state.stroke_hidden, jnp.concatenate(glimpse.features))
    codes = air_heads.code_gaussian(nets.posterior_stroke([stroke_hidden]))
    code, log_q_code = gaussian.sample_and_log_prob(codes, turn.noise.control_points)
    none = jnp.ones_like(on)
    state = state._replace(layout_hidden=layout_hidden, stroke_hidden=stroke_hidden)
    return state, PosteriorStep(
        StrokeLatents(bit * state.presence, layout, code),
        BrushParams(none, none, none),
        StrokeLogProbs(on, off, log_q_layout, log_q_code),
        (layouts, codes),
        glimpse.for_prior,
    )
