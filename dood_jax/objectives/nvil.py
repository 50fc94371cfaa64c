"""The published objective: stops are sampled and learn from a normalised signal (method.md 7).

The signal of a bit is what the drawing costs from there on, less what a baseline expects; the rest of the
model follows the path of its samples.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.distributions import presence
from dood_jax.errors import BadInput
from dood_jax.model.dood import init
from dood_jax.model.drawing import draw
from dood_jax.model.networks import Params
from dood_jax.model.published import Baseline
from dood_jax.model.renderer import canvas_of
from dood_jax.objectives.elbo import log_likelihood, stroke_log_probs
from dood_jax.objectives.iwae import log_mean_exp
from dood_jax.types import Array, Drawing

_KEEP = 0.8  # fraction of the moments that a step keeps


class Moments(NamedTuple):
    """Moving moments of the learning signal, over batch, particles and steps."""

    mean: Array  # []
    variance: Array  # []
    calls: Array  # [] int32 updates so far


class Terms(NamedTuple):
    """What the objective needs of drawings; without leading axes, of one."""

    elbo: Array  # [...]
    log_likelihood: Array  # [...] log p(x | canvas)
    log_q_presence: Array  # [..., T] of the bits, masked
    cost: Array  # [..., T] R_t, masked, without gradient
    value: Array  # [..., T] what the baseline expects of R_t, masked
    mask: Array  # [..., T] m_t: whether the bit was really decided


class Losses(NamedTuple):
    """What is minimised, by drawing."""

    reinforce: Array  # [...] for the bits' probabilities
    baseline: Array  # [...] squared error of the baseline
    total: Array  # [...] reinforce - ELBO + baseline


def fresh_moments() -> Moments:
    """Before the first step, which sets them."""
    return Moments(jnp.zeros(()), jnp.zeros(()), jnp.zeros((), jnp.int32))


def init_baseline(config: ModelConfig, key: Array) -> Params:
    """Fresh parameters of the baseline, under `baseline_rnn` and `baseline`; consumes the key."""
    blank = jnp.zeros((config.image_size, config.image_size))
    drawing = jax.eval_shape(lambda key: draw(config, init(config, key), blank, key), key)
    inputs = jax.eval_shape(_baseline_inputs, drawing)
    return _baseline(config).init(key, jnp.zeros(inputs.shape))["params"]


def _baseline(config: ModelConfig) -> Baseline:
    """AIR's is wider and has a layer less (method.md 9.5)."""
    features = config.features
    return Baseline(features, (2 * features,) * 2 if config.recognition == "air" else (features,) * 3)


def baseline_values(config: ModelConfig, params: Params, drawing: Drawing) -> Array:
    """[T] what the baseline expects before each stroke of one drawing, masked (method.md 5)."""
    own = {name: params[name] for name in ("baseline_rnn", "baseline")}
    values = jnp.asarray(_baseline(config).apply({"params": own}, _baseline_inputs(drawing)))
    return values * presence.mask_of(drawing.strokes.presence)


def _baseline_inputs(drawing: Drawing) -> Array:
    """[T, n] target, last bit, last layout, last control points and canvas, without gradient."""
    strokes, seen = drawing.strokes, drawing.seen
    if seen is None:
        raise BadInput("this drawing does not hold what a baseline sees; give one of `drawing.draw`")
    points = strokes.control_points.reshape(len(strokes.layout), -1)
    last = lambda latents: jnp.concatenate([jnp.zeros_like(latents[:1]), latents[:-1]])
    bits = presence.mask_of(strokes.presence)[:, None]
    inputs = [seen.target, bits, last(strokes.layout), last(points), seen.canvas]
    return lax.stop_gradient(jnp.concatenate(inputs, axis=1))


def terms(
    config: ModelConfig,
    params: Params,
    image: Array,
    drawing: Drawing,
    beta: float,
    presence_weight: float = 1.0,
) -> Terms:
    """The terms of one drawing of a [H, W] image, its stops sampled (method.md 6, 7).

    Args:
      config: the model.
      params: its parameters and the baseline's.
      image: that was drawn.
      drawing: of it.
      beta: divides the likelihood in the signal alone.
      presence_weight: of the divergence of the bits, everywhere.
    """
    bits = drawing.strokes.presence
    canvas = canvas_of(config, drawing.ink.sum(0), drawing.brush.canvas_slope)
    likelihood = log_likelihood(config, params, image, canvas)
    posterior = stroke_log_probs(drawing.posterior, bits, presence_weight)
    prior = stroke_log_probs(drawing.prior, bits, presence_weight, drawing.final_stop)
    log_q = presence.log_prob(drawing.posterior.on, drawing.posterior.off, bits)
    value, mask = baseline_values(config, params, drawing), presence.mask_of(bits)
    return assemble(likelihood, posterior - prior, log_q, value, mask, beta)


def assemble(
    likelihood: Array, divergence: Array, log_q_presence: Array, value: Array, mask: Array, beta: float
) -> Terms:
    """The terms of one drawing: [] log-likelihood, [T] masked log q - log p of each stroke, and the rest."""
    to_come = jnp.cumsum(divergence[::-1])[::-1]
    cost = lax.stop_gradient(mask * (to_come - likelihood / beta))
    return Terms(likelihood - divergence.sum(), likelihood, log_q_presence, cost, value, mask)


def signal(terms: Terms) -> Array:
    """[..., T] what bits cost beyond what was expected, not normalised, without gradient."""
    return lax.stop_gradient(terms.cost - terms.value)


def normalise(
    moments: Moments, signals: Array, mask: Array, axis_name: str | None = None
) -> tuple[Array, Moments]:
    """Centres signals by their moving mean, and divides by their moving deviation where that is above 1.

    Args:
      moments: of the steps before; the new ones are used.
      signals: [..., T] of this device's part of a batch.
      mask: [..., T] which of them count.
      axis_name: of the devices over which the batch is split.

    Returns:
      [..., T] normalised signals, and the new moments, the same on all devices.
    """
    total = lambda values: lax.psum(values.sum(), axis_name) if axis_name else values.sum()
    count = total(mask)
    mean = total(signals * mask) / count
    variance = total(((signals - mean) * mask) ** 2) / count
    is_first = moments.calls == 0
    moving = lambda old, new: _KEEP * jnp.where(is_first, new, old) + (1 - _KEEP) * new
    moments = Moments(moving(moments.mean, mean), moving(moments.variance, variance), moments.calls + 1)
    return (signals - moments.mean) / jnp.maximum(1, jnp.sqrt(moments.variance)), moments


def losses(terms: Terms, signals: Array) -> Losses:
    """The loss of every drawing with [..., T] signals."""
    reinforce = (signals * terms.log_q_presence).sum(-1)
    baseline = (terms.mask * (terms.value - terms.cost) ** 2).sum(-1)
    return Losses(reinforce, baseline, reinforce - terms.elbo + baseline)


def batch_loss(
    terms: Terms, moments: Moments, axis_name: str | None = None
) -> tuple[Array, tuple[Losses, Moments]]:
    """[] loss of K drawings of each of B images, terms [K, B, ...]; their [K, B] losses, new moments.

    The loss of an image is the logarithm of the mean exponential over its particles, as published; training
    takes one.
    """
    signals, moments = normalise(moments, signal(terms), terms.mask, axis_name)
    found = losses(terms, signals)
    return log_mean_exp(found.total).mean(), (found, moments)
