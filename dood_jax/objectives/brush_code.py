"""A price for the brush: its numbers as codes of a few bits, with a prior (method.md 10.1).

A model gives every drawing its brush free of charge: what is bounded is log p(x | brush), the highest of all
brushes. With codes it is log p(x): the brush is rounded to one of 2^bits levels of its range, the canvas is
drawn with the rounded one, and the bound pays the code's log-probability. The prior of codes is Markov: that
of a stroke's width, or slope, given the width, or slope, of the stroke before it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.config.model import ModelConfig
from dood_jax.model.families import brush_limits
from dood_jax.types import Array, BrushParams

_SMOOTHING = 0.02  # standard deviation of the kernel that counts are spread by, as a fraction of the range
_PSEUDO_COUNT = 0.5  # spread evenly over all levels


class Chain(NamedTuple):
    """Log-probabilities of one number of the strokes of a drawing, rounded to L levels."""

    first: Array  # [L]
    following: Array  # [L, L] given the one before (rows)


class BrushCode(NamedTuple):
    """The prior of rounded brushes."""

    ink_width: Chain
    ink_slope: Chain
    canvas_slope: Array  # [L]


def fit(config: ModelConfig, brush: BrushParams, presence: np.ndarray, bits: int) -> BrushCode:
    """The prior of the brushes of N drawings, smoothed.

    Args:
      config: of the model that drew them.
      brush: [N, T] widths and slopes, [N] slopes of the canvas.
      presence: [N, T] bits.
      bits: a number has 2^bits levels.
    """
    width, slope, of_canvas = (np.asarray(level) for level in _levels(config, brush, 2**bits)[:3])
    presence = np.asarray(presence) > 0
    chain = lambda values: Chain(*map(_log_normalised, _counts(values, presence, 2**bits)))
    drawn = np.bincount(of_canvas[presence.any(1)], minlength=2**bits)
    return BrushCode(chain(width), chain(slope), _log_normalised(drawn))


def rounded(config: ModelConfig, code: BrushCode, brush: BrushParams) -> BrushParams:
    """The brush of one drawing, each number at the middle of its level."""
    count = len(code.canvas_slope)
    levels = _levels(config, brush, count)
    middle = lambda level, limits: limits[0] + (level + 0.5) / count * (limits[1] - limits[0])
    return jax.tree_util.tree_map(middle, levels, brush_limits(config))


def log_prob(config: ModelConfig, code: BrushCode, brush: BrushParams, presence: Array) -> Array:
    """[] of the rounded brush of one drawing with [T] bits; a drawing without strokes has no brush."""
    width, slope, of_canvas, _ = _levels(config, brush, len(code.canvas_slope))
    of_strokes = _chain_log_prob(code.ink_width, width) + _chain_log_prob(code.ink_slope, slope)
    return (presence * of_strokes).sum() + presence[0] * code.canvas_slope[of_canvas]


def _chain_log_prob(chain: Chain, levels: Array) -> Array:
    """[T] log-probabilities of levels, each given the one before."""
    return jnp.append(chain.first[levels[0]], chain.following[levels[:-1], levels[1:]])


def _levels(config: ModelConfig, brush: BrushParams, count: int) -> BrushParams:
    """Numbers of levels, int32 from 0."""

    def level(value, limits):
        low, high = limits
        return jnp.clip(jnp.floor((value - low) / (high - low) * count), 0, count - 1).astype(jnp.int32)

    return jax.tree_util.tree_map(level, brush, brush_limits(config))


def _counts(levels: np.ndarray, presence: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """[L] of first strokes and [L, L] of pairs of strokes that follow each other."""
    first = np.bincount(levels[presence[:, 0], 0], minlength=count)
    pairs = np.zeros((count, count))
    both = presence[:, 1:]  # a stroke is drawn only after the one before it
    np.add.at(pairs, (levels[:, :-1][both], levels[:, 1:][both]), 1)
    return first, pairs


def _log_normalised(counts: np.ndarray) -> Array:
    """Log-probabilities over the last axis of counts, spread over neighbours along every axis."""
    count = counts.shape[-1]
    reach = np.arange(count) / count
    kernel = np.exp(-((reach[:, None] - reach) ** 2) / (2 * _SMOOTHING**2))
    kernel /= kernel.sum(1, keepdims=True)
    for axis in range(counts.ndim):
        counts = np.moveaxis(np.tensordot(counts, kernel, (axis, 0)), -1, axis)
    smoothed = counts + _PSEUDO_COUNT / count
    return jnp.asarray(np.log(smoothed / smoothed.sum(-1, keepdims=True)), jnp.float32)
