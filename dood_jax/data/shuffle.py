"""A shuffle of 0..N-1 whose every entry is computed by itself, from a few random words.

Numbers are written as (left, right) in a grid of about √N × √N; each half in turn is moved, around the grid,
by a hash of the other half and a word (an unbalanced Feistel network). Every such move is one to one, so the
whole is; what lands outside 0..N-1 is moved again until it lies inside.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax.types import Array

ROUNDS = 8


def shuffled(position: Array, size: int, words: Array) -> Array:
    """[] uint32 entry of the shuffle of `size` numbers at a [] position, by [ROUNDS] random uint32 words.

    Over all positions below `size` every number below `size` comes exactly once.
    """
    columns = math.isqrt(size - 1) + 1
    rows = -(-size // columns)
    move = lambda number: _move(number, rows, columns, words)
    return lax.while_loop(lambda number: number >= np.uint32(size), move, move(position.astype(jnp.uint32)))


def _move(number: Array, rows: int, columns: int, words: Array) -> Array:
    """A one-to-one map of 0..rows*columns-1."""
    left, right = number // np.uint32(columns), number % np.uint32(columns)
    for turn in range(0, ROUNDS, 2):
        left = (left + _hash(right, words[turn]) % np.uint32(rows)) % np.uint32(rows)
        right = (right + _hash(left, words[turn + 1]) % np.uint32(columns)) % np.uint32(columns)
    return left * np.uint32(columns) + right


def _hash(value: Array, word: Array) -> Array:
    """uint32 in which every bit depends on every bit of value and word: multiplied and xor-shifted twice."""
    mixed = value * np.uint32(0x9E3779B1) ^ word
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(factor)
    return mixed ^ (mixed >> np.uint32(16))


def words_of(key: Array) -> Array:
    """[ROUNDS] uint32 words; consumes the key."""
    return jax.random.bits(key, (ROUNDS,), jnp.uint32)
