"""Drawings that are revised, in each turn those with about as many strokes together (method.md 5.2)."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from dood_jax.config.model import ModelConfig
from dood_jax.inference.batching import by_stroke_count, in_batches
from dood_jax.model.networks import Params
from dood_jax.runtime import parallel
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.test_time import revision
from dood_jax.test_time.revision import MOVES, Keys, Revised
from dood_jax.types import Array, BrushParams, Start, StrokeLatents

_BATCH_SIZE = 64


def revised(
    model: ModelConfig,
    params: Params,
    images: np.ndarray,
    start: Start,
    key_data: np.ndarray,
    iterations: int,
    num_revisions: int,
    group: DeviceGroup,
) -> Revised:
    """Posteriors of images after iterations and so many revisions, each with iterations of its own.

    Args:
      model: the model.
      params: its parameters.
      images: [N, H, W] in 0..1.
      start: of N drawings of T strokes.
      key_data: [N, ...] of the drawings; see `revision.Keys`.
      iterations: at the start and of each revision.
      num_revisions: how many.
      group: devices to use.
    """
    num_devices = len(group.devices)

    def refine(strokes, brush):
        refine_up_to = functools.partial(_compiled_refined, model, iterations, group)
        beside, presence = (strokes, brush, key_data), np.asarray(strokes.presence)
        return by_stroke_count(refine_up_to, params, images, beside, presence, num_devices)

    found = refine(start.strokes, start.brush)
    for turn in range(num_revisions):
        propose = _compiled_proposal(model, MOVES[turn % len(MOVES)], group)
        beside = (found, key_data, np.full(len(images), turn))
        found = _better(found, refine(*in_batches(propose, params, images, beside, _BATCH_SIZE, num_devices)))
    return found


def _better(found: Revised, other: Revised) -> Revised:
    """Of each of N drawings the posterior of higher score."""
    is_better = other.score > found.score
    choose = lambda old, new: np.where(is_better.reshape(-1, *[1] * (old.ndim - 1)), new, old)
    return jax.tree_util.tree_map(choose, found, other)


@functools.lru_cache
def _compiled_refined(
    model: ModelConfig, iterations: int, group: DeviceGroup, most_drawn: int
) -> Callable[[Params, Array, Any], Revised]:
    def one(params, image, beside):
        strokes, brush, key_data = beside
        key = Keys.of(key_data).score
        return revision.refined(model, params, image, strokes, brush, key, iterations, most_drawn)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)


@functools.lru_cache
def _compiled_proposal(
    model: ModelConfig, move: str, group: DeviceGroup
) -> Callable[[Params, Array, Any], tuple[StrokeLatents, BrushParams]]:
    def one(params, image, beside):
        found, key_data, turn = beside
        key = jax.random.fold_in(Keys.of(key_data).moves, turn)
        return revision.proposal(model, params, image, found, move, key)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)
