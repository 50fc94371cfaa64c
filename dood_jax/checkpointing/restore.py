"""Finding and reading checkpoints: those of runs, and the released models.

What a run has told of itself: the lines of its `metrics.jsonl`.

Models on disk: one step of a run, or a released model; found, read and written in released form.

Orbax does not notice a flipped byte, so meta keeps a sha256 for every array, checked whenever it is read. A
released model is a folder with the same params and a card.json in place of meta. What is read may be
anyone's: no array is made before its shape is known to be the model's.
"""

import functools
import hashlib
import json
import math
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from dood_jax.checkpointing import metadata
from dood_jax.checkpointing.metadata import Damaged
from dood_jax.config import resolving
from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput, first_line
from dood_jax.model import dood
from dood_jax.model.networks import Params
from dood_jax.training import ensemble

JSON_LINES = "metrics.jsonl"
_NEEDED = {"step": int, "kind": str, "seconds": int | float}  # in every line


def read_lines(workdir: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics, oldest first; what a kill tore is left out."""
    path = workdir / JSON_LINES
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and all(isinstance(found.get(key), kind) for key, kind in _NEEDED.items()):
            lines.append(found)
    return lines


def held_out_bounds(workdir: Path) -> dict[int, float]:
    """By step the bound on held-out images, in nats; of several models their mean."""
    lines = [line for line in read_lines(workdir) if line["kind"] == "held_out"]
    found = {line["step"]: line.get("log_likelihood") for line in lines}
    bounds = {step: one if isinstance(one, list) else [one] for step, one in found.items()}
    are_numbers = lambda bound: bool(bound) and all(isinstance(one, int | float) for one in bound)
    means = {step: float(np.mean(bound)) for step, bound in bounds.items() if are_numbers(bound)}
    return {step: mean for step, mean in means.items() if np.isfinite(mean)}


_PACKAGE = Path(__file__).resolve().parents[1]
RELEASED = (_PACKAGE / "checkpoints", _PACKAGE.parent / "checkpoints")  # installed, and in a checkout
META_FILE, CARD_FILE = Path("meta", "metadata"), "card.json"
_MOST_NUMBERS = 2**30  # of a model; more is refused before it is read or made
_BEST = "best"


def read_meta(path: Path) -> dict[str, Any]:
    """The meta of a training step or the card of a released model; raises BadInput where there is neither."""
    for name in (CARD_FILE, META_FILE):
        if (path / name).is_file():
            return metadata.read(path / name)
    raise Damaged(f"{path} is not a checkpoint: it has neither {CARD_FILE} nor {META_FILE}")


def num_models(meta: dict[str, Any]) -> int:
    """How many models a checkpoint holds."""
    return len(meta.get("members", [None]))


def meta_of_member(meta: dict[str, Any], which: int) -> dict[str, Any]:
    """The meta that a member's training alone would have written, but for the checksums of all."""
    if num_models(meta) == 1:
        return meta
    name, seed = meta["members"][which]
    settings = {
        **meta["config"],
        "data": {**meta["config"]["data"], "name": name, "names": ""},
        "training": {**meta["config"].get("training", {}), "seed": seed, "num_models": 1},
    }
    brush = {pen: values[which] for pen, values in meta["brush"].items()}
    rest = {key: value for key, value in meta.items() if key != "members"}
    return {**rest, "config": settings, "brush": brush}


def model_of(path: Path, meta: dict[str, Any]) -> ModelConfig:
    """The settings of a stored model; raises BadInput if they are none of this version."""
    try:
        return resolving.model_of(meta["config"]["model"])
    except BadInput as error:
        raise BadInput(f"{path} does not describe a model of this version ({error})") from error


def read_params(path: Path, model: ModelConfig, meta: dict[str, Any], member: int = 0) -> Params:
    """The parameters of a model in float32, on the default device; raises BadInput if damaged or foreign.

    `meta` is that of the checkpoint; of several models trained together, `member` tells which to take.
    """
    count = num_models(meta)
    try:
        params = _read_arrays(path / "params", _shapes(model, count, np.dtype(meta["dtype"])))
        verify(params, meta)
    except Damaged as error:
        raise BadInput(f"{path} is damaged: {error}") from error
    except Exception as error:  # Orbax raises many kinds
        raise BadInput(f"{path} cannot be read as this model: {first_line(error)[:200]}") from error
    params = ensemble.pick(params, count, member)
    return jax.tree_util.tree_map(lambda leaf: jax.numpy.asarray(leaf, np.float32), params)


def release(params: Params, meta: dict[str, Any], path: Path) -> None:
    """Writes a released model: 16-bit parameters and a card, which is `meta` with their checksums."""
    small = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, np.float16), params)
    with ocp.StandardCheckpointer() as writer:
        writer.save((path / "params").resolve(), small, force=True)
    for marker in path.glob("params/**/commit_success.txt"):
        marker.unlink()  # names the folder it was written in; nothing reads it
    whole = {**meta, "format": metadata.FORMAT, "dtype": "float16", "sha256": checksums(small)}
    (path / CARD_FILE).write_text(json.dumps(whole, indent=1) + "\n")


