"""Which image each training example sees, and with which noise; and augmentation by overlaying images.

Both are functions of seed, step and index alone. The index of an example is its place in the global batch, so
results do not depend on how a batch is spread over devices and processes, and a run resumes from its step
number alone. Examples follow one another through the set, which is shuffled anew for every epoch: an epoch
shows each image exactly once. Where the set does not divide into batches, a batch straddles two epochs.

No shuffle is ever stored: each of its entries is computed by itself, from a few random words.

Augmentation lays two images of a set over each other. Such an image has more strokes than either, of ink that
looks like that of the set: a model that is trained on digits alone should also be ready for images of more
strokes than digits have.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax.data.synthetic import random_drawing
from dood_jax.errors import BadInput
from dood_jax.rendering.source_grid import onto_source_grid_of
from dood_jax.rendering.spatial_transformer import warp
from dood_jax.types import Array

_SCALE_RANGE = (0.9, 1.6)  # of the window's sides; above 1 the image shrinks
_MAX_SHIFT = 0.43  # of half an image, along either side
_MAX_ROTATION = 0.5  # radians


def lay_over(image: Array, other: Array, key: Array, source_size: int) -> Array:
    """[H, H] the larger ink at each pixel of two [H, H] images, each rotated, scaled and shifted.

    Consumes the key.

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


ROUNDS = 8  # of the shuffle; each takes one random word
_PURPOSES = ("examples", "shuffles", "parameters", "evaluation")  # a key of a seed each, by its place here


class ShuffleGrid(NamedTuple):
    """How many numbers are shuffled, and the sides of the grid that they are written in: [] uint32 each."""

    size: np.uint32 | Array
    rows: np.uint32 | Array
    columns: np.uint32 | Array


class ExampleStream(NamedTuple):
    """What one model is trained on: its seed, and its images among those on the device."""

    seed: np.uint32 | Array  # []
    first: np.uint32 | Array  # [] row of its first image
    grid: ShuffleGrid  # of its images


class Example(NamedTuple):
    """A training image."""

    image: Array  # [H, W], 0..1
    is_plain: Array | bool  # [] whether it is not augmented; the prior learns from plain images alone


Sampler = Callable[[Array, Array, Array], Example]  # of images on the device, a row, and a key


def make_stream(seed: int, first: int, size: int, batch_size: int) -> ExampleStream:
    """The stream of a model that sees the `size` images from row `first` on, in batches of `batch_size`.

    Raises BadInput if there are so many images or examples that places in an epoch overflow.
    """
    if batch_size * size >= 2**32:
        raise BadInput(
            f"training.batch_size={batch_size} times {size} images is not below 2^32; take fewer of either"
        )
    return ExampleStream(np.uint32(seed), np.uint32(first), shuffle_grid(size))


def purpose_key(seed: np.uint32 | Array | int, purpose: str) -> Array:
    """The key of one purpose of a seed; no two purposes share any key."""
    return jax.random.fold_in(jax.random.key(seed), _PURPOSES.index(purpose))


def example_keys(seed: np.uint32 | Array | int, step: Array, indices: Array) -> Array:
    """[B] keys of the examples with [B] global indices at a step."""
    step_key = jax.random.fold_in(purpose_key(seed, "examples"), step)
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(step_key, indices)


def rows(stream: ExampleStream, step: Array, indices: Array, batch_size: int) -> Array:
    """[B] uint32 rows of the images that the examples with [B] global indices see at a step.

    Args:
      stream: of the model.
      step: [] from 0.
      indices: [B] places in the global batch.
      batch_size: of the global batch.
    """
    key = purpose_key(stream.seed, "shuffles")

    def row(index):
        epoch, position = _epoch_and_position(step, index, batch_size, stream.grid.size)
        words = shuffle_words(jax.random.fold_in(key, epoch))
        return stream.first + shuffled(position, stream.grid, words)

    return jax.vmap(row)(indices)


