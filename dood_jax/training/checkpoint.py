"""Orbax checkpoints: `DIR/checkpoints/<step>` holds params, the rest of the state, and a JSON meta.

Orbax does not notice a flipped byte, so meta keeps a sha256 for every array, checked whenever it is read. A
released model is a folder with the same params and a card.json in place of meta.
"""

import functools
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from dood_jax.errors import BadInput, first_line
from dood_jax.model import dood
from dood_jax.model.config import ModelConfig
from dood_jax.model.networks import Params
from dood_jax.training import members
from dood_jax.training.config import Config
from dood_jax.training.parallel import device_name
from dood_jax.training.state import TrainState

_PACKAGE = Path(__file__).resolve().parents[1]
RELEASED = (_PACKAGE / "checkpoints", _PACKAGE.parent / "checkpoints")  # installed, and in a checkout
FORMAT = 1
_KEPT = 3  # newest steps kept
_NEEDED = ("brush", "commit", "config", "dtype", "sha256", "step")  # in every meta and card
_META_FILE, _CARD_FILE = Path("meta", "metadata"), "card.json"


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, workdir: Path) -> None:
        """Opens `workdir/checkpoints`, creating it; raises BadInput if it cannot be."""
        commit()  # now: the source may have another by the first save
        self._directory = (workdir / "checkpoints").resolve()
        options = ocp.CheckpointManagerOptions(max_to_keep=_KEPT, cleanup_tmp_directories=True)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(self._directory, options=options)
        except OSError as error:
            raise BadInput(
                f"{self._directory} cannot be written ({error}); give another --workdir"
            ) from error

    def __enter__(self) -> "Checkpoints":
        """Nothing more to open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Waits for the last write."""
        self._manager.wait_until_finished()
        self._manager.close()

    def save(self, config: Config, state: TrainState) -> None:
        """Writes the state in the background; a step already on disk is left alone."""
        step = state.steps_done
        if step in self._manager.all_steps():
            return
        params, rest = state.params, state._replace(params=())
        items = ocp.args.Composite(
            params=ocp.args.StandardSave(params),
            state=ocp.args.StandardSave(rest),
            meta=ocp.args.JsonSave(_meta(config, state)),
        )
        if not self._manager.save(step, args=items):
            raise RuntimeError(f"{self._directory} did not take checkpoint {step}")

    def restore_latest(self, config: Config, template: TrainState) -> TrainState | None:
        """The newest state that is whole, or None if there is none; damaged ones are passed over, loudly.

        Raises BadInput for a run of another model, or if every checkpoint is damaged.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        damaged: list[int] = []
        for step in steps:
            try:
                meta = read_meta(self._directory / str(step))
                _check_same_run(meta, config, self._directory)
                state = self._restore(step, meta, template)
                self._set_aside(damaged)
                return state
            except _Damaged as error:
                logging.warning("checkpoint %d is damaged (%s); trying the one before", step, error)
                damaged.append(step)
        if steps:
            raise BadInput(f"no checkpoint in {self._directory} is readable; move it away to start afresh")
        return None

    def _set_aside(self, damaged: list[int]) -> None:
        """Renames damaged steps: Orbax saves nothing at or below the newest step that it sees."""
        for step in damaged:
            aside = self._directory / f"damaged-{step}"
            shutil.rmtree(aside, ignore_errors=True)
            (self._directory / str(step)).rename(aside)
        self._manager.reload()

    def _restore(self, step: int, meta: dict, template: TrainState) -> TrainState:
        items = ocp.args.Composite(
            params=ocp.args.StandardRestore(_abstract(template.params)),
            state=ocp.args.StandardRestore(_abstract(template._replace(params=()))),
        )
        try:
            restored = self._manager.restore(step, args=items)
        except Exception as error:  # Orbax raises many kinds
            raise _Damaged(first_line(error)) from error
        _verify(restored["params"], meta)
        _verify(restored["state"], meta)
        return restored["state"]._replace(params=restored["params"])


class _Damaged(BadInput):
    """A checkpoint that cannot be trusted."""


def read_meta(path: Path) -> dict[str, Any]:
    """The meta of a training step or the card of a released model; raises BadInput where there is neither."""
    for name in (_CARD_FILE, _META_FILE):
        if (path / name).is_file():
            try:
                meta = json.loads((path / name).read_text())
            except (ValueError, OSError) as error:
                raise _Damaged(f"{path / name} is not readable JSON; the checkpoint is damaged") from error
            if not isinstance(meta, dict):
                raise _Damaged(f"{path / name} holds no settings; the checkpoint is damaged")
            if meta.get("format") != FORMAT:
                raise BadInput(f"{path} has format {meta.get('format')}; this version reads {FORMAT}")
            missing = [key for key in _NEEDED if key not in meta]
            if missing:
                raise _Damaged(f"{path / name} lacks {', '.join(missing)}; the checkpoint is damaged")
            return meta
    raise _Damaged(f"{path} is not a checkpoint: it has neither {_CARD_FILE} nor {_META_FILE}")


def num_models(meta: dict[str, Any]) -> int:
    """How many models a checkpoint holds."""
    return len(meta.get("members", [None]))


def meta_of_member(meta: dict[str, Any], which: int) -> dict[str, Any]:
    """The meta that a member's training alone would have written, but for the checksums of all."""
    if num_models(meta) == 1:
        return meta
    name, seed = meta["members"][which]
    config = {
        **meta["config"],
        "data": {**meta["config"]["data"], "name": name, "names": ""},
        "training": {**meta["config"]["training"], "seed": seed, "num_models": 1},
    }
    brush = {pen: values[which] for pen, values in meta["brush"].items()}
    rest = {key: value for key, value in meta.items() if key != "members"}
    return {**rest, "config": config, "brush": brush}


