"""The K-particle bound by which models are compared (method.md 10.1)."""

from typing import Any, Generic, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.model.drawing import draw, iterate, sample_iterated
from dood_jax.model.iterative_inference import IteratedPosterior
from dood_jax.model.networks import Params
from dood_jax.model.observation import SCALES
from dood_jax.model.renderer import canvas_of
from dood_jax.objectives import brush_code
from dood_jax.objectives.brush_code import BrushCode
from dood_jax.objectives.elbo import elbo, log_likelihood
from dood_jax.rendering.source_grid import to_source_grid
from dood_jax.types import Array, Drawing, Leaf, Start


class LogWeights(NamedTuple, Generic[Leaf]):
    """What bounds and their summaries need of K drawings of one image."""

    log_ratio: Leaf  # [K] log p(z) - log q(z | x)
    log_likelihood: dict[str, Leaf]  # [K] log p(x | canvas) under either kind of observation scale
    strokes: Leaf  # [K] strokes drawn
    l1: Leaf  # [K] Σ over pixels of |image - canvas|, on the grid that the image was made on

    def elbo(self, scale: str) -> Any:
        """[K] log p(x, z) - log q(z | x) under one kind of scale."""
        log_ratio: Any = self.log_ratio  # of JAX or of NumPy
        return log_ratio + self.log_likelihood[scale]


class Particle(NamedTuple):
    """One sampled drawing of an image, and its bound."""

    drawing: Drawing
    canvas: Array  # [H, W] when finished
    elbo: Array  # [] log p(x, z) - log q(z | x)


def sample_particle(
    config: ModelConfig,
    params: Params,
    image: Array,
    key: Array,
    num_strokes: int | None = None,
    iterations: int | None = None,
) -> Particle:
    """Samples one drawing of a [H, W] image, its stopping time included; consumes the key.

    See `drawing.draw` for the arguments.
    """
    drawing = draw(config, params, image, key, num_strokes=num_strokes, iterations=iterations)
    return particle_of(config, params, image, drawing)


def particle_of(config: ModelConfig, params: Params, image: Array, drawing: Drawing) -> Particle:
    """A drawing of a [H, W] image with its finished canvas and its bound."""
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
    """The log-weights of K drawings of a [H, W] image, one after the other: memory does not grow with K.

    Args:
      config: the model.
      params: its parameters.
      image: to be drawn.
      key: consumed.
      num_particles: K.
      num_strokes: most strokes; as trained if None.
      samples_per_posterior: so many of the K, a divisor of it, are of the posterior in which iterations from
        one first drawing end. Of a model without iterations every drawing is a new one.
      code: rounds and charges the brush of a model with iterations; None leaves it free.
    """
    if not config.iterations:

        def of_new_drawing(key: Array) -> LogWeights:
            drawing = draw(config, params, image, key, num_strokes=num_strokes)
            return _log_weights(config, params, image, drawing)

        return lax.map(of_new_drawing, jax.random.split(key, num_particles))

    def of_new_posterior(key: Array) -> LogWeights:
        key_first, key_samples = jax.random.split(key)
        first = draw(config, params, image, key_first, iterations=0, num_strokes=num_strokes)
        start = Start(first.strokes, first.brush, first.posterior)
        return posterior_log_weights(config, params, image, start, key_samples, samples_per_posterior, code)

    nested = lax.map(of_new_posterior, jax.random.split(key, num_particles // samples_per_posterior))
    return jax.tree_util.tree_map(lambda leaf: leaf.reshape(num_particles), nested)


def posterior_log_weights(
    config: ModelConfig,
    params: Params,
    image: Array,
    start: Start,
    key: Array,
    num_samples: int,
    code: BrushCode | None = None,
    most_drawn: int | None = None,
) -> LogWeights:
    """The log-weights of so many drawings from the posterior that iterations from one start end in.

    Args:
      config: of a model with iterations.
      params: its parameters.
      image: [H, W] to be drawn.
      start: of T strokes.
      key: consumed.
      num_samples: drawings, [K] of every quantity.
      code: rounds and charges the brush; None leaves it free.
      most_drawn: no stroke after the first so many is drawn, so they need no work; T if None.
    """
    strokes, brush = start.first(most_drawn)
    posterior = iterate(config, params, image, strokes, brush, config.iterations)
    return iterated_log_weights(config, params, image, start, posterior, key, num_samples, code)


def iterated_log_weights(
    config: ModelConfig,
    params: Params,
    image: Array,
    start: Start,
    posterior: IteratedPosterior,
    key: Array,
    num_samples: int,
    code: BrushCode | None = None,
) -> LogWeights:
    """The same of a posterior that iterations ended in: of T strokes, or of the C that may be drawn."""
    drawn = len(posterior.points.mean)
    posterior, price = charged(config, code, posterior, start.strokes.presence[:drawn])

    def of_sample(key: Array) -> LogWeights:
        drawing = sample_iterated(config, params, start, posterior, key)
        found = _log_weights(config, params, image, drawing)
        return found._replace(log_ratio=found.log_ratio + price)

    return lax.map(of_sample, jax.random.split(key, num_samples))


def charged(
    config: ModelConfig, code: BrushCode | None, posterior: IteratedPosterior, presence: Array
) -> tuple[IteratedPosterior, Array | float]:
    """A posterior of strokes with [T] bits whose brush is rounded, and the [] log-probability of its code."""
    if code is None:
        return posterior, 0.0
    brush = brush_code.rounded(config, code, posterior.brush)
    return posterior._replace(brush=brush), brush_code.log_prob(config, code, brush, presence)


def _log_weights(config: ModelConfig, params: Params, image: Array, drawing: Drawing) -> LogWeights:
    """The log-weight of one drawing of a [H, W] image, and what goes with it."""
    canvas = canvas_of(config, drawing.ink.sum(0), drawing.brush.canvas_slope)
    return log_weights_of(config, params, image, canvas, elbo(drawing, 0.0), drawing.strokes.presence.sum())


def log_weights_of(
    config: ModelConfig, params: Params, image: Array, canvas: Array, log_ratio: Array, strokes: Array
) -> LogWeights:
    """The log-weight of one drawing, given its canvas and its log p(z) - log q(z | x)."""
    likelihoods = {scale: log_likelihood(config, params, image, canvas, scale) for scale in SCALES}
    error = jnp.abs(image - to_source_grid(config.source_size, image, canvas))
    return LogWeights(log_ratio, likelihoods, strokes, error.sum())


def log_mean_exp(log_weights: Array) -> Array:
    """[K, ...] -> [...] log of the mean weight: a bound on log p(x) that tightens with K (method.md 10.1)."""
    return jax.nn.logsumexp(log_weights, axis=0) - jnp.log(log_weights.shape[0])


def effective_samples(log_weights: Array) -> Array:
    """[K, ...] -> [...] (Σ w)² / Σ w², between 1 and K."""
    return 1 / (jax.nn.softmax(log_weights, axis=0) ** 2).sum(0)
