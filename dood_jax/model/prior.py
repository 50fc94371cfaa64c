"""One step of the generative model: what a stroke is likely to be, given the drawing so far (method.md 4)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from dood_jax.distributions import mixture, presence
from dood_jax.distributions.mixture import Mixture
from dood_jax.model import guidance
from dood_jax.model.networks import Networks
from dood_jax.model.state import StrokeState
from dood_jax.networks import heads
from dood_jax.types import Array, StrokeLatents, StrokeLogProbs


class Situation(NamedTuple):
    """What the prior knows before a stroke, and of the canvas where the stroke is to be."""

    layout_hidden: Array  # [F] recurrent states, advanced to this stroke
    stroke_hidden: Array  # [F]
    canvas_features: Array  # [F] of the canvas before the stroke
    glimpse_patches: Array  # [h, w, 25] of that canvas in the stroke's window


def prior_log_probs(nets: Networks, situation: Situation, stroke: StrokeLatents) -> StrokeLogProbs:
    """Log-probabilities of one given stroke.

    Nothing here decides what is drawn next, so all strokes of a drawing are weighed at once, after the scan.
    """
    on, off = presence.log_probs(nets.prior_presence([situation.canvas_features])[0])
    layout = mixture.log_prob(_layout_mixture(nets, situation.layout_hidden), stroke.layout)
    strokes = _stroke_mixture(nets, situation.stroke_hidden, stroke.layout, situation.glimpse_patches)
    return StrokeLogProbs(on, off, layout, mixture.log_prob(strokes, stroke.control_points))


def prior_sample(nets: Networks, state: StrokeState, canvas_features: Array, key: Array) -> StrokeLatents:
    """Samples one stroke given the canvas; consumes the key (method.md 4)."""
    key_presence, key_layout, key_stroke = jax.random.split(key, 3)
    on, _ = presence.log_probs(nets.prior_presence([canvas_features])[0])
    bit = jax.random.bernoulli(key_presence, jnp.exp(on)).astype(jnp.float32)
    layout = mixture.sample(_layout_mixture(nets, state.layout_hidden), key_layout)
    glimpse_patches = guidance.look_at_canvas(nets, state.canvas, layout)
    strokes = _stroke_mixture(nets, state.stroke_hidden, layout, glimpse_patches)
    return StrokeLatents(bit * state.presence, layout, mixture.sample(strokes, key_stroke))


def _layout_mixture(nets: Networks, hidden: Array) -> Mixture:
    return heads.layout_mixture(nets.prior_layout([hidden]))


def _stroke_mixture(nets: Networks, hidden: Array, layout: Array, glimpse_patches: Array) -> Mixture:
    encoder = nets.canvas_glimpse_encoder
    raw = nets.prior_stroke([hidden, layout, encoder.encode(encoder.embed(0, glimpse_patches))])
    return heads.stroke_mixture(raw, nets.config.num_points)
