"""Which picture each training example sees, and with which noise: a function of seed, step and index alone.

An example's index is its place in the global batch, so results do not depend on how a batch is split over
devices, and a run resumes from its step number.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from dood_jax.data.synthetic import random_drawing
from dood_jax.types import Array

Sampler = Callable[[Array, Array], Array]  # (pictures on the device, key) -> [H, W] picture, 0..1


def example_keys(seed: int, step: Array, indices: Array) -> Array:
    """[B] keys of the examples with [B] global indices at a step."""
    step_key = jax.random.fold_in(jax.random.key(seed), step)
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(step_key, indices)


def pick_resident(images: Array, key: Array) -> Array:
    """One of the uint8 [N, H, W] pictures on the device, drawn with replacement; consumes the key."""
    index = jax.random.randint(key, (), 0, images.shape[0])
    return images[index].astype(jnp.float32) / 255


def pick_synthetic(blank: Array, key: Array) -> Array:
    """A synthetic drawing of the size of the [1, H, W] blank picture; consumes the key."""
    return random_drawing(key, blank.shape[-1]).image
