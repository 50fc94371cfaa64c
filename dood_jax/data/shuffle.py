"""A shuffle of 0..N-1 whose every entry is computed by itself, from a few random words.

Numbers are written as (left, right) in a grid of about √N × √N; each half in turn is moved, around the grid,
by a hash of the other half and a word (an unbalanced Feistel network). Every such move is one to one, so the
whole is; what lands outside 0..N-1 is moved again until it lies inside.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

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
