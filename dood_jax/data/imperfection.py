"""What hand, paper and scanner do to a drawing, for pictures that no pen model can match to the last pixel.

Ink runs thick and thin over the page, the page is bent a little, and half of the pictures pass through
28 x 28 pixels and back, as the pictures of most datasets have.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from dood_jax.rendering.resampling import bilinear, through
from dood_jax.types import Array

_KNOTS = 6  # of a smooth field, along either side
_MAX_UNEVENNESS = 0.5  # standard deviation of the logarithm of ink, for the worst pen
_MAX_BEND = 0.016  # standard deviation of displacements, as a share of the picture, for the worst page
_NATIVE_SIZE = 28


def scan_of(ink: Array, key: Array) -> Array:
    """[H, H] ink, which may exceed 1, -> [H, H] picture in 0..1; consumes the key."""
    key_ink, key_page, key_resample = jax.random.split(key, 3)
    picture = _bend(_uneven(ink, key_ink), key_page)
    soften = _through_native_size(len(ink))
    soft = jnp.clip(through(picture, [soften, soften]), 0, 1)
    return jnp.where(jax.random.bernoulli(key_resample), soft, picture)


def _uneven(ink: Array, key: Array) -> Array:
    """The ink of a pen that gives more in some places than in others, at most black."""
    key_level, key_worst, key_field = jax.random.split(key, 3)
    level = jax.random.uniform(key_level, minval=0.9, maxval=1.4)
    unevenness = _MAX_UNEVENNESS * jax.random.uniform(key_worst)
    return jnp.clip(level * jnp.exp(unevenness * _smooth(key_field, len(ink))) * ink, 0, 1)


def _bend(picture: Array, key: Array) -> Array:
    """The picture on a page that is not flat; blank outside."""
    key_worst, *key_fields = jax.random.split(key, 3)
    size = len(picture)
    reach = _MAX_BEND * size * jax.random.uniform(key_worst)
    places = [
        place + reach * _smooth(key, size)
        for place, key in zip(jnp.indices((size, size)), key_fields, strict=True)
    ]
    return map_coordinates(picture, places, order=1, mode="constant")


def _smooth(key: Array, size: int) -> Array:
    """[H, H] smooth field, at its knots standard normal."""
    spread = bilinear(_KNOTS, size)
    return through(jax.random.normal(key, (_KNOTS, _KNOTS)), [spread, spread])


def _through_native_size(size: int) -> np.ndarray:
    """[size, size] map of a line of pixels to 28 and back, bilinear and antialiased."""
    return bilinear(size, _NATIVE_SIZE) @ bilinear(_NATIVE_SIZE, size)
