"""Which picture each training example sees, and with which noise: a function of seed, step and index alone.

An example's index is its place in the global batch, so results do not depend on how a batch is split over
devices and hosts, and a run resumes from its step number. Examples follow one another through the set, which
is shuffled anew for every epoch: an epoch shows each picture exactly once. Where the set does not divide into
batches, a batch straddles two epochs.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.data import overlay, shuffle
from dood_jax.data.synthetic import random_drawing
from dood_jax.errors import BadInput
from dood_jax.types import Array


class Example(NamedTuple):
    """What a model learns from."""

    image: Array  # [H, W], 0..1
    is_plain: Array | bool  # [] one of the set as it is: the prior learns from no other


Sampler = Callable[[Array, Array, Array], Example]  # (pictures on the device, row, key)

_STREAMS = ("examples", "shuffles", "parameters", "evaluation")


class Lessons(NamedTuple):
    """What one model learns from: its seed, and its pictures among those on the device."""

    seed: Array  # [] uint32
    first: Array  # [] uint32 row of its first picture
    grid: shuffle.Grid  # of its pictures


def lessons(seed: int, first: int, size: int, batch_size: int) -> Lessons:
    """The lessons of a model that sees the `size` pictures from row `first` in batches of `batch_size`.

    Raises BadInput if there are so many pictures or examples that places in an epoch overflow.
    """
    if batch_size * size >= 2**32:
        raise BadInput(
            f"training.batch_size={batch_size} times {size} pictures is not below 2^32; take fewer of either"
        )
    return Lessons(np.uint32(seed), np.uint32(first), shuffle.grid(size))


def stream(seed: Array | int, purpose: str) -> Array:
    """The key of one purpose of a seed; no two purposes share any key."""
    return jax.random.fold_in(jax.random.key(seed), _STREAMS.index(purpose))


def example_keys(seed: Array | int, step: Array, indices: Array) -> Array:
    """[B] keys of the examples with [B] global indices at a step."""
    step_key = jax.random.fold_in(stream(seed, "examples"), step)
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(step_key, indices)


def rows(lessons: Lessons, step: Array, indices: Array, batch_size: int) -> Array:
    """[B] uint32 rows of the pictures that the examples with [B] global indices see at a step.

    Args:
      lessons: of the model.
      step: [] from 0.
      indices: [B] places in the global batch.
      batch_size: of the global batch.
    """
    key = stream(lessons.seed, "shuffles")

    def row(index):
        epoch, position = _place(step, index, batch_size, lessons.grid.size)
        words = shuffle.words_of(jax.random.fold_in(key, epoch))
        return lessons.first + shuffle.shuffled(position, lessons.grid, words)

    return jax.vmap(row)(indices)


def _place(step: Array, index: Array, batch_size: int, size: Array) -> tuple[Array, Array]:
    """[] epoch and [] position in it of example step * batch_size + index, which itself may overflow.

    Every `size` steps are `batch_size` whole epochs.
    """
    step = jnp.asarray(step).astype(jnp.uint32)
    whole, rest = step // size, step % size
    count = rest * np.uint32(batch_size) + index.astype(jnp.uint32)
    return whole * np.uint32(batch_size) + count // size, count % size


def pick_resident(images: Array, row: Array, key: Array) -> Example:
    """One of the uint8 [N, H, W] pictures on the device; needs no key."""
    del key
    return Example(_picture(images, row), True)


def _picture(images: Array, row: Array) -> Array:
    return images[row].astype(jnp.float32) / 255


def picking_overlaid(share: float, native_size: int) -> Sampler:
    """Picks pictures as they are, but a share of them with another of the set laid over (`data.overlay`)."""

    def pick(images: Array, row: Array, key: Array) -> Example:
        key_whether, key_other, key_overlay = jax.random.split(key, 3)
        picture = _picture(images, row)
        other = _picture(images, jax.random.randint(key_other, (), 0, len(images)))
        overlaid = overlay.lay_over(picture, other, key_overlay, native_size)
        is_overlaid = jax.random.bernoulli(key_whether, share)
        return Example(jnp.where(is_overlaid, overlaid, picture), ~is_overlaid)

    return pick


def pick_synthetic(blank: Array, row: Array, key: Array) -> Example:
    """A synthetic drawing of the size of the [1, H, W] blank picture; consumes the key."""
    del row
    return Example(random_drawing(key, blank.shape[-1]).image, True)
