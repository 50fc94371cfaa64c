"""Work over the devices of one process or of several, by `pmap` or by `shard_map`.

This is the only module that knows devices. With one model, state and images are replicated and have no
device axis; only the batch is split, and every process makes its own part of it from its own copy of the
images. Several models that are trained side by side are stacked along a leading axis, which is split over the
devices. One device needs no mapping, only compiling.
"""

import ctypes
import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dood_jax.config.groups import TrainingConfig
from dood_jax.errors import BadInput
from dood_jax.runtime import kept
from dood_jax.runtime.compiling import compiled

PyTree = Any  # nested containers with arrays as leaves
_AXIS = "data"
# Options of glibc's malloc: no array of its own mapping, none given back, one heap for all threads.
_KEEP_MEMORY = {-4: 0, -1: 2**31 - 1, -8: 1}  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX
_EVERYWHERE, _SPLIT = PartitionSpec(), PartitionSpec(_AXIS)


def keep_compiled_programs() -> None:
    """Keeps compiled programs on disk, so that only the first run of a model waits for the compiler.

    They lie in the user's cache folder, unless JAX is told another one.
    """
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined] # declared at run time
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(home) / "dood_jax"))
        jax.config.update(
            "jax_persistent_cache_min_compile_time_secs", 0.0
        )  # a dozen small ones take a second


def keep_freed_memory() -> None:
    """Keeps memory that a step gives back in the process, on Linux with glibc, for the next step to use.

    Otherwise large arrays go back to the system after every step and come anew page by page, which costs a
    quarter of the processor time of a training step. To be called before JAX starts its threads.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for option, value in _KEEP_MEMORY.items():
            mallopt(option, value)


def device_name() -> str:
    """What numbers are computed on, as in `2 x NVIDIA H100` or `cpu (2 cores)`."""
    devices = jax.devices()
    if devices[0].platform == "cpu":
        return f"cpu ({os.cpu_count()} cores)"
    return f"{len(devices)} x {devices[0].device_kind}"


def stack(trees: Sequence[PyTree]) -> PyTree:
    """The trees of several models as one with a leading axis of models; the tree of one model as it is."""
    return trees[0] if len(trees) == 1 else jax.tree_util.tree_map(lambda *leaves: np.stack(leaves), *trees)


def pick(tree: PyTree, count: int, which: int) -> PyTree:
    """The tree of one of `count` models that `stack` put together."""
    return tree if count == 1 else jax.tree_util.tree_map(lambda leaf: leaf[which], tree)


class DeviceGroup(NamedTuple):
    """The devices that examples are split over, and by which of JAX's ways."""

    devices: tuple[jax.Device, ...]
    mode: str = "pmap"  # or shard_map

    @classmethod
    def local(cls, mode: str = "pmap") -> "DeviceGroup":
        """The devices of this process."""
        return cls(tuple(jax.local_devices()), mode)

    @classmethod
    def all(cls, mode: str = "pmap") -> "DeviceGroup":
        """The devices of all processes of the run; each process must then ask for the same work."""
        return cls(tuple(jax.devices()), mode)


class MappedStep(NamedTuple):
    """A training step over devices, and what brings arrays from the host to where it wants them."""

    step: Callable  # (state, images, stream) -> (state, metrics)
    place: Callable[[PyTree], PyTree]  # a state, or the example stream
    share: Callable[[PyTree], PyTree]  # images


def over_devices(
    step: Callable, devices: Sequence[jax.Device], training: TrainingConfig, num_models: int
) -> MappedStep:
    """Maps a step over devices: the batch is split if there is one model, else the models are."""
    if num_models > 1:
        return MappedStep(
            model_parallel(step, devices, training.batch_size, num_models),
            functools.partial(distribute, devices=devices),
            functools.partial(replicate, devices=devices),
        )
    mapped = data_parallel(step, devices, training.batch_size, training.parallel)
    kept_by = _of_this_process(devices) if training.parallel == "pmap" else devices
    place = functools.partial(replicate, devices=kept_by)
    return MappedStep(mapped, place, place)


def replicate(tree: PyTree, devices: Sequence[jax.Device]) -> PyTree:
    """Puts a tree of arrays on every device; each process gives the same."""
    return _put(tree, devices, _EVERYWHERE)


def distribute(tree: PyTree, devices: Sequence[jax.Device]) -> PyTree:
    """Splits the leading axis of a tree of arrays over devices; each process gives the whole tree."""
    return _put(tree, devices, _SPLIT)


def _put(tree: PyTree, devices: Sequence[jax.Device], spec: PartitionSpec) -> PyTree:
    if len(devices) == 1:
        return jax.device_put(tree, devices[0])
    sharding = NamedSharding(Mesh(np.asarray(devices), (_AXIS,)), spec)
    if len(_of_this_process(devices)) == len(devices):
        return jax.device_put(tree, sharding)
    on_host = jax.tree_util.tree_map(np.asarray, tree)
    return jax.tree_util.tree_map(
        lambda leaf: jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index]), on_host
    )


def fetch(tree: PyTree) -> PyTree:
    """The whole arrays on the host, in every process.

    What is split over processes travels between them, so all of them must ask for it.
    """

    def whole(leaf):
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
            return leaf
        return multihost_utils.process_allgather(leaf, tiled=True)

    return jax.device_get(jax.tree_util.tree_map(whole, tree))


def _of_this_process(devices: Sequence[jax.Device]) -> list[jax.Device]:
    return [device for device in devices if device.process_index == jax.process_index()]


