"""Pytrees of arrays in a folder: read only in the shapes that are expected, and verified by checksum.

Orbax does not notice a flipped byte, so a sha256 of every array is kept in the metadata and compared whenever
the array is read. It also restores arrays in whatever shape they have, so the stored shapes are compared with
the expected ones before anything is read: a checkpoint may be anybody's file.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from dood_jax.checkpointing.metadata import Damaged

PyTree = Any  # nested containers with arrays as leaves
_MAX_NUMBERS = 2**30  # in one tree; more is refused before it is read or allocated


def checksums(tree: PyTree) -> dict[str, str]:
    """sha256 of the bytes of every array, by its path in the tree."""
    return {
        jax.tree_util.keystr(path): hashlib.sha256(np.ascontiguousarray(leaf).tobytes()).hexdigest()
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def checksum(meta: Mapping[str, Any]) -> str:
    """One sha256 for all arrays: that of the sorted JSON of the checksums in the metadata or card."""
    return hashlib.sha256(json.dumps(meta["sha256"], sort_keys=True).encode()).hexdigest()


def verify(tree: PyTree, meta: Mapping[str, Any]) -> None:
    """Raises Damaged, naming the first array that is not what was written."""
    found = checksums(tree)
    wrong = [name for name, value in found.items() if meta["sha256"].get(name) != value]
    if wrong:
        raise Damaged(f"checksum of {wrong[0]} does not match")


def write(path: Path, tree: PyTree) -> None:
    """Writes a tree of arrays into a folder, in place of what it had."""
    with ocp.StandardCheckpointer() as writer:
        writer.save(path.resolve(), tree, force=True)
    for marker in path.rglob("commit_success.txt"):
        marker.unlink()  # it names the folder on the machine that wrote it; nothing reads it


def read(path: Path, shapes: PyTree) -> PyTree:
    """The NumPy arrays in a folder; raises ValueError if they have other shapes than expected."""
    require_stored(path, shapes)
    empty = jax.tree_util.tree_map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    with ocp.StandardCheckpointer() as reader:
        return reader.restore(path.resolve(), empty)


def require_stored(path: Path, expected: PyTree) -> None:
    """Raises ValueError unless the arrays in a folder have the names and shapes of the expected tree.

    Only what is said about the arrays is read, not the arrays themselves.
    """
    if not (path / "_METADATA").is_file():
        raise ValueError(f"{path.name} is not there")
    reader = ocp.StandardCheckpointHandler()
    try:
        found = reader.metadata(path.resolve()).tree
    finally:
        reader.close()
    stored = {name: one for name, one in _by_name(found).items() if hasattr(one, "shape")}
    named = _by_name(expected)
    if sum(math.prod(leaf.shape) for leaf in named.values()) > _MAX_NUMBERS:
        raise ValueError(f"a model of more than {_MAX_NUMBERS:,} numbers")
    if odd := sorted(stored.keys() ^ named.keys()):
        raise ValueError(f"{odd[0]} is only in one of them")
    for name, leaf in named.items():
        # An array of the right shape can still claim chunks that would fill the memory when they are read.
        chunk = getattr(stored[name].storage, "chunk_shape", None) or ()
        if tuple(stored[name].shape) != tuple(leaf.shape) or math.prod(chunk) > _MAX_NUMBERS:
            raise ValueError(f"{name} has shape {list(stored[name].shape)}, not {list(leaf.shape)}")


def _by_name(tree: PyTree) -> dict[str, Any]:
    """The leaves of a tree by their path, as in `brush.out.bias`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}
