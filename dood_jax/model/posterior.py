"""One step of the recognition model: is there a stroke, where, which, and with what pen (method.md 5)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dood_jax.distributions import gaussian, presence
from dood_jax.model import guidance
from dood_jax.model.networks import Networks
from dood_jax.model.state import StrokeState
from dood_jax.networks import heads
from dood_jax.types import Array, BrushParams, StrokeLatents, StrokeLogProbs


class PosteriorStep(NamedTuple):
    """A stroke sampled from the posterior."""

    stroke: StrokeLatents  # of one stroke: no T axis
    brush: BrushParams  # of one stroke; its canvas slope is used at the first step only
    log_probs: StrokeLogProbs
    glimpse: guidance.Glimpse


def posterior_step(
    nets: Networks,
    target: guidance.Target,
    observation: guidance.Observation,
    state: StrokeState,
    key: Array,
    hold_presence: bool,
) -> PosteriorStep:
    """Samples one stroke given target, canvas and the recurrent states, already advanced.

    With `hold_presence` the bit stays on, for objectives that sum over stopping times; consumes the key.
    """
    key_presence, key_layout, key_stroke = jax.random.split(key, 3)
    image_features, ratio = observation.image_features, observation.residual_ratio
    on, off = presence.log_probs(nets.posterior_presence([image_features, ratio])[0])
    bit = (
        jnp.ones(()) if hold_presence else jax.random.bernoulli(key_presence, jnp.exp(on)).astype(jnp.float32)
    )
    layout_params = heads.layout_gaussian(nets.posterior_layout([state.layout_hidden, image_features, ratio]))
    layout, log_q_layout = gaussian.sample_and_log_prob(layout_params, key_layout)
    glimpse = guidance.look(nets, target, state.canvas, layout)
    seen = [state.stroke_hidden, glimpse.features]
    stroke_params = heads.stroke_gaussian(nets.posterior_stroke(seen))
    control_points, log_q_stroke = gaussian.sample_and_log_prob(stroke_params, key_stroke)
    pen = nets.brush([*seen, layout])
    brush = BrushParams(
        ink_width=heads.ink_width(pen[0]),
        ink_slope=heads.ink_slope(pen[1]),
        canvas_slope=heads.canvas_slope(nets.canvas_slope([image_features])[0]),
    )
    stroke = StrokeLatents(bit * state.presence, layout, control_points)
    return PosteriorStep(stroke, brush, StrokeLogProbs(on, off, log_q_layout, log_q_stroke), glimpse)
