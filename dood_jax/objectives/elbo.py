"""The evidence lower bound of one drawing, term by term in the paper's order (method.md 6, 7)."""

import math

import jax
import jax.numpy as jnp

from dood_jax.config.model import ModelConfig
from dood_jax.distributions import presence
from dood_jax.model.dood import bind
from dood_jax.model.networks import Params
from dood_jax.rendering.source_grid import may_be_enlarged, to_source_grid
from dood_jax.types import Array, Drawing, StrokeLogProbs


@jax.named_scope("likelihood")
def log_likelihood(
    config: ModelConfig, params: Params, image: Array, canvas: Array, scale: str | None = None
) -> Array:
    """[...] nats of a [H, W] image given [..., H, W] canvases, under the model's observation scale.

    `scale` may name the other one, `map` or `canvas`.

    Where images may have been enlarged, whether this one was is a latent variable, a fair bit, which the
    posterior reads from the image (method.md 4.1).
    """
    on_grid = to_source_grid(config.source_size, image, canvas)
    log_bit = -math.log(2) if may_be_enlarged(config.source_size, config.image_size) else 0
    return bind(config, params).pixel_log_prob(image, on_grid, scale) + log_bit


def stroke_log_probs(
    log_probs: StrokeLogProbs, bits: Array, presence_weight: float = 1.0, final_stop: Array | float = 0.0
) -> Array:
    """[T] log p(o_t) m_t + log p(l_t) o_t + log p(s_t) o_t of one drawing with [T] bits (method.md 6).

    A latent brush belongs to its stroke.

    The first term may be weighted, and hold the stop after the last stroke.
    """
    on_off = presence.log_prob(log_probs.on, log_probs.off, bits, final_stop)
    drawn = jnp.where(bits > 0, log_probs.of_stroke, 0)
    return presence_weight * on_off + drawn


def masked_log_prob(log_probs: StrokeLogProbs, bits: Array, final_stop: Array | float = 0.0) -> Array:
    """[] the sum over the strokes of one drawing with [T] bits."""
    return stroke_log_probs(log_probs, bits, final_stop=final_stop).sum()


def elbo(drawing: Drawing, log_likelihood_of_canvas: Array | float) -> Array:
    """[] log p(x | canvas) + log p(z) - log q(z | x) of one sampled drawing (method.md 7)."""
    log_prior = masked_log_prob(drawing.prior, drawing.strokes.presence, drawing.final_stop)
    log_posterior = masked_log_prob(drawing.posterior, drawing.strokes.presence)
    return log_likelihood_of_canvas + log_prior - log_posterior
