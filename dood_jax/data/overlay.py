"""Two pictures of a set laid over each other: more lines than either has, of ink that the set knows.

A model that has only seen digits should be ready for pictures of more strokes than digits have.
"""

import jax
import jax.numpy as jnp

from dood_jax.rendering.recording import recorded_anew
from dood_jax.rendering.spatial_transformer import warp
from dood_jax.types import Array

_SHRINKING = (0.9, 1.6)  # of either side
_MAX_SHIFT = 0.43  # of half a picture, along either side
_MAX_TURN = 0.5  # radians


def lay_over(picture: Array, other: Array, key: Array, native_size: int) -> Array:
    """[H, H] the darker of two pictures, each turned, resized and moved; consumes the key.

    It lies on the grid that the first was recorded on (`rendering.recording`).
    """
    key_picture, key_other = jax.random.split(key)
    both = jnp.maximum(_moved(picture, key_picture), _moved(other, key_other))
    return recorded_anew(native_size, picture, both)


def _moved(picture: Array, key: Array) -> Array:
    """[H, H] a picture as seen through a random affine window; blank outside."""
    key_size, key_turn, key_shift = jax.random.split(key, 3)
    low, high = _SHRINKING
    size = jax.random.uniform(key_size, (2,), minval=low, maxval=high)
    turn = jax.random.uniform(key_turn, minval=-_MAX_TURN, maxval=_MAX_TURN)
    shift = jax.random.uniform(key_shift, (2, 1), minval=-_MAX_SHIFT, maxval=_MAX_SHIFT)
    cosine, sine = jnp.cos(turn), jnp.sin(turn)
    turned = jnp.stack([jnp.stack([cosine, -sine]), jnp.stack([sine, cosine])])
    return warp(picture[None], jnp.concatenate([turned * size, shift], axis=1), picture.shape)[0]