def read_params(path: Path, model: ModelConfig, meta: dict[str, Any], member: int = 0) -> Params:
    """The parameters of a model in float32, on the default device; raises BadInput if damaged or foreign.

    `meta` is that of the checkpoint; of several models trained together, `member` tells which to take.
    """
    count, dtype = num_models(meta), np.dtype(meta["dtype"])
    one = jax.eval_shape(lambda key: dood.init(model, key), jax.random.key(0))
    leading = () if count == 1 else (count,)
    shapes = jax.tree_util.tree_map(lambda leaf: jax.ShapeDtypeStruct((*leading, *leaf.shape), dtype), one)
    stored = jax.tree_util.tree_map(lambda leaf: np.zeros(leaf.shape, dtype), shapes)
    try:
        with ocp.StandardCheckpointer() as reader:
            params = reader.restore((path / "params").resolve(), stored)
        _verify(params, meta)
        _verify_shapes(params, shapes)
    except _Damaged as error:
        raise BadInput(f"{path} is damaged: {error}") from error
    except Exception as error:  # Orbax raises many kinds
        raise BadInput(f"{path} cannot be read as this model: {first_line(error)[:200]}") from error
    params = members.pick(params, count, member)
    return jax.tree_util.tree_map(lambda leaf: jax.numpy.asarray(leaf, np.float32), params)


def release(params: Params, meta: dict[str, Any], path: Path) -> None:
    """Writes a released model: 16-bit parameters and a card, which is `meta` with their checksums."""
    small = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, np.float16), params)
    with ocp.StandardCheckpointer() as writer:
        writer.save((path / "params").resolve(), small, force=True)
    for marker in path.glob("params/**/commit_success.txt"):
        marker.unlink()  # names the folder it was written in; nothing reads it
    card = {**meta, "format": FORMAT, "dtype": "float16", "sha256": _checksums(small)}
    (path / _CARD_FILE).write_text(json.dumps(card, indent=1) + "\n")


def _meta(config: Config, state: TrainState) -> dict[str, Any]:
    several = {"members": config.members} if len(config.members) > 1 else {}
    return {
        "format": FORMAT,
        "step": state.steps_done,
        "config": config.as_dict(),
        **several,
        "brush": {name: np.asarray(value).tolist() for name, value in state.brush._asdict().items()},
        "arguments": sys.argv[1:],
        "commit": commit(),
        "device": device_name(),
        "dtype": "float32",
        "sha256": {**_checksums(state.params), **_checksums(state._replace(params=()))},
    }


def _checksums(tree: Any) -> dict[str, str]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path): hashlib.sha256(np.ascontiguousarray(leaf).tobytes()).hexdigest()
        for path, leaf in leaves
    }


def _verify(tree: Any, meta: dict[str, Any]) -> None:
    found = _checksums(tree)
    wrong = [name for name, value in found.items() if meta["sha256"].get(name) != value]
    if wrong:
        raise _Damaged(f"checksum of {wrong[0]} does not match")


def _verify_shapes(params: Params, shapes: Params) -> None:
    """Orbax restores arrays in the shapes they have, whatever it is asked for."""
    for (path, wanted), found in zip(
        jax.tree_util.tree_leaves_with_path(shapes), jax.tree_util.tree_leaves(params), strict=True
    ):
        if found.shape != wanted.shape:
            name = jax.tree_util.keystr(path)
            raise ValueError(f"{name} has shape {list(found.shape)}, not {list(wanted.shape)}")


def _abstract(tree: Any) -> Any:
    """Shapes and placements to restore into."""
    return jax.tree_util.tree_map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), tree
    )


def _check_same_run(meta: dict[str, Any], config: Config, directory: Path) -> None:
    """A run goes on with the model, the pictures and the seed it began with."""
    stored, given = meta["config"], config.as_dict()
    fixed = [("model", key) for key in stored["model"] if key != "unroll"]
    fixed += [("data", "name"), ("data", "names"), ("training", "seed"), ("training", "num_models")]
    fixed += [("objective", "stopping")]
    defaults = {"names": "", "num_models": 1}  # of runs begun before there were several models
    for group, key in fixed:
        value, wanted = stored[group].get(key, defaults.get(key)), given[group].get(key)
        if wanted != value:
            raise BadInput(
                f"{directory} holds a run with {group}.{key}={value!r}, not {wanted!r};"
                " give another --workdir or the same settings"
            )


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
      name_or_dir: what the user wrote.
      released: folders that hold released models by name.

    Raises:
      BadInput: nothing there, saying what was looked for where.
    """
    path = Path(name_or_dir)
    candidates = [path, *(folder / name_or_dir for folder in released)]
    for candidate in candidates:
        if (candidate / _CARD_FILE).is_file() or (candidate / _META_FILE).is_file():
            return candidate
    for folder in (path / "checkpoints", path):
        steps = sorted((int(step.name), step) for step in folder.glob("[0-9]*") if step.name.isdigit())
        if steps:
            return steps[-1][1]
    names = sorted({card.parent.name for folder in released for card in folder.glob(f"*/{_CARD_FILE}")})
    raise BadInput(
        f"no checkpoint {name_or_dir!r}: it is neither a folder with one nor a released model"
        f" ({', '.join(names) or 'none here'})"
    )
