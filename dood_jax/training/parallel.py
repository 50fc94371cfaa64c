"""The one module that knows devices.

State and pictures are replicated and carry no device axis; only the batch is split. One device is plain jit.
"""

import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from dood_jax.errors import BadInput

_AXIS = "data"


def replicate(tree: Any, devices: Sequence[jax.Device]) -> Any:
    """Puts a tree of arrays on every device."""
    if len(devices) == 1:
        return jax.device_put(tree, devices[0])
    mesh = Mesh(np.asarray(devices), (_AXIS,))
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def data_parallel(step: Callable, devices: Sequence[jax.Device], batch_size: int, mode: str) -> Callable:
    """Maps a step over devices.

    Args:
      step: (state, pictures, [b] global example indices, axis_name) -> (state, metrics), averaging itself.
      devices: to split the batch over.
      batch_size: over all devices.
      mode: `pmap`, or `shard_map` for the same by a mesh.

    Returns:
      (state, pictures) -> (state, metrics), all replicated; the state passed in is given up. On CPU it waits
      for the step: loops that run ahead over several CPU devices can deadlock.
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
    wait = jax.block_until_ready if devices[0].platform == "cpu" else lambda result: result
    return lambda state, pictures: wait(mapped(state, pictures, indices))


def map_examples(function: Callable, devices: Sequence[jax.Device]) -> Callable:
    """Maps (params, [B, ...] images, [B] keys) -> [B, ...] results over devices; B divides over them."""
    if len(devices) == 1:
        return jax.jit(function)
    mapped = jax.pmap(function, in_axes=(None, 0, 0), devices=devices)

    def split_and_join(params, images, keys):
        split = lambda array: array.reshape(len(devices), -1, *array.shape[1:])
        results = mapped(params, split(images), split(keys))
        return jax.tree_util.tree_map(lambda array: array.reshape(-1, *array.shape[2:]), results)

    return split_and_join


def _pmap(step: Callable, devices: Sequence[jax.Device]) -> Callable:
    mapped = jax.pmap(step, _AXIS, in_axes=(None, None, 0), out_axes=None, devices=devices, donate_argnums=0)
    return lambda state, pictures, indices: mapped(state, pictures, indices.reshape(len(devices), -1))


def _shard_map(step: Callable, devices: Sequence[jax.Device]) -> Callable:
    mesh = Mesh(np.asarray(devices), (_AXIS,))
    everywhere, split = PartitionSpec(), PartitionSpec(_AXIS)
    mapped = jax.shard_map(
        step,
        mesh=mesh,
        in_specs=(everywhere, everywhere, split),
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
