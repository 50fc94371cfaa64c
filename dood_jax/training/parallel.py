"""The one module that knows devices.

With one model, state and pictures are replicated and carry no device axis; only the batch is split. Several
models, stacked, are themselves split. One device is plain jit.
"""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dood_jax.errors import BadInput
from dood_jax.training.config import TrainingConfig

_AXIS = "data"


def replicate(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """Puts a tree of arrays on every device."""
    if len(devices) == 1:
        return jax.device_put(tree, devices[0])
    mesh = Mesh(np.asarray(devices), (_AXIS,))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def over_devices(
    step: Callable, devices: Sequence[jax.Device], training: TrainingConfig, num_models: int
) -> tuple[Callable, Callable]:
    """Maps a step over devices: its batch if it is of one model, else its models.

    Returns:
      (state, pictures, lessons) -> (state, metrics), and what puts a state and lessons where it wants them.
    """
    if num_models == 1:
        mapped = data_parallel(step, devices, training.batch_size, training.parallel)
        return mapped, functools.partial(replicate, devices=devices)
    mapped = model_parallel(step, devices, training.batch_size, num_models)
    return mapped, functools.partial(distribute, devices=devices)


def data_parallel(step: Callable, devices: Sequence[jax.Device], batch_size: int, mode: str) -> Callable:
    """Maps a step over devices.

    Args:
      step: (state, pictures, lessons, [b] global example indices, axis_name) -> (state, metrics), averaging
        itself.
      devices: to split the batch over.
      batch_size: over all devices.
      mode: `pmap`, or `shard_map` for the same by a mesh.

    Returns:
      (state, pictures, lessons) -> (state, metrics), all replicated; the state passed in is given up.
    """
    if batch_size % len(devices):
        raise BadInput(f"training.batch_size={batch_size} does not divide over {len(devices)} devices")
    indices = np.arange(batch_size, dtype=np.int32)
    if len(devices) == 1:
        mapped = jax.jit(functools.partial(step, axis_name=None), donate_argnums=0)
    else:
        mapped = {"pmap": _pmap, "shard_map": _shard_map}[mode](
            functools.partial(step, axis_name=_AXIS), devices
        )
    return _awaited(lambda state, pictures, lessons: mapped(state, pictures, lessons, indices), devices)


def model_parallel(
    step: Callable, devices: Sequence[jax.Device], batch_size: int, num_models: int
) -> Callable:
    """Maps a step over models, each with its own state and lessons, and the models over devices.

    Args:
      step: as for `data_parallel`; it need not average anything.
      devices: to split the models over.
      batch_size: of each model.
      num_models: that are trained side by side.

    Returns:
      (states, pictures, lessons) -> (states, metrics), stacked over models but for the pictures, which all
      share; the states passed in are given up.
    """
    _require_whole_share(num_models, devices)
    indices = np.arange(batch_size, dtype=np.int32)

    def together(states, pictures, lessons):
        return jax.vmap(step, in_axes=(0, None, 0, None))(states, pictures, lessons, indices)

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


def distribute(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """Puts a tree of arrays stacked over models on the devices that train them."""
    if len(devices) == 1:
        return jax.device_put(tree, devices[0])
    return jax.device_put(tree, NamedSharding(Mesh(np.asarray(devices), (_AXIS,)), PartitionSpec(_AXIS)))


def _require_whole_share(num_models: int, devices: Sequence[jax.Device]) -> None:
    if num_models % len(devices):
        raise BadInput(f"{num_models} models (training.num_models) do not divide over {len(devices)} devices")


def _awaited(step: Callable, devices: Sequence[jax.Device]) -> Callable:
    """On CPU waits for each step: loops that run ahead over several CPU devices can deadlock."""
    wait = jax.block_until_ready if devices[0].platform == "cpu" else lambda result: result
    return lambda *args: wait(step(*args))


def map_examples(function: Callable, devices: Sequence[jax.Device]) -> Callable:
    """Maps (params, [B, ...] images, [B] keys) -> [B, ...] results over devices; B divides over them."""
    if len(devices) == 1:
        return jax.jit(function)
    mapped = jax.pmap(function, in_axes=(None, 0, 0), devices=devices)

    def split_and_join(params, images, keys):
        split = lambda array: array.reshape(len(devices), -1, *array.shape[1:])
        results = mapped(params, split(images), jax.tree_util.tree_map(split, keys))
        return jax.tree_util.tree_map(lambda array: array.reshape(-1, *array.shape[2:]), results)

    return split_and_join


def _pmap(step: Callable, devices: Sequence[jax.Device]) -> Callable:
    in_axes = (None, None, None, 0)
    mapped = jax.pmap(step, _AXIS, in_axes=in_axes, out_axes=None, devices=devices, donate_argnums=0)
    return lambda *args: mapped(*args[:-1], args[-1].reshape(len(devices), -1))


def _shard_map(step: Callable, devices: Sequence[jax.Device]) -> Callable:
    mesh = Mesh(np.asarray(devices), (_AXIS,))
    everywhere, split = PartitionSpec(), PartitionSpec(_AXIS)
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(everywhere, everywhere, everywhere, split),
        out_specs=everywhere,
        check_vma=False,
    )
    return jax.jit(mapped, donate_argnums=0)


def device_name() -> str:
    """What the numbers were made on, as in `2 x NVIDIA H100` or `cpu (2 cores)`."""
    devices = jax.devices()
    if devices[0].platform == "cpu":
        return f"cpu ({os.cpu_count()} cores)"
    return f"{len(devices)} x {devices[0].device_kind}"
