"""Augmentation of training images: two images of a set, laid over each other.

Such an image has more strokes than either, of ink that looks like that of the set. A model that is trained on
digits alone should also be ready for images of more strokes than digits have.
"""

import jax
import jax.numpy as jnp

from dood_jax.rendering.source_grid import onto_source_grid_of
from dood_jax.rendering.spatial_transformer import warp
from dood_jax.types import Array

_SCALE_RANGE = (0.9, 1.6)  # of the window's sides; above 1 the image shrinks
_MAX_SHIFT = 0.43  # of half an image, along either side
_MAX_ROTATION = 0.5  # radians


def lay_over(image: Array, other: Array, key: Array, source_size: int) -> Array:
    """[H, H] the darker of two [H, H] images, each rotated, scaled and shifted; consumes the key.

    Where the first image was enlarged from `source_size` pixels a side, so is the result, which is projected
    onto the same source grid (method.md 4.1).
    """
    key_image, key_other = jax.random.split(key)
    both = jnp.maximum(_moved(image, key_image), _moved(other, key_other))
    return onto_source_grid_of(source_size, image, both)


def _moved(image: Array, key: Array) -> Array:
    """[H, H] an image as seen through a random affine window; blank outside; consumes the key."""
    key_scale, key_rotation, key_shift = jax.random.split(key, 3)
    low, high = _SCALE_RANGE
    scale = jax.random.uniform(key_scale, (2,), minval=low, maxval=high)
    angle = jax.random.uniform(key_rotation, minval=-_MAX_ROTATION, maxval=_MAX_ROTATION)
    shift = jax.random.uniform(key_shift, (2, 1), minval=-_MAX_SHIFT, maxval=_MAX_SHIFT)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    rotation = jnp.stack([jnp.stack([cosine, -sine]), jnp.stack([sine, cosine])])
    height, width = image.shape
    return warp(image[None], jnp.concatenate([rotation * scale, shift], axis=1), (height, width))[0]
