"""Trained models on disk: found by name or folder, read, verified, and written for release.

Orbax does not notice a flipped byte, so a sha256 of every array is kept in the metadata and compared whenever
the array is read. It also restores arrays in whatever shape they have, so the stored shapes are compared with
the expected ones before anything is read: a checkpoint may be anybody's file.

A checkpoint is one step of a run (`RUN/checkpoints/<step>`), with float32 parameters, or a released model,
which is a folder with the same parameters in 16 bits and a `card.json` in place of the step's metadata.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tensorstore as ts

from dood_jax.checkpointing import metadata
from dood_jax.checkpointing.metadata import CARD_FILE, META_FILE, Damaged, Meta
from dood_jax.config import resolving
from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput, first_line
from dood_jax.runtime import parallel
from dood_jax.runtime.kept import kept

PyTree = Any  # nested containers with arrays as leaves
Params = PyTree  # parameters by the name of a network
_ARRAY_KEY = "/.zarray"  # under which Orbax's store describes an array, after the array's name
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
    import orbax.checkpoint as ocp  # takes a third of a second, and readers do without

    with ocp.StandardCheckpointer() as writer:
        writer.save(path.resolve(), tree, force=True)
    for marker in path.rglob("commit_success.txt"):
        marker.unlink()  # it names the folder on the machine that wrote it; nothing reads it


def read(path: Path, shapes: PyTree) -> PyTree:
    """The NumPy arrays in a folder; raises ValueError if they have other shapes than expected."""
    stored = _stored(path, shapes)
    reading = {name: array.read() for name, array in stored.items()}
    found = {name: array.result() for name, array in reading.items()}
    leaves = [np.asarray(found[name], leaf.dtype) for name, leaf in _by_name(shapes).items()]
    return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(shapes), leaves)


def require_stored(path: Path, expected: PyTree) -> None:
    """Raises ValueError unless the arrays in a folder have the names and shapes of the expected tree.

    Only what is said about the arrays is read, not the arrays themselves.
    """
    _stored(path, expected)


def _stored(path: Path, expected: PyTree) -> dict[str, Any]:
    """The arrays in a folder by their names, opened, but not read; see `require_stored`."""
    if not (path / "_METADATA").is_file():
        raise ValueError(f"{path.name} is not there")
    named = _by_name(expected)
    if sum(math.prod(leaf.shape) for leaf in named.values()) > _MAX_NUMBERS:
        raise ValueError(f"a model of more than {_MAX_NUMBERS:,} numbers")
    store = {"driver": "ocdbt", "base": {"driver": "file", "path": f"{path.resolve()}/"}}
    keys = [key.decode() for key in ts.KvStore.open(store).result().list().result()]
    names = {key.removesuffix(_ARRAY_KEY) for key in keys if key.endswith(_ARRAY_KEY)}
    if odd := sorted(names ^ named.keys()):
        raise ValueError(f"{odd[0]} is only in one of them")
    opening = {
        name: ts.open({"driver": "zarr", "kvstore": {**store, "path": f"{name}/"}}, read=True, open=True)
        for name in named
    }
    stored = {name: array.result() for name, array in opening.items()}
    for name, leaf in named.items():
        # An array of the right shape can still claim chunks that would fill the memory when they are read.
        chunk = math.prod(size or 1 for size in stored[name].chunk_layout.read_chunk.shape or ())
        if stored[name].shape != tuple(leaf.shape) or chunk > _MAX_NUMBERS:
            raise ValueError(f"{name} has shape {list(stored[name].shape)}, not {list(leaf.shape)}")
    return stored


def _by_name(tree: PyTree) -> dict[str, Any]:
    """The leaves of a tree by their path, as in `brush.out.bias`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


BOUND = "log_likelihood"  # the metric of a step by which the best one is chosen, in nats
METRICS_FILE = Path("metrics", "metrics")  # in the folder of a step

_PACKAGE = Path(__file__).resolve().parents[1]
RELEASED = (_PACKAGE / "checkpoints", _PACKAGE.parent / "checkpoints")  # installed, and in a checkout
_BEST = "best"


