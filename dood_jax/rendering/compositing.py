"""From the marks of a brush to ink, and from ink to a canvas (method.md 3.10, 3.11)."""

import itertools

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.types import Array

_FAINTEST = 1e-4  # an image with no pixel above this is left as it is


def max_normalise(image: Array) -> Array:
    """Divides a [H, W] image by its largest pixel, which carries no gradient (method.md 3.10)."""
    peak = lax.stop_gradient(image.max())
    return image / jnp.where(peak >= _FAINTEST, peak, 1)


def squash(image: Array, ink_slope: Array) -> Array:
    """tanh(image / slope), the ink of a normalised splat (method.md 3.10)."""
    return jnp.tanh(image / ink_slope)


def squash_to_one(nearness: Array, ink_slope: Array) -> Array:
    """tanh(nearness / slope) / tanh(1 / slope): nearness 1, a distance brush on the curve, is ink 1."""
    return _scaled(jnp.tanh(_scaled(nearness, 1 / ink_slope)), 1 / jnp.tanh(1 / ink_slope))


def composite(ink_sum: Array, canvas_slope: Array) -> Array:
    """The canvas of summed ink: tanh(Σ ink / slope), any leading axes (method.md 3.11)."""
    return jnp.tanh(_scaled(ink_sum, 1 / canvas_slope))


def _scaled(image: Array, factor: Array) -> Array:
    """The image times a factor; a single one is spread over the pixels by a matrix product.

    So the gradient in the factor is a product too: compilers make slower code of a sum over pixels.
    """
    if jnp.ndim(factor):
        return image * factor
    ones = jnp.ones((1, image.size), image.dtype)
    spread = jnp.matmul(jnp.reshape(factor, (1, 1)), ones, precision=lax.Precision.HIGHEST)
    return image * spread.reshape(image.shape)


@jax.custom_vjp
def running_sum(images: Array) -> Array:
    """[T, H, W] -> [T, H, W] sums of the first 1..T images.

    A few adds, and as few for the gradient: compilers make slow code of a cumulative sum's, and of that of
    taking an array apart.
    """
    return jnp.stack(list(itertools.accumulate(images)))


def _running_sum_backward(_: None, cotangent: Array) -> tuple[Array]:
    return (running_sum(cotangent[::-1])[::-1],)


running_sum.defvjp(lambda images: (running_sum(images), None), _running_sum_backward)
