"""The K-particle bound by which models are compared (method.md 10.1)."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.model import second_look
from dood_jax.model.dood import draw, sample_corrected
from dood_jax.model.likelihood import SCALES
from dood_jax.model.networks import Params
from dood_jax.model.renderer import canvas_of
from dood_jax.model.second_look import Correction
from dood_jax.objectives import brush_code
from dood_jax.objectives.brush_code import BrushCode
from dood_jax.objectives.elbo import elbo, log_likelihood
from dood_jax.rendering.source_grid import to_source_grid
from dood_jax.types import Array, Drawing


class LogWeights(NamedTuple):
    """What bounds and their summaries need of K drawings of one image."""

    log_ratio: Array  # [K] log p(z) - log q(z | x)
    log_likelihood: dict[str, Array]  # [K] log p(x | canvas) under either kind of observation scale
    strokes: Array  # [K] strokes drawn
    l1: Array  # [K] Σ over pixels of |image - canvas|, as the image was recorded

    def elbo(self, scale: str) -> Array:
        """[K] log p(x, z) - log q(z | x) under one kind of scale."""
        return self.log_ratio + self.log_likelihood[scale]


class Particle(NamedTuple):
    """One sampled drawing of an image, weighed."""

    drawing: Drawing
    canvas: Array  # [H, W] when finished
    elbo: Array  # [] log p(x, z) - log q(z | x)


def sample_particle(
    config: ModelConfig, params: Params, image: Array, key: Array, num_strokes: int | None = None
) -> Particle:
    """Samples one drawing of a [H, W] image, its stopping time included; consumes the key."""
    drawing = draw(config, params, image, key, num_strokes=num_strokes)
    canvas = canvas_of(config, drawing.ink.sum(0), drawing.brush.canvas_slope)
    return Particle(drawing, canvas, elbo(drawing, log_likelihood(config, params, image, canvas)))


def log_weights(
    config: ModelConfig,
    params: Params,
    image: Array,
    key: Array,
    num_particles: int,
    num_strokes: int | None = None,
    samples_per_posterior: int = 1,
    code: BrushCode | None = None,
) -> LogWeights:
    """Weighs K drawings of a [H, W] image, one after the other: memory does not grow with K.

    Args:
      config: the model.
      params: its parameters.
      image: to be drawn.
      key: consumed.
      num_particles: K.
      num_strokes: most strokes; as trained if None.
      samples_per_posterior: so many of the K, a divisor of it, are of the posterior that further looks at one
        first drawing gave. Of a model that does not look again every drawing is a new one.
      code: rounds and charges the brush of a model that looks again; None leaves it free.
    """
    if not config.iterations or (samples_per_posterior == 1 and code is None):
        one = lambda key: _log_weights(
            config, params, image, draw(config, params, image, key, num_strokes=num_strokes)
        )
        return lax.map(one, jax.random.split(key, num_particles))
    first_look = dataclasses.replace(config, iterations=0)

    def several(key):
        key_first, key_again = jax.random.split(key)
        first = draw(first_look, params, image, key_first, num_strokes=num_strokes)
        correction = second_look.correct(config, params, image, first.strokes, first.brush)
        correction, price = charged(config, code, correction, first.strokes.presence)

        def one(key):
            drawing = sample_corrected(config, params, first, correction, key)
            found = _log_weights(config, params, image, drawing)
            return found._replace(log_ratio=found.log_ratio + price)

        return lax.map(one, jax.random.split(key_again, samples_per_posterior))

    nested = lax.map(several, jax.random.split(key, num_particles // samples_per_posterior))
    return jax.tree_util.tree_map(lambda leaf: leaf.reshape(num_particles), nested)


def charged(
    config: ModelConfig, code: BrushCode | None, correction: Correction, presence: Array
) -> tuple[Correction, Array | float]:
    """A posterior of strokes with [T] bits whose brush is rounded, and the [] log-probability of its code."""
    if code is None:
        return correction, 0.0
    brush = brush_code.rounded(config, code, correction.brush)
    return correction._replace(brush=brush), brush_code.log_prob(config, code, brush, presence)


def _log_weights(config: ModelConfig, params: Params, image: Array, drawing: Drawing) -> LogWeights:
    """The weights of one drawing of a [H, W] image."""
    canvas = canvas_of(config, drawing.ink.sum(0), drawing.brush.canvas_slope)
    return log_weights_of(config, params, image, canvas, elbo(drawing, 0.0), drawing.strokes.presence.sum())


def log_weights_of(
    config: ModelConfig, params: Params, image: Array, canvas: Array, log_ratio: Array, strokes: Array
) -> LogWeights:
    """The weights of one drawing, given its canvas and its log p(z) - log q(z | x)."""
    under = lambda scale: dataclasses.replace(config, likelihood_scale=scale)
    likelihoods = {scale: log_likelihood(under(scale), params, image, canvas) for scale in SCALES}
    error = jnp.abs(image - to_source_grid(config.source_size, image, canvas))
    return LogWeights(log_ratio, likelihoods, strokes, error.sum())


def log_mean_exp(log_weights: Array) -> Array:
    """[K, ...] -> [...] log of the mean weight: a bound on log p(x) that tightens with K (method.md 10.1)."""
    return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(log_weights.shape[0])


def effective_samples(log_weights: Array) -> Array:
    """[K, ...] -> [...] (Σ w)² / Σ w², between 1 and K."""
    return 1 / (jax.nn.softmax(log_weights, axis=0) ** 2).sum(0)
