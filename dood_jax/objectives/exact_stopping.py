"""The exact form of the objective: strokes are sampled, the time to stop is summed over.

All T strokes are drawn. For each k = 0..T the canvas after k strokes has a log-likelihood and the first k
strokes a KL divergence; weighing them by q(k) gives the expected bound and its gradient in the presence
networks without sampling a bit.

A floor on the weights makes every prefix of the drawing explain the image early in training: early strokes
then carry the most, and none starves.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.distributions.presence import stopping_log_probs
from dood_jax.model.networks import Params
from dood_jax.model.renderer import canvases_of
from dood_jax.objectives.elbo import log_likelihood
from dood_jax.types import Array, Drawing


class PrefixTerms(NamedTuple):
    """The parts of the bound for a drawing that stops after k = 0..T strokes, for one image."""

    log_likelihood: Array  # [T + 1] log p(x | canvas after k strokes)
    kl: Array  # [T + 1] Σ over the first k strokes of log q - log p of all but the bits
    log_q: Array  # [T + 1] log-probability of stopping after k strokes under the posterior
    log_p: Array  # [T + 1] the same under the prior


def prefix_terms(config: ModelConfig, params: Params, image: Array, drawing: Drawing) -> PrefixTerms:
    """The parts of the bound for every stopping time; the drawing must hold all its bits on."""
    canvases = canvases_of(config, drawing.ink, drawing.brush.canvas_slope)
    # The blank canvas is the same pixel everywhere, so one stands for all and nothing is blurred.
    blank = log_likelihood(config, params, image, jnp.zeros((1, 1)))  # one pixel for all
    posterior, prior = drawing.posterior, drawing.prior
    kl = posterior.of_stroke - prior.of_stroke
    return PrefixTerms(
        log_likelihood=jnp.append(blank, log_likelihood(config, params, image, canvases)),
        kl=jnp.concatenate([jnp.zeros_like(kl[:1]), jnp.cumsum(kl)]),
        log_q=stopping_log_probs(posterior.on, posterior.off),
        log_p=stopping_log_probs(prior.on, prior.off, drawing.final_stop),
    )


def expected_elbo(terms: PrefixTerms) -> Array:
    """[] Σ_k q(k) (log p_k - KL_k + log p(k) - log q(k)), the bound summed over stopping times."""
    bound = terms.log_likelihood - terms.kl + terms.log_p - terms.log_q
    return (jnp.exp(terms.log_q) * bound).sum()


def surrogate(terms: PrefixTerms, floor: Array | float, beta: float, presence_weight: float = 1.0) -> Array:
    """[] quantity to maximise: a path term for what is drawn plus a stopping term for when to stop.

    Path term: Σ_k w(k) (log p_k - KL_k + log p(k)) with fixed weights w = (1 - floor) q + floor u, where u is
    uniform over k = 1..T. Stopping term, whose gradient flows through q(k) alone:
    Σ_k q(k) (log p_k / beta - KL_k + log p(k) - log q(k)).

    Args:
      terms: of one image.
      floor: fraction of the uniform weight, 1 early in training, 0 later.
      beta: divides the likelihood in the decision to stop (method.md 7).
      presence_weight: of log p(k) and log q(k).
    """
    q = jnp.exp(terms.log_q)
    num_strokes = q.shape[0] - 1
    uniform = jnp.where(jnp.arange(num_strokes + 1) > 0, 1 / num_strokes, 0)
    weight = lax.stop_gradient((1 - floor) * q + floor * uniform)
    log_p, log_q = presence_weight * terms.log_p, presence_weight * terms.log_q
    path = weight * (terms.log_likelihood - terms.kl + log_p)
    gain = lax.stop_gradient(terms.log_likelihood / beta - terms.kl + log_p)
    return (path + q * (gain - log_q)).sum()
