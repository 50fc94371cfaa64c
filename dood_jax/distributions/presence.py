"""The on/off bits as a stop process: once off, always off (method.md 5, 6).

A drawing of k < T strokes has k factors "on" and one "off"; a drawing of all T strokes has no stop factor in
what was published. The paper writes one: `final_stop`, o_{T+1}.
"""

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.types import Array

_EPSILON = float(np.finfo(np.float32).eps)  # probabilities are kept this far from 0 and 1 (method.md 6)


def log_probs(logit: Array) -> tuple[Array, Array]:
    """Log-probabilities of on and off for logits of any shape."""
    return jax.nn.log_sigmoid(logit), jax.nn.log_sigmoid(-logit)


def clamped_log_probs(prob: Array) -> tuple[Array, Array]:
    """Log-probabilities of on and off for probabilities of any shape, clamped as published (method.md 6).

    The gradient is zero where the clamp acts.
    """
    prob = jnp.clip(prob, _EPSILON, 1 - _EPSILON)
    return jnp.log(prob), jnp.log1p(-prob)


def toss(on: Array, uniform: Array) -> Array:
    """A bit, from the log-probability of "on" and a number that is uniform in 0..1, of any shape."""
    return (uniform < jnp.exp(on)).astype(on.dtype)


def sample(on: Array, key: Array) -> Array:
    """[T] bits, from [T] log-probabilities of "on" given that all before were; consumes the key."""
    tossed = jnp.log(jax.random.uniform(key, on.shape)) < on
    return jnp.cumprod(tossed.astype(on.dtype))


def mask_of(presence: Array) -> Array:
    """[T] m_t = o_{t-1}, m_1 = 1: the steps whose bit was really decided (method.md 6)."""
    return jnp.concatenate([jnp.ones_like(presence[:1]), presence[:-1]])


def log_prob(on: Array, off: Array, presence: Array, final_stop: Array | float = 0.0) -> Array:
    """[T] masked log-probability of each bit of one drawing (method.md 6).

    Args:
      on: [T] log-probability of "on" given that all before were on.
      off: [T] the same of "off".
      presence: [T] bits.
      final_stop: [] log-probability of stopping after the last stroke, counted with its bit if that is on.
    """
    masked = jnp.where(presence > 0, on, off) * mask_of(presence)
    return masked.at[-1].add(final_stop * presence[-1])


def stopping_log_probs(on: Array, off: Array, final_stop: Array | float = 0.0) -> Array:
    """[T + 1] log-probability of stopping after k = 0..T strokes.

    q(k) = π_1 … π_k (1 - π_{k+1}) for k < T, and q(T) = π_1 … π_T but for the final stop.

    Args:
      on: [T] log π_t.
      off: [T] log (1 - π_t).
      final_stop: [] log-probability of stopping after T strokes; 0 where that is certain.
    """
    all_on = jnp.concatenate([jnp.zeros_like(on[:1]), jnp.cumsum(on)])
    return all_on + jnp.append(off, final_stop)
