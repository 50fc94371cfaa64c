"""New drawings in batches: sampled, varied, completed; the same in the Python interface and every task.

The devices are those of this process.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from dood_jax.config.model import ModelConfig
from dood_jax.inference.batching import in_batches
from dood_jax.model import drawing, sampling, variation
from dood_jax.model.networks import Params
from dood_jax.model.prior import Spread
from dood_jax.model.variation import TypeNoise
from dood_jax.runtime import parallel
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.types import Array, BrushParams, Sketch

_BATCH_SIZE = 64


def sample(
    model: ModelConfig,
    params: Params,
    brushes: BrushParams | None,
    keys: Array,
    num_strokes: int,
    spread: Spread,
) -> Sketch:
    """Samples drawings from the prior (method.md 10.5).

    Args:
      model: the model.
      params: its parameters.
      brushes: [N] of every part; a drawing has the same brush for all of its strokes. None if the model has a
        prior of brushes, to sample them.
      keys: [N] of the drawings.
      num_strokes: most strokes of a drawing, T.
      spread: factors of the prior's standard deviations, and the temperature of its mixtures.

    Returns:
      N drawings, with [N, T, H, W] canvases.
    """
    group = DeviceGroup.local()
    one = _compiled_sample(model, num_strokes, group)
    given = (brushes, _for_each(spread, len(keys)))
    return in_batches(one, params, keys, given, _BATCH_SIZE, len(group.devices))


def vary(
    model: ModelConfig,
    params: Params,
    sketch: Sketch,
    keys: Array,
    noise: TypeNoise,
    fix_rotation_units: bool,
) -> Sketch:
    """Makes a new exemplar of each of N drawings (method.md 10.7).

    Args:
      model: the model.
      params: its parameters.
      sketch: the N drawings.
      keys: [N] of the drawings.
      noise: standard deviations by which the exemplars differ from the drawings.
      fix_rotation_units: whether drawings turn by the whole angle that is sampled; as published by a
        hundredth of it.

    Returns:
      N drawings with as many strokes.
    """
    group = DeviceGroup.local()
    one = _compiled_exemplar(model, fix_rotation_units, group)
    given = (sketch.strokes, sketch.brush, _for_each(noise, len(keys)))
    return in_batches(one, params, keys, given, _BATCH_SIZE, len(group.devices))


def complete(
    model: ModelConfig,
    params: Params,
    sketch: Sketch,
    counts: np.ndarray,
    keys: Array,
    num_strokes: int,
    spread: Spread,
) -> Sketch:
    """Keeps the first strokes of each of N drawings and samples the others anew (method.md 10.8).

    Args:
      model: the model.
      params: its parameters.
      sketch: the N drawings.
      counts: [N] numbers of strokes that are kept.
      keys: [N] of the drawings.
      num_strokes: most new strokes, S.
      spread: as for `sample`.

    Returns:
      N drawings of T + S strokes, T of the given ones, with [N, T + S, H, W] canvases.
    """
    group = DeviceGroup.local()
    one = _compiled_completion(model, num_strokes, group)
    given = (sketch.strokes, sketch.brush, counts, _for_each(spread, len(keys)))
    return in_batches(one, params, keys, given, _BATCH_SIZE, len(group.devices))


def _for_each(settings: Any, count: int) -> Any:
    """[N] of each number, so that programs take them as arguments and are not compiled for every value."""
    return jax.tree_util.tree_map(lambda value: np.full(count, value, np.float32), settings)


def _sketch(model: ModelConfig, params: Params, strokes: Any, brush: BrushParams) -> Sketch:
    return Sketch(strokes, brush, drawing.render(model, params, strokes, brush))


@functools.lru_cache
def _compiled_sample(
    model: ModelConfig, num_strokes: int, group: DeviceGroup
) -> Callable[[Params, Array, Any], Sketch]:
    def one(params, key, given):
        brush, spread = given
        return _sketch(model, params, *sampling.sample(model, params, brush, key, num_strokes, spread))

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)


@functools.lru_cache
def _compiled_exemplar(
    model: ModelConfig, fix_rotation_units: bool, group: DeviceGroup
) -> Callable[[Params, Array, Any], Sketch]:
    def one(params, key, given):
        strokes, brush, noise = given
        return _sketch(
            model, params, *variation.exemplar(model, strokes, brush, key, noise, fix_rotation_units)
        )

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)


@functools.lru_cache
def _compiled_completion(
    model: ModelConfig, num_strokes: int, group: DeviceGroup
) -> Callable[[Params, Array, Any], Sketch]:
    def one(params, key, given):
        strokes, brush, count, spread = given
        completed = variation.complete(model, params, strokes, brush, count, key, num_strokes, spread)
        return _sketch(model, params, *completed)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)
