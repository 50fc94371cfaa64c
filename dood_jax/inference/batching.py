"""Images in batches of one size, in parts that are kept, and drawings by their number of strokes."""

import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.types import Array

_FEW = 4  # so many images a device are faster one by one than padded to a batch of dozens
_STROKES_IN_CACHE = 24  # of a batch on a CPU: what iterations make of them stays near the processor
_STROKES_TOGETHER = 768  # of a batch on an accelerator


class ResumeCache(Protocol):
    """Keeps the results of finished parts, so that an interrupted measurement goes on where it was."""

    def get(self, start: int) -> Any | None:
        """The results of the part that begins at image `start`, if they were kept."""

    def put(self, start: int, results: Any) -> None:
        """Keeps the results of the part that begins at image `start`."""


@functools.partial(jax.jit, static_argnums=1)
def example_keys(key: Array, count: int) -> Array:
    """[N] keys of the images of a set; each depends on the given key and its place alone."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, np.arange(count))


def in_parts(
    function: Callable,
    params: Any,
    images: np.ndarray,
    keys: Array,
    part_size: int,
    cache: ResumeCache | None = None,
) -> Any:
    """Applies a function to N images, so many at a time.

    Args:
      function: (params, [n, H, W] images, [n] keys) -> tree of [n, ...] results.
      params: tree of arrays, the first argument of the function.
      images: [N, H, W].
      keys: [N] of the images.
      part_size: most images of a part; only the last has fewer.
      cache: parts whose results it has are not computed again, unless several processes compute them
        together.

    Returns:
      Tree of [N, ...] NumPy arrays.
    """
    cache = cache if jax.process_count() == 1 else None
    results = []
    for start in range(0, len(images), part_size):
        part = slice(start, start + part_size)
        result = cache.get(start) if cache else None
        if result is None:
            result = function(params, images[part], keys[part])
            if cache:
                cache.put(start, result)
        results.append(result)
    return jax.tree_util.tree_map(lambda *leaves: np.concatenate(leaves), *results)


def are_few(count: int, num_devices: int = 1) -> bool:
    """Whether so many images go one by one rather than in batches."""
    return count <= _FEW * num_devices


def in_batches(
    function: Callable,
    params: Any,
    images: np.ndarray | Array,
    beside: Any,
    batch_size: int,
    num_devices: int = 1,
) -> Any:
    """Applies a compiled function to N images, in batches that all have the same size.

    So two programs do for any number of images: a few go one by one, more in whole batches, the last of
    which is padded. On a CPU as many batches as it has cores are computed at a time, in threads that settings
    of JAX by a `with` block do not reach.

    Args:
      function: (params, [B, H, W] images, [B, ...] what belongs to them) -> tree of [B, ...] results.
      params: tree of arrays, the first argument of the function.
      images: [N, H, W], or [N] of something else; at least one.
      beside: tree of [N, ...] arrays that belong to the images, such as their keys.
      batch_size: B, rounded up to a multiple of the number of devices.
      num_devices: that the function splits a batch over.

    Returns:
      Tree of [N, ...] NumPy arrays.
    """
    return _in_groups([_Group(function, images, beside, batch_size)], params, num_devices)[0]


def by_stroke_count(
    function_of: Callable[[int], Callable],
    params: Any,
    images: np.ndarray,
    beside: Any,
    presence: np.ndarray,
    num_devices: int = 1,
) -> Any:
    """`in_batches` of drawings that have about as many strokes, so that few strokes are computed in vain.

    Drawings of 2, 3, 4, 6, 8 … strokes go together. Those that would not fill half a batch join those of more
    strokes. A few drawings go one by one.

    Args:
      function_of: a number C of strokes -> the compiled function of drawings that have no more.
      params: tree of arrays, the first argument of the functions.
      images: [N, H, W], one of each drawing; at least one.
      beside: tree of [N, ...] arrays that belong to the drawings.
      presence: [N, T] bits of the drawings.
      num_devices: that the functions split a batch over.

    Returns:
      Tree of [N, ...] NumPy arrays.
    """
    drawn = np.maximum(presence.sum(1).astype(int), 2)
    counts = np.minimum(np.where(drawn == 3, 3, drawn + drawn % 2), presence.shape[1])
    together = _STROKES_IN_CACHE if jax.default_backend() == "cpu" else _STROKES_TOGETHER
    few = are_few(len(images), num_devices)
    size_of = lambda count: 1 if few else max(together // count, 1)
    groups, rows_of = [], []
    rows = np.zeros(0, int)
    for count in np.unique(counts).tolist():
        rows = np.concatenate([rows, np.flatnonzero(counts == count)])
        if 2 * len(rows) >= size_of(count) or count == counts.max():
            groups.append(_Group(function_of(count), images[rows], take(beside, rows), size_of(count)))
            rows_of.append(rows)
            rows = rows[:0]
    results = _in_groups(groups, params, num_devices)
    in_place = np.argsort(np.concatenate(rows_of))
    return jax.tree_util.tree_map(lambda *leaves: np.concatenate(leaves)[in_place], *results)


class _Group(NamedTuple):
    """Images that one function is applied to, in batches of one size."""

    function: Callable
    images: np.ndarray | Array
    beside: Any
    batch_size: int


def _in_groups(groups: list[_Group], params: Any, num_devices: int) -> list[Any]:
    """The results of each group; batches of all groups share the cores of a CPU.

    In every call the first batch of a group goes ahead of its others, since it may have to be compiled.
    """

    def batches_of(group):
        count = len(group.images)
        size = 1 if are_few(count, num_devices) and count < group.batch_size else group.batch_size
        size += -size % num_devices
        return [np.arange(start, start + size) for start in range(0, count, size)]

    def compute(group, indices, first=None):
        if first:
            first.result()  # has compiled the function
        indices = np.minimum(indices, len(group.images) - 1)
        found = group.function(params, group.images[indices], take(group.beside, indices))
        return jax.device_get(found)

    def whole(group, results):
        return jax.tree_util.tree_map(lambda *leaves: np.concatenate(leaves)[: len(group.images)], *results)

    batches = [batches_of(group) for group in groups]
    if sum(map(len, batches)) == 1:  # threads would cost more than they save
        return [whole(groups[0], [compute(groups[0], batches[0][0])])]
    started: list[list[Future]] = [[] for _ in groups]
    pool = ThreadPoolExecutor(_batches_at_a_time(num_devices))
    try:
        for turn in itertools.zip_longest(*batches):  # the first batch of each group, then the second, …
            for group, indices, mine in zip(groups, turn, started, strict=True):
                if indices is not None:
                    mine.append(pool.submit(compute, group, indices, *mine[:1]))
        results = [[batch.result() for batch in mine] for mine in started]
    finally:
        pool.shutdown(cancel_futures=True)  # those that wait, if one has failed
    return [whole(*group) for group in zip(groups, results, strict=True)]


def take(tree: Any, rows: np.ndarray) -> Any:
    """Rows of every leaf, taken on the host, where no shape needs a program of its own."""

    def of_leaf(leaf):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(np.asarray(jax.random.key_data(leaf))[rows])
        return np.asarray(leaf)[rows]

    return jax.tree_util.tree_map(of_leaf, tree)


def _batches_at_a_time(num_devices: int) -> int:
    """One for each core, where there are no devices to split a batch over and no others to wait for."""
    alone = num_devices == 1 and jax.process_count() == 1 and jax.default_backend() == "cpu"
    return (os.cpu_count() or 1) if alone else 1
