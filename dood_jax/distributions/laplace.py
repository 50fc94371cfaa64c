"""The observation model: every pixel independently Laplace around the canvas (method.md 4)."""

import distrax

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
    return distrax.Laplace(canvas, scale).log_prob(image).sum((-2, -1))