def find(name_or_dir: str, released: Sequence[Path] = RELEASED) -> Path:
    """The folder of a checkpoint.

    Args:
      name_or_dir: the name or folder of a released model, the folder of a step, a run for its latest step, or
        `RUN/best` for its step with the highest bound on validation images.
      released: folders that hold released models by name.

    Raises:
      BadInput: there is no such checkpoint; the message says what was looked for, and where.
    """
    path = Path(name_or_dir)
    candidates = [path, *(folder / name_or_dir for folder in released)]
    for candidate in candidates:
        if (candidate / CARD_FILE).is_file() or (candidate / META_FILE).is_file():
            return candidate
    for folder in (path / "checkpoints", path):
        if steps := _steps_in(folder):
            return folder / str(steps[-1])
    if path.name == _BEST and (steps := _steps_in(path.parent / "checkpoints")):
        folder = path.parent / "checkpoints"
        return folder / str(max(steps, key=lambda step: (_bound_of(folder / str(step)), step)))
    names = sorted({card.parent.name for folder in released for card in folder.glob(f"*/{CARD_FILE}")})
    raise BadInput(
        f"no checkpoint {name_or_dir!r}: it is neither a folder with one nor a released model"
        f" ({', '.join(names) or 'none here'})"
    )


def newest_first(workdir: Path) -> list[Path]:
    """The folders of all steps that a run has kept, whole or not."""
    folder = workdir / "checkpoints"
    return [folder / str(step) for step in reversed(_steps_in(folder))]


def _steps_in(folder: Path) -> list[int]:
    """The numbers of the steps in a folder, ascending."""
    return sorted(int(step.name) for step in folder.glob("[0-9]*") if re.fullmatch("[0-9]{1,10}", step.name))


def _bound_of(step: Path) -> float:
    """The bound on validation images that a step was saved with, in nats; -inf if it was not measured."""
    try:
        bound = json.loads((step / METRICS_FILE).read_text())[BOUND]
        return float(bound) if math.isfinite(bound) else -math.inf
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return -math.inf


def model_of(path: Path, meta: Meta) -> ModelConfig:
    """The settings of a stored model; raises BadInput if this version does not understand them."""
    try:
        return resolving.model_of(meta["config"]["model"])
    except BadInput as error:
        raise BadInput(f"{path} does not describe a model of this version ({error})") from error


def read_params(path: Path, model: ModelConfig, meta: Meta, member: int = 0) -> Params:
    """The parameters of a model in float32, on the default device.

    Args:
      path: the folder of the checkpoint.
      model: its settings.
      meta: its metadata.
      member: which one to take if several models were trained side by side.

    Raises:
      BadInput: the arrays are damaged, or those of another model.
    """
    count = metadata.num_models(meta)
    try:
        params = read(path / "params", _shapes(model, count, np.dtype(meta["dtype"])))
        verify(params, meta)
    except Damaged as error:
        raise BadInput(f"{path} is damaged: {error}") from error
    except Exception as error:  # Orbax raises many kinds
        raise BadInput(f"{path} cannot be read as this model: {first_line(error)[:200]}") from error
    params = parallel.pick(params, count, member)
    widened = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, np.float32), params)
    return jax.device_put(widened)  # a cast by jax would compile a program for each shape


def _shapes(model: ModelConfig, count: int, dtype: np.dtype) -> Params:
    """Shapes of the parameters of `count` models, found without allocating them."""
    known = json.loads(kept(f"shapes {model}", lambda: json.dumps(_traced_shapes(model)).encode()))
    leading = () if count == 1 else (count,)
    whole = lambda shape: jax.ShapeDtypeStruct((*leading, *shape), dtype)
    return jax.tree_util.tree_map(whole, known, is_leaf=lambda node: isinstance(node, list))


def _traced_shapes(model: ModelConfig) -> dict[str, Any]:
    """The shape of every parameter of one model, in the place of the parameter."""
    from dood_jax.model import dood  # takes a second, and is not needed where the shapes are known

    params = jax.eval_shape(lambda key: dood.init(model, key), jax.random.key(0))
    return jax.tree_util.tree_map(lambda leaf: leaf.shape, params)


def release(params: Params, meta: Meta, path: Path) -> None:
    """Writes a released model into a folder: 16-bit parameters, and `meta` with their checksums as card."""
    small = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, np.float16), params)
    write(path / "params", small)
    card = {**meta, "format": metadata.FORMAT, "dtype": "float16", "sha256": checksums(small)}
    (path / CARD_FILE).write_text(json.dumps(card, indent=1) + "\n")
