"""A step over several devices by `pmap` or `shard_map`, and the cache of compiled programs.

Compiled programs are kept on disk, so that only the first run of a model waits for the compiler.

The one module that knows devices, of one process or of several.

With one model, state and images are replicated and carry no device axis; only the batch is split: every
process makes its own share of it, from its own copy of the images. Several models, stacked, are themselves
split. One device is plain jit.
"""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dood_jax.config.groups import TrainingConfig
from dood_jax.errors import BadInput


def keep_compiled_programs() -> None:
    """Turns on JAX's persistent compilation cache, in the user's cache folder unless JAX is told another."""
    if jax.config.jax_compilation_cache_dir is None:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(Path(home) / "dood_jax"))


_AXIS = "data"


class Mapped(NamedTuple):
    """A step over devices, and what brings trees of arrays on the host to where it wants them."""

    step: Callable  # (state, images, stream) -> (state, metrics)
    place: Callable[[Any], Any]  # a state, or stream
    share: Callable[[Any], Any]  # images


def over_devices(
    step: Callable, devices: Sequence[jax.Device], training: TrainingConfig, num_models: int
) -> Mapped:
    """Maps a step over devices: its batch if it is of one model, else its models."""
    if num_models > 1:
        return Mapped(
            model_parallel(step, devices, training.batch_size, num_models),
            functools.partial(distribute, devices=devices),
            functools.partial(replicate, devices=devices),
        )
    mapped = data_parallel(step, devices, training.batch_size, training.parallel)
    kept_by = _of_this_process(devices) if training.parallel == "pmap" else devices
    place = functools.partial(replicate, devices=kept_by)
    return Mapped(mapped, place, place)


def replicate(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """Puts a tree of arrays on every device; each process gives the same."""
    return _put(tree, devices, PartitionSpec())


def distribute(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """Puts a tree of arrays stacked over models on the devices that train them; each process gives all."""
    return _put(tree, devices, PartitionSpec(_AXIS))


def _put(tree: Any, devices: Sequence[jax.Device], spec: PartitionSpec) -> Any:
    if len(devices) == 1:
        return jax.device_put(tree, devices[0])
    sharding = NamedSharding(Mesh(np.asarray(devices), (_AXIS,)), spec)
    if len(_of_this_process(devices)) == len(devices):
        return jax.device_put(tree, sharding)
    on_host = jax.tree_util.tree_map(np.asarray, tree)
    return jax.tree_util.tree_map(
        lambda leaf: jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index]), on_host
    )


def fetch(tree: Any) -> Any:
    """The arrays on the host, whole, in every process; what is split over processes all must ask for."""

    def whole(leaf):
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
            return leaf
        return multihost_utils.process_allgather(leaf, tiled=True)

    return jax.device_get(jax.tree_util.tree_map(whole, tree))


def _of_this_process(devices: Sequence[jax.Device]) -> list[jax.Device]:
    return [device for device in devices if device.process_index == jax.process_index()]