def _epoch_and_position(
    step: Array, index: Array, batch_size: int, size: np.uint32 | Array
) -> tuple[Array, Array]:
    """[] epoch of example number step * batch_size + index, and its [] position in that epoch.

    The number itself may overflow 32 bits. But every `size` steps are exactly `batch_size` epochs, so whole
    such spans are counted apart, and what is left stays below size * batch_size.
    """
    step = jnp.asarray(step).astype(jnp.uint32)
    whole, rest = step // size, step % size
    count = rest * np.uint32(batch_size) + index.astype(jnp.uint32)
    return whole * np.uint32(batch_size) + count // size, count % size


def shuffle_grid(size: int) -> ShuffleGrid:
    """The grid of 0..size-1, as nearly square as whole numbers allow."""
    columns = math.isqrt(size - 1) + 1
    return ShuffleGrid(np.uint32(size), np.uint32(-(-size // columns)), np.uint32(columns))


def shuffle_words(key: Array) -> Array:
    """[ROUNDS] uint32 random words that make a shuffle; consumes the key."""
    return jax.random.bits(key, (ROUNDS,), jnp.uint32)


def shuffled(position: Array, grid: ShuffleGrid, words: Array) -> Array:
    """[] uint32 entry of the shuffle of `grid.size` numbers at a [] position, by [ROUNDS] random words.

    Over all positions below the size every number below it comes exactly once. The method is an unbalanced
    Feistel network: a number is written as (row, column) of the grid, and each of both in turn is moved,
    around the grid, by a hash of the other and a word. Every such move is one to one, so the whole is. A
    result in the part of the grid beyond the last number is moved again until it is one of the numbers.
    """
    move = lambda number: _move(number, grid, words)
    return lax.while_loop(lambda number: number >= grid.size, move, move(position.astype(jnp.uint32)))


def _move(number: Array, grid: ShuffleGrid, words: Array) -> Array:
    """A one-to-one map of 0..rows*columns-1 onto itself."""
    rows, columns = grid.rows, grid.columns
    row, column = number // columns, number % columns
    for turn in range(0, ROUNDS, 2):
        row = (row + _hash(column, words[turn]) % rows) % rows
        column = (column + _hash(row, words[turn + 1]) % columns) % columns
    return row * columns + column


def _hash(value: Array, word: Array) -> Array:
    """[] uint32 every bit of which depends on every bit of value and word.

    A multiplication carries low bits upwards, a shift brings high bits down; twice suffices.
    """
    mixed = value * np.uint32(0x9E3779B1) ^ word
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(factor)
    return mixed ^ (mixed >> np.uint32(16))


def sample_example(images: Array, row: Array, key: Array) -> Example:
    """The image at a row of the uint8 [N, H, W] images on the device; the key is not needed."""
    del key  # samplers have one signature
    return Example(_image(images, row), True)


def overlay_sampler(overlay_prob: float, source_size: int) -> Sampler:
    """A sampler that lays another image of the set over some images, with a probability."""

    def sample(images: Array, row: Array, key: Array) -> Example:
        key_whether, key_other, key_overlay = jax.random.split(key, 3)
        image = _image(images, row)
        other = _image(images, jax.random.randint(key_other, (), 0, len(images)))
        overlaid = lay_over(image, other, key_overlay, source_size)
        is_overlaid = jax.random.bernoulli(key_whether, overlay_prob)
        return Example(jnp.where(is_overlaid, overlaid, image), ~is_overlaid)

    return sample


def sample_synthetic(blank: Array, row: Array, key: Array) -> Example:
    """A synthetic drawing of the size of the [1, H, W] blank image; consumes the key."""
    del row  # samplers have one signature
    return Example(random_drawing(key, blank.shape[-1]).image, True)


def _image(images: Array, row: Array) -> Array:
    """[H, W] in 0..1 of uint8 [N, H, W]."""
    return images[row].astype(jnp.float32) / 255
