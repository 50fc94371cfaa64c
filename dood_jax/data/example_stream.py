"""Which image each training example sees, and with which noise: a function of seed, step and index alone.

A shuffle of 0..N-1 whose every entry is computed by itself, from a few random words.

Numbers are written as (left, right) in a grid of about √N × √N; each half in turn is moved, around the grid,
by a hash of the other half and a word (an unbalanced Feistel network). Every such move is one to one, so the
whole is; what lands outside 0..N-1 is moved again until it lies inside.

Two images of a set laid over each other: more lines than either has, of ink that the set knows.

A model that has only seen digits should be ready for images of more strokes than digits have.

Which image each training example sees, and with which noise: a function of seed, step and index alone.

An example's index is its place in the global batch, so results do not depend on how a batch is split over
devices and hosts, and a run resumes from its step number. Examples follow one another through the set, which
is shuffled anew for every epoch: an epoch shows each image exactly once. Where the set does not divide into
batches, a batch straddles two epochs.
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

ROUNDS = 8


class Grid(NamedTuple):
    """How many numbers are shuffled, and the grid that they are written in: [] uint32."""

    size: Array
    rows: Array
    columns: Array


def grid(size: int) -> Grid:
    """The grid of 0..size-1, as nearly square as whole numbers allow."""
    columns = math.isqrt(size - 1) + 1
    return Grid(np.uint32(size), np.uint32(-(-size // columns)), np.uint32(columns))


def shuffled(position: Array, grid: Grid, words: Array) -> Array:
    """[] uint32 entry of the shuffle of `grid.size` numbers at a [] position, by [ROUNDS] random words.

    Over all positions below the size every number below it comes exactly once.
    """
    move = lambda number: _move(number, grid, words)
    return lax.while_loop(lambda number: number >= grid.size, move, move(position.astype(jnp.uint32)))


def _move(number: Array, grid: Grid, words: Array) -> Array:
    """A one-to-one map of 0..rows*columns-1."""
    rows, columns = grid.rows, grid.columns
    left, right = number // columns, number % columns
    for turn in range(0, ROUNDS, 2):
        left = (left + _hash(right, words[turn]) % rows) % rows
        right = (right + _hash(left, words[turn + 1]) % columns) % columns
    return left * columns + right


def _hash(value: Array, word: Array) -> Array:
    """uint32 in which every bit depends on every bit of value and word: multiplied and xor-shifted twice."""
    mixed = value * np.uint32(0x9E3779B1) ^ word
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(factor)
    return mixed ^ (mixed >> np.uint32(16))


def words_of(key: Array) -> Array:
    """[ROUNDS] uint32 words; consumes the key."""
    return jax.random.bits(key, (ROUNDS,), jnp.uint32)


_SHRINKING = (0.9, 1.6)  # of either side
_MAX_SHIFT = 0.43  # of half an image, along either side
_MAX_TURN = 0.5  # radians


def lay_over(image: Array, other: Array, key: Array, source_size: int) -> Array:
    """[H, H] the darker of two images, each turned, resized and moved; consumes the key.

    It lies on the grid that the first was recorded on (`rendering.recording`).
    """
    key_image, key_other = jax.random.split(key)
    both = jnp.maximum(_moved(image, key_image), _moved(other, key_other))
    return onto_source_grid_of(source_size, image, both)


def _moved(image: Array, key: Array) -> Array:
    """[H, H] an image as seen through a random affine window; blank outside."""
    key_size, key_turn, key_shift = jax.random.split(key, 3)
    low, high = _SHRINKING
    size = jax.random.uniform(key_size, (2,), minval=low, maxval=high)
    turn = jax.random.uniform(key_turn, minval=-_MAX_TURN, maxval=_MAX_TURN)
    shift = jax.random.uniform(key_shift, (2, 1), minval=-_MAX_SHIFT, maxval=_MAX_SHIFT)
    cosine, sine = jnp.cos(turn), jnp.sin(turn)
    turned = jnp.stack([jnp.stack([cosine, -sine]), jnp.stack([sine, cosine])])
    return warp(image[None], jnp.concatenate([turned * size, shift], axis=1), image.shape)[0]


class Example(NamedTuple):
    """What a model learns from."""

    image: Array  # [H, W], 0..1
    is_plain: Array | bool  # [] one of the set as it is: the prior learns from no other


Sampler = Callable[[Array, Array, Array], Example]  # (images on the device, row, key)

_STREAMS = ("examples", "shuffles", "parameters", "evaluation")


class ExampleStream(NamedTuple):
    """What one model learns from: its seed, and its images among those on the device."""

    seed: Array  # [] uint32
    first: Array  # [] uint32 row of its first image
    grid: Grid  # of its images


def make_stream(seed: int, first: int, size: int, batch_size: int) -> ExampleStream:
    """The stream of a model that sees the `size` images from row `first` in batches of `batch_size`.

    Raises BadInput if there are so many images or examples that places in an epoch overflow.
    """
    if batch_size * size >= 2**32:
        raise BadInput(
            f"training.batch_size={batch_size} times {size} images is not below 2^32; take fewer of either"
        )
    return ExampleStream(np.uint32(seed), np.uint32(first), grid(size))


def purpose_key(seed: Array | int, purpose: str) -> Array:
    """The key of one purpose of a seed; no two purposes share any key."""
    return jax.random.fold_in(jax.random.key(seed), _STREAMS.index(purpose))


def example_keys(seed: Array | int, step: Array, indices: Array) -> Array:
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
        epoch, position = _place(step, index, batch_size, stream.grid.size)
        words = words_of(jax.random.fold_in(key, epoch))
        return stream.first + shuffled(position, stream.grid, words)

    return jax.vmap(row)(indices)


def _place(step: Array, index: Array, batch_size: int, size: Array) -> tuple[Array, Array]:
    """[] epoch and [] position in it of example step * batch_size + index, which itself may overflow.

    Every `size` steps are `batch_size` whole epochs.
    """
    step = jnp.asarray(step).astype(jnp.uint32)
    whole, rest = step // size, step % size
    count = rest * np.uint32(batch_size) + index.astype(jnp.uint32)
    return whole * np.uint32(batch_size) + count // size, count % size


def sample_example(images: Array, row: Array, key: Array) -> Example:
    """One of the uint8 [N, H, W] images on the device; needs no key."""
    del key
    return Example(_image(images, row), True)


def _image(images: Array, row: Array) -> Array:
    return images[row].astype(jnp.float32) / 255


def sampling_overlays(share: float, source_size: int) -> Sampler:
    """Picks images as they are, but a share of them with another of the set laid over (`data.overlay`)."""

    def pick(images: Array, row: Array, key: Array) -> Example:
        key_whether, key_other, key_overlay = jax.random.split(key, 3)
        image = _image(images, row)
        other = _image(images, jax.random.randint(key_other, (), 0, len(images)))
        overlaid = lay_over(image, other, key_overlay, source_size)
        is_overlaid = jax.random.bernoulli(key_whether, share)
        return Example(jnp.where(is_overlaid, overlaid, image), ~is_overlaid)

    return pick


def sample_synthetic(blank: Array, row: Array, key: Array) -> Example:
    """A synthetic drawing of the size of the [1, H, W] blank image; consumes the key."""
    del row
    return Example(random_drawing(key, blank.shape[-1]).image, True)