def data_parallel(step: Callable, devices: Sequence[jax.Device], batch_size: int, mode: str) -> Callable:
    """Maps a step over devices.

    Args:
      step: (state, images, stream, [b] global example indices, axis_name) -> (state, metrics), averaging
        itself.
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
        mapped = jax.jit(functools.partial(step, axis_name=None), donate_argnums=0)
    else:
        spread = {"pmap": _pmap, "shard_map": _shard_map}[mode]
        mapped, indices = spread(functools.partial(step, axis_name=_AXIS), devices, indices)
    return _awaited(lambda state, images, stream: mapped(state, images, stream, indices), devices)


def model_parallel(
    step: Callable, devices: Sequence[jax.Device], batch_size: int, num_models: int
) -> Callable:
    """Maps a step over models, each with its own state and stream, and the models over devices.

    Args:
      step: as for `data_parallel`; it need not average anything.
      devices: to split the models over.
      batch_size: of each model.
      num_models: that are trained side by side.

    Returns:
      (states, images, stream) -> (states, metrics), stacked over models but for the images, which all
      share; the states passed in are given up.
    """
    _require_whole_share(num_models, devices)
    indices = np.arange(batch_size, dtype=np.int32)

    def together(states, images, stream):
        return jax.vmap(step, in_axes=(0, None, 0, None))(states, images, stream, indices)

    if len(devices) > 1:
        shared, own = PartitionSpec(), PartitionSpec(_AXIS)
        together = jax.shard_map(
            together,
            mesh=Mesh(np.asarray(devices), (_AXIS,)),
            in_specs=(own, shared, own),
            out_specs=own,
            check_vma=False,
        )
    return _awaited(jax.jit(together, donate_argnums=0), devices)


def _require_whole_share(num_models: int, devices: Sequence[jax.Device]) -> None:
    if num_models % len(devices):
        raise BadInput(f"{num_models} models (training.num_models) do not divide over {len(devices)} devices")


def _awaited(step: Callable, devices: Sequence[jax.Device]) -> Callable:
    """On CPU waits for each step: loops that run ahead over several CPU devices can deadlock."""
    wait = jax.block_until_ready if devices[0].platform == "cpu" else lambda result: result
    return lambda *args: wait(step(*args))


def map_examples(function: Callable, devices: Sequence[jax.Device]) -> Callable:
    """Maps (params, [B, ...] images, [B] keys) -> [B, ...] results over devices; B divides over them.

    Each of several processes does its share of the images, and all get all results.
    """
    own = _of_this_process(devices)
    mapped = _map_examples_here(function, own)
    if len(own) == len(devices):
        return mapped

    def share_and_gather(params, images, keys):
        size = len(images) * len(own) // len(devices)
        mine = slice(jax.process_index() * size, (jax.process_index() + 1) * size)
        results = mapped(params, images[mine], jax.tree_util.tree_map(lambda leaf: leaf[mine], keys))
        return multihost_utils.process_allgather(jax.device_get(results), tiled=True)

    return share_and_gather


def _map_examples_here(function: Callable, devices: Sequence[jax.Device]) -> Callable:
    if len(devices) == 1:
        return jax.jit(function)
    mapped = jax.pmap(function, in_axes=(None, 0, 0), devices=devices)

    def split_and_join(params, images, keys):
        split = lambda array: array.reshape(len(devices), -1, *array.shape[1:])
        results = mapped(params, split(images), jax.tree_util.tree_map(split, keys))
        return jax.tree_util.tree_map(lambda array: array.reshape(-1, *array.shape[2:]), results)

    return split_and_join


def _pmap(step: Callable, devices: Sequence[jax.Device], indices: np.ndarray) -> tuple[Callable, np.ndarray]:
    """The mapped step, and of the indices those of this process."""
    in_axes = (None, None, None, 0)
    mapped = jax.pmap(step, _AXIS, in_axes=in_axes, out_axes=None, devices=devices, donate_argnums=0)
    own = [which for which, device in enumerate(devices) if device.process_index == jax.process_index()]
    return mapped, indices.reshape(len(devices), -1)[own]


def _shard_map(
    step: Callable, devices: Sequence[jax.Device], indices: np.ndarray
) -> tuple[Callable, jax.Array]:
    """The mapped step, and the indices split over the mesh."""
    mesh = Mesh(np.asarray(devices), (_AXIS,))
    everywhere, split = PartitionSpec(), PartitionSpec(_AXIS)
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(everywhere, everywhere, everywhere, split),
        out_specs=everywhere,
        check_vma=False,
    )
    return jax.jit(mapped, donate_argnums=0), distribute(indices, devices)


def device_name() -> str:
    """What the numbers were made on, as in `2 x NVIDIA H100` or `cpu (2 cores)`."""
    devices = jax.devices()
    if devices[0].platform == "cpu":
        return f"cpu ({os.cpu_count()} cores)"
    return f"{len(devices)} x {devices[0].device_kind}"
