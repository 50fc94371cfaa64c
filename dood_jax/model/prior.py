"""One step of the generative model: what a stroke is likely to be, given the drawing so far (method.md 4)."""

import jax
import jax.numpy as jnp

from dood_jax.distributions import mixture, presence
from dood_jax.distributions.mixture import Mixture
from dood_jax.model import guidance
from dood_jax.model.networks import Networks
from dood_jax.model.state import StrokeState
from dood_jax.networks import heads
from dood_jax.types import Array, StrokeLatents, StrokeLogProbs


def prior_log_probs(
    nets: Networks,
    state: StrokeState,
    canvas_features: Array,
    glimpse_features: Array,
    stroke: StrokeLatents,
) -> StrokeLogProbs:
    """Log-probabilities of a given stroke.

    Args:
      nets: the networks.
      state: before the stroke, its recurrent states already advanced.
      canvas_features: [F] of the canvas before the stroke.
      glimpse_features: [F/2] of that canvas in the stroke's window.
      stroke: one stroke.
    """
    on, off = presence.log_probs(nets.prior_presence([canvas_features])[0])
    layout = mixture.log_prob(_layout_mixture(nets, state), stroke.layout)
    strokes = _stroke_mixture(nets, state, stroke.layout, glimpse_features)
    return StrokeLogProbs(on, off, layout, mixture.log_prob(strokes, stroke.control_points))


def prior_sample(nets: Networks, state: StrokeState, canvas_features: Array, key: Array) -> StrokeLatents:
    """Samples one stroke given the canvas; consumes the key (method.md 4)."""
    key_presence, key_layout, key_stroke = jax.random.split(key, 3)
    on, _ = presence.log_probs(nets.prior_presence([canvas_features])[0])
    bit = jax.random.bernoulli(key_presence, jnp.exp(on)).astype(jnp.float32)
    layout = mixture.sample(_layout_mixture(nets, state), key_layout)
    glimpse_features = guidance.look_at_canvas(nets, state.canvas, layout)
    strokes = _stroke_mixture(nets, state, layout, glimpse_features)
    return StrokeLatents(bit * state.presence, layout, mixture.sample(strokes, key_stroke))


def _layout_mixture(nets: Networks, state: StrokeState) -> Mixture:
    return heads.layout_mixture(nets.prior_layout([state.layout_hidden]))


def _stroke_mixture(nets: Networks, state: StrokeState, layout: Array, glimpse_features: Array) -> Mixture:
    raw = nets.prior_stroke([state.stroke_hidden, layout, glimpse_features])
    return heads.stroke_mixture(raw, nets.config.num_points)
