"""The observation model: every pixel independently Laplace around the canvas (method.md 4)."""

import jax.numpy as jnp

from dood_jax.types import Array


def log_prob(image: Array, canvas: Array, scale: Array) -> Array:
    """Σ over pixels of -|image - canvas| / scale - log(2 scale).

    Args:
      image: [H, W].
      canvas: [..., H, W].
      scale: broadcastable to the canvas, positive.

    Returns:
      [...] nats per picture; a density, so good models are positive.
    """
    scale = jnp.broadcast_to(scale, jnp.broadcast_shapes(jnp.shape(scale), image.shape))
    error = jnp.abs(image - canvas) * (1 / scale)
    return -error.sum((-2, -1)) - jnp.log(2 * scale).sum((-2, -1))


def most_likely_scale(images: Array, canvases: Array) -> Array:
    """[H, W] the mean absolute error of each pixel over [N, H, W] pictures and their canvases."""
    return jnp.abs(images - canvases).mean(0)
