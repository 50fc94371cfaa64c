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
    brush: BrushParams  # of one stroke; its canvas slope is used at the first step only
    log_probs: StrokeLogProbs
    canvas_patches: Array  # [h, w, 25] of the canvas in the window, for the prior


def posterior_step(
    nets: Networks,
    target: guidance.Target,
    observation: guidance.Observation,
    state: StrokeState,
    noise: StrokeNoise,
    hold_presence: bool,
) -> PosteriorStep:
    """Samples one stroke given target, canvas and the recurrent states, already advanced.

    With `hold_presence` the bit stays on, for objectives that sum over stopping times.
    """
    image_features, ratio = observation.image_features, observation.residual_ratio
    on, off = presence.log_probs(nets.posterior_presence([image_features, ratio])[0])
    bit = jnp.ones(()) if hold_presence else (noise.presence < jnp.exp(on)).astype(jnp.float32)
    layout_params = heads.layout_gaussian(nets.posterior_layout([state.layout_hidden, image_features, ratio]))
    layout, log_q_layout = gaussian.sample_and_log_prob(layout_params, noise.layout)
    glimpse = guidance.look(nets, target, state.canvas, layout)
    seen = [state.stroke_hidden, glimpse.features]
    stroke_params = heads.stroke_gaussian(nets.posterior_stroke(seen))
    control_points, log_q_stroke = gaussian.sample_and_log_prob(stroke_params, noise.control_points)
    pen = nets.brush([*seen, layout])
    brush = BrushParams(
        ink_width=heads.ink_width(pen[0]),
        ink_slope=heads.ink_slope(pen[1]),
        canvas_slope=heads.canvas_slope(nets.canvas_slope([image_features])[0]),
    )
    stroke = StrokeLatents(bit * state.presence, layout, control_points)
    return PosteriorStep(
        stroke, brush, StrokeLogProbs(on, off, log_q_layout, log_q_stroke), glimpse.canvas_patches
    )
