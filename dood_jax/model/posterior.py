"""One step of the recognition model: is there a stroke, where, which, and with what pen (method.md 5)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dood_jax.model.guidance import Observation
from dood_jax.model.networks import Networks
from dood_jax.model.parts import Parts
from dood_jax.model.renderer import ink_width_limits
from dood_jax.model.state import StrokeState
from dood_jax.networks import heads
from dood_jax.types import Array, BrushParams, StrokeLatents, StrokeLogProbs


class StrokeNoise(NamedTuple):
    """The randomness of one stroke."""

    presence: Array  # [] uniform in 0..1
    layout: Array  # [4] standard normal
    control_points: Array  # [P, 2] standard normal


def stroke_noise(key: Array, num_points: int) -> StrokeNoise:
    """Draws the randomness of one stroke; consumes the key."""
    key_presence, key_latents = jax.random.split(key)
    latents = jax.random.normal(key_latents, (4 + 2 * num_points,))
    presence = jax.random.uniform(key_presence)
    return StrokeNoise(presence, latents[:4], latents[4:].reshape(num_points, 2))


class PosteriorStep(NamedTuple):
    """A stroke sampled from the posterior."""

    stroke: StrokeLatents  # of one stroke: no T axis
    brush: BrushParams  # of one stroke; its canvas slope is used at one step only
    log_probs: StrokeLogProbs
    gaussians: tuple[Any, Any]  # the posteriors of layout and control points
    glimpse: Any  # of the canvas in the window, for the prior


def posterior_step(
    parts: Parts,
    nets: Networks,
    target: Any,
    observation: Observation,
    state: StrokeState,
    noise: StrokeNoise,
    hold_presence: bool,
) -> PosteriorStep:
    """Samples one stroke given target, canvas and the recurrent states, already advanced.

    With `hold_presence` the bit stays on, for objectives that sum over stopping times.
    """
    guidance, family = parts.guidance, parts.family
    on, off = family.presence(nets.posterior_presence(observation.presence)[0])
    bit = jnp.ones(()) if hold_presence else (noise.presence < jnp.exp(on)).astype(on.dtype)
    layouts = family.layout_posterior(nets.posterior_layout([state.layout_hidden, *observation.layout]))
    layout, log_q_layout = family.sample_and_log_prob(layouts, noise.layout)
    glimpse = guidance.look(nets, target, state.canvas, layout)
    seen = [state.stroke_hidden, *glimpse.features]
    strokes = family.stroke_posterior(nets.posterior_stroke(seen))
    control_points, log_q_stroke = family.sample_and_log_prob(strokes, noise.control_points)
    pen = nets.brush([*seen, layout])
    slope = nets.canvas_slope(guidance.for_canvas_slope(observation, state.layout_hidden))
    brush = BrushParams(
        ink_width=heads.ink_width(pen[0], ink_width_limits(nets.config)),
        ink_slope=heads.ink_slope(pen[1]),
        canvas_slope=heads.canvas_slope(slope[0]),
    )
    return PosteriorStep(
        StrokeLatents(bit * state.presence, layout, control_points),
        brush,
        StrokeLogProbs(on, off, log_q_layout, log_q_stroke),
        (layouts, strokes),
        glimpse.for_prior,
    )
