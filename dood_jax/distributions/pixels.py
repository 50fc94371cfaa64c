"""The observation models: every pixel independently Laplace, or normal, around the canvas (method.md 4)."""

import jax.numpy as jnp

from dood_jax.types import Array


def laplace_log_prob(image: Array, canvas: Array, scale: Array) -> Array:
    """Σ over pixels of -|image - canvas| / scale - log(2 scale).

    Args:
      image: [H, W].
      canvas: [..., H, W].
      scale: broadcastable to the canvas, positive.

    Returns:
      [...] nats per image; a density, so good models are positive.
    """
    scale = jnp.broadcast_to(scale, jnp.broadcast_shapes(jnp.shape(scale), image.shape))
    error = jnp.abs(image - canvas) * (1 / scale)
    return -error.sum((-2, -1)) - jnp.log(2 * scale).sum((-2, -1))


def most_likely_laplace_scale(images: Array, canvases: Array) -> Array:
    """[H, W] the mean absolute error of each pixel over [N, H, W] images and their canvases."""
    return jnp.abs(images - canvases).mean(0)


def normal_log_prob(image: Array, canvas: Array, scale: Array) -> Array:
    """Σ over pixels of -(image - canvas)² / 2 scale² - log scale - log √2π.

    Args:
      image: [H, W].
      canvas: [..., H, W].
      scale: broadcastable to the canvas, positive.

    Returns:
      [...] nats per image.
    """
    import distrax  # noqa: PLC0415 (which takes long)

    return distrax.Normal(canvas, scale).log_prob(image).sum((-2, -1))


def most_likely_normal_scale(images: Array, canvases: Array) -> Array:
    """[H, W] the root mean square error of each pixel over [N, H, W] images and their canvases."""
    return jnp.sqrt(((images - canvases) ** 2).mean(0))