def data_parallel(step: Callable, devices: Sequence[jax.Device], batch_size: int, mode: str) -> Callable:
    """Maps a training step over devices, each of which takes a part of the batch.

    Args:
      step: (state, images, stream, [b] global example indices, axis_name) -> (state, metrics); it averages
        gradients and metrics over the axis itself.
      devices: to split the batch over.
      batch_size: over all devices.
      mode: `pmap`, or `shard_map` for the same by a mesh.

    Returns:
      (state, images, stream) -> (state, metrics), all replicated; the state passed in is given up.
    """
    if batch_size % len(devices):
        raise BadInput(f"training.batch_size={batch_size} does not divide over {len(devices)} devices")
    indices = np.arange(batch_size, dtype=np.int32)
    if len(devices) == 1:
        alone = compiled(functools.partial(step, axis_name=None), donate_argnums=(0,))
        return _awaited(lambda state, images, stream: alone(state, images, stream, indices), devices)
    over = {"pmap": _pmap_step, "shard_map": _shard_map_step}[mode]
    mapped, own_indices = over(functools.partial(step, axis_name=_AXIS), devices, indices)
    return _awaited(lambda state, images, stream: mapped(state, images, stream, own_indices), devices)


def _pmap_step(
    step: Callable, devices: Sequence[jax.Device], indices: np.ndarray
) -> tuple[Callable, np.ndarray]:
    """The mapped step, and the indices of this process: [own devices, b]."""
    in_axes = (None, None, None, 0)
    mapped = jax.pmap(step, _AXIS, in_axes=in_axes, out_axes=None, devices=devices, donate_argnums=0)
    own = [which for which, device in enumerate(devices) if device.process_index == jax.process_index()]
    return mapped, indices.reshape(len(devices), -1)[own]


def _shard_map_step(
    step: Callable, devices: Sequence[jax.Device], indices: np.ndarray
) -> tuple[Callable, jax.Array]:
    """The mapped step, and the [B] indices, split over the mesh."""
    in_specs = (_EVERYWHERE, _EVERYWHERE, _EVERYWHERE, _SPLIT)
    mapped = _shard_map(step, devices, in_specs, _EVERYWHERE)
    return compiled(mapped, donate_argnums=(0,)), distribute(indices, devices)


def _shard_map(function: Callable, devices: Sequence[jax.Device], in_specs: Any, out_specs: Any) -> Callable:
    mesh = Mesh(np.asarray(devices), (_AXIS,))
    # Replication is not checked: steps average by hand, which JAX cannot see through.
    return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False)


def model_parallel(
    step: Callable, devices: Sequence[jax.Device], batch_size: int, num_models: int
) -> Callable:
    """Maps a training step over models, each with its own state and stream, and the models over devices.

    Args:
      step: as for `data_parallel`; it need not average anything.
      devices: to split the models over.
      batch_size: of each model.
      num_models: that are trained side by side.

    Returns:
      (states, images, stream) -> (states, metrics), stacked over models but for the images, which all
      share; the states passed in are given up.
    """
    if num_models % len(devices):
        raise BadInput(f"{num_models} models (training.num_models) do not divide over {len(devices)} devices")
    indices = np.arange(batch_size, dtype=np.int32)

    def together(states, images, stream):
        return jax.vmap(step, in_axes=(0, None, 0, None))(states, images, stream, indices)

    if len(devices) > 1:
        together = _shard_map(together, devices, (_SPLIT, _EVERYWHERE, _SPLIT), _SPLIT)
    return _awaited(compiled(together, donate_argnums=(0,)), devices)


def _awaited(step: Callable, devices: Sequence[jax.Device]) -> Callable:
    """On CPU waits for each step: loops that run ahead over several CPU devices can deadlock."""
    wait = jax.block_until_ready if devices[0].platform == "cpu" else lambda result: result
    return lambda *args: wait(step(*args))


def map_examples(function: Callable, group: DeviceGroup, kept_as: str = "") -> Callable:
    """Maps a function of a batch over devices.

    Args:
      function: (params, [b, ...] images, [b, ...] what belongs to them) -> [b, ...] results, trees of arrays.
      group: the devices, and how they are used. Each of several processes does its part of the images.
      kept_as: says everything that the function depends on, so that one device alone need not wait until it
        is traced where an earlier process did that; "" to trace it in every process.

    Returns:
      The same function of [B, ...] images, where B divides by the number of devices; every process gets all
      results.
    """
    own = _of_this_process(group.devices)
    mapped = _map_examples_here(function, own, group.mode, kept_as)
    if len(own) == len(group.devices):
        return mapped

    def split_and_gather(params, images, beside):
        size = len(images) * len(own) // len(group.devices)
        mine = slice(jax.process_index() * size, (jax.process_index() + 1) * size)
        results = mapped(params, images[mine], jax.tree_util.tree_map(lambda leaf: leaf[mine], beside))
        return multihost_utils.process_allgather(jax.device_get(results), tiled=True)

    return split_and_gather


def _map_examples_here(
    function: Callable, devices: Sequence[jax.Device], mode: str, kept_as: str
) -> Callable:
    """Over the devices of this process."""
    if len(devices) == 1:
        return kept.program(kept_as, lambda: function) if kept_as else compiled(function)
    if mode == "shard_map":
        return compiled(_shard_map(function, devices, (_EVERYWHERE, _SPLIT, _SPLIT), _SPLIT))
    mapped = jax.pmap(function, in_axes=(None, 0, 0), devices=devices)

    def split_and_join(params, images, beside):
        split = lambda array: array.reshape(len(devices), -1, *array.shape[1:])
        results = mapped(params, split(images), jax.tree_util.tree_map(split, beside))
        return jax.tree_util.tree_map(lambda array: array.reshape(-1, *array.shape[2:]), results)

    return split_and_join
