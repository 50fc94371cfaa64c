"""The sequential prior: what a stroke is likely to be, given the drawing so far (method.md 4)."""

import functools

import jax
import jax.numpy as jnp

from dood_jax.model.guidance import Guidance, PriorContext
from dood_jax.model.networks import Networks
from dood_jax.model.spread import Spread
from dood_jax.networks.heads import Family
from dood_jax.types import Array, StrokeLatents, StrokeLogProbs


def presence_log_probs(
    guidance: Guidance, family: Family, nets: Networks, situation: PriorContext
) -> tuple[Array, Array]:
    """[] log-probabilities that there is a next stroke, and that there is none."""
    return family.presence(nets.prior_presence(guidance.for_prior_presence(nets, situation))[0])


def log_probs(
    guidance: Guidance, family: Family, nets: Networks, situation: PriorContext, stroke: StrokeLatents
) -> StrokeLogProbs:
    """Log-probabilities of one given stroke.

    Nothing here decides what is drawn next, so all strokes of a drawing are weighed at once, after the scan.
    """
    on, off = presence_log_probs(guidance, family, nets, situation)
    layouts = family.layout_prior(nets.prior_layout([situation.layout_hidden]))
    layout = family.mixture_log_prob(layouts, stroke.layout)
    strokes = _stroke_mixture(guidance, family, nets, situation, stroke.layout)
    return StrokeLogProbs(on, off, layout, family.mixture_log_prob(strokes, stroke.control_points))


def sample(
    guidance: Guidance,
    family: Family,
    nets: Networks,
    situation: PriorContext,
    canvas: Array,
    spread: Spread,
    key: Array,
) -> StrokeLatents:
    """Samples one stroke given the [H, W] canvas, presence unmasked; consumes the key (method.md 4, 10.5).

    The situation's glimpse is not looked at: it is that of the layout sampled here.
    """
    key_presence, key_layout, key_stroke = jax.random.split(key, 3)
    on, _ = presence_log_probs(guidance, family, nets, situation)
    bit = jax.random.bernoulli(key_presence, jnp.exp(on)).astype(jnp.float32)
    narrowed = functools.partial(family.mixture_narrowed, temperature=spread.temperature)
    layouts = family.layout_prior(nets.prior_layout([situation.layout_hidden]))
    layout = family.mixture_sample(narrowed(layouts, spread.of_layout), key_layout)
    situation = situation._replace(glimpse=guidance.look_at_canvas(nets, canvas, layout))
    strokes = _stroke_mixture(guidance, family, nets, situation, layout)
    strokes = narrowed(strokes, spread.of_point)
    return StrokeLatents(bit, layout, family.mixture_sample(strokes, key_stroke))


def _stroke_mixture(
    guidance: Guidance, family: Family, nets: Networks, situation: PriorContext, layout: Array
) -> Array:
    inputs = [situation.stroke_hidden, layout, *guidance.for_prior_stroke(nets, situation)]
    return family.stroke_prior(nets.prior_stroke(inputs), nets.config.num_points)