def checksums(tree: Any) -> dict[str, str]:
    """sha256 of every array, by its place in the tree."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path): hashlib.sha256(np.ascontiguousarray(leaf).tobytes()).hexdigest()
        for path, leaf in leaves
    }


def checksum(meta: dict[str, Any]) -> str:
    """One sha256 of all parameters: of the sorted JSON of those that a meta or card has for every array."""
    return hashlib.sha256(json.dumps(meta["sha256"], sort_keys=True).encode()).hexdigest()


def verify(tree: Any, meta: dict[str, Any]) -> None:
    """Raises Damaged for the first array that is not what was written."""
    found = checksums(tree)
    wrong = [name for name, value in found.items() if meta["sha256"].get(name) != value]
    if wrong:
        raise Damaged(f"checksum of {wrong[0]} does not match")


def _shapes(model: ModelConfig, count: int, dtype: np.dtype) -> Params:
    """Shapes of the parameters of models trained together, found without making them."""
    one = jax.eval_shape(lambda key: dood.init(model, key), jax.random.key(0))
    leading = () if count == 1 else (count,)
    return jax.tree_util.tree_map(lambda leaf: jax.ShapeDtypeStruct((*leading, *leaf.shape), dtype), one)


def _read_arrays(path: Path, shapes: Params) -> Params:
    """The arrays of a folder, once it is known that they have the shapes."""
    require_stored(path, shapes)
    empty = jax.tree_util.tree_map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    with ocp.StandardCheckpointer() as reader:
        return reader.restore(path.resolve(), empty)


def require_stored(path: Path, wanted: Any) -> None:
    """Raises ValueError unless the arrays in a folder, by what is said of them, have the shapes of a tree.

    Orbax restores arrays in the shapes they have, whatever it is asked for.
    """
    if not (path / "_METADATA").is_file():
        raise ValueError(f"{path.name} is not there")
    reader = ocp.StandardCheckpointHandler()
    try:
        found = reader.metadata(path.resolve()).tree
    finally:
        reader.close()
    stored = {name: one for name, one in _by_name(found).items() if hasattr(one, "shape")}
    named = _by_name(wanted)
    if sum(math.prod(leaf.shape) for leaf in named.values()) > _MOST_NUMBERS:
        raise ValueError(f"a model of more than {_MOST_NUMBERS:,} numbers")
    if odd := sorted(stored.keys() ^ named.keys()):
        raise ValueError(f"{odd[0]} is only in one of them")
    for name, leaf in named.items():
        chunk = getattr(stored[name].storage, "chunk_shape", None) or ()
        if tuple(stored[name].shape) != tuple(leaf.shape) or math.prod(chunk) > _MOST_NUMBERS:
            raise ValueError(f"{name} has shape {list(stored[name].shape)}, not {list(leaf.shape)}")


def _by_name(tree: Any) -> dict[str, Any]:
    """Leaves by their place, as in `brush.out.bias`."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


@functools.cache
def commit() -> str:
    """The commit of the source when it was first asked for, or an empty string outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def find(name_or_dir: str, released: Sequence[Path] = RELEASED) -> Path:
    """The folder of a checkpoint: a released name, a released folder, a step, or a run's latest step.

    Args:
      name_or_dir: what the user wrote; `RUN/best` is the step of a run with the best held-out bound.
      released: folders that hold released models by name.

    Raises:
      BadInput: nothing there, saying what was looked for where.
    """
    path = Path(name_or_dir)
    candidates = [path, *(folder / name_or_dir for folder in released)]
    for candidate in candidates:
        if (candidate / CARD_FILE).is_file() or (candidate / META_FILE).is_file():
            return candidate
    for folder in (path / "checkpoints", path):
        steps = _steps_in(folder)
        if steps:
            return folder / str(steps[-1])
    if path.name == _BEST and (steps := _steps_in(path.parent / "checkpoints")):
        return path.parent / "checkpoints" / str(best_of(path.parent, steps) or steps[-1])
    names = sorted({card.parent.name for folder in released for card in folder.glob(f"*/{CARD_FILE}")})
    raise BadInput(
        f"no checkpoint {name_or_dir!r}: it is neither a folder with one nor a released model"
        f" ({', '.join(names) or 'none here'})"
    )


def best_of(workdir: Path, steps: Sequence[int]) -> int | None:
    """The step with the best bound on held-out images; None if none of them has one."""
    bounds = held_out_bounds(workdir)
    return max((step for step in steps if step in bounds), key=bounds.__getitem__, default=None)


def _steps_in(folder: Path) -> list[int]:
    """Numbers of the steps in a folder, ascending."""
    return sorted(int(step.name) for step in folder.glob("[0-9]*") if re.fullmatch("[0-9]{1,10}", step.name))
