"""What a checkpoint says about itself: the metadata of a training step, or the card of a released model.

Both are JSON objects with the same entries: the settings of the run, the step, the brush that `sample` draws
with, the commit, the type of the numbers and a sha256 of every array. The file may come from anybody, so
everything that is used of it is checked here, once.
"""

import dataclasses
import functools
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax.config.groups import Config, DataConfig
from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput
from dood_jax.types import BrushParams
from dood_jax.version import VERSION

FORMAT = 1
META_FILE, CARD_FILE = Path("meta", "metadata"), "card.json"
Meta = dict[str, Any]

_MAX_BYTES = 16 * 2**20
_MAX_MODELS = 4096
_DTYPES = ("float16", "float32")


class Damaged(BadInput):
    """A checkpoint that cannot be trusted."""


def describe(config: Config, step: int, brush: Mapping[str, Any], device: str) -> Meta:
    """The metadata of a training step, without checksums.

    Args:
      config: settings of the run.
      step: how many steps have been made.
      brush: the mean brush by the names of its parts, a number each, an array [N] of N models, or None.
      device: what the run trains on.
    """
    several = {"members": config.members} if len(config.members) > 1 else {}
    return {
        "format": FORMAT,
        "step": step,
        "config": config.as_dict(),
        **several,
        "brush": {name: np.asarray(value).tolist() for name, value in brush.items() if value is not None},
        "arguments": sys.argv[1:],
        "commit": commit(),
        "version": VERSION,
        "device": device,
        "dtype": "float32",
    }


def require_same_run(meta: Meta, config: Config, directory: Path) -> None:
    """Raises BadInput unless a run with these settings may go on from the checkpoint.

    The model, the data sets, the seed and the way of stopping must be those that the run began with.
    """
    stored, given = meta["config"], config.as_dict()
    fixed = [("model", key) for key in given["model"] if key != "unroll"]
    fixed += [("data", key) for key in ("name", "names", "transpose", "categories", "per_category")]
    fixed += [("training", "seed"), ("training", "num_models")]
    fixed += [("objective", "stopping")]
    # A run that was begun when a setting did not exist yet has its default.
    defaults: dict[str, dict[str, Any]] = {
        "model": dataclasses.asdict(ModelConfig()),
        "data": dataclasses.asdict(DataConfig()),
        "training": {"num_models": 1},
        "objective": {},
    }
    for group, key in fixed:
        value, wanted = stored.get(group, {}).get(key, defaults[group].get(key)), given[group].get(key)
        if wanted != value:
            raise BadInput(
                f"{directory} holds a run with {group}.{key}={value!r}, not {wanted!r};"
                " give another --workdir or the same settings"
            )


def read_meta(path: Path) -> Meta:
    """The checked metadata of a training step, or the card of a released model.

    Args:
      path: the folder of the checkpoint.

    Raises:
      Damaged: the folder has neither, or what it has is torn or makes no sense.
      BadInput: it was written in another format.
    """
    for name in (CARD_FILE, META_FILE):
        if (path / name).is_file():
            return _read(path / name)
    raise Damaged(f"{path} is not a checkpoint: it has neither {CARD_FILE} nor {META_FILE}")


def _read(path: Path) -> Meta:
    """The checked content of a file."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError
        meta = json.loads(path.read_text())
    except (ValueError, OSError, RecursionError) as error:
        raise Damaged(f"{path} is not readable JSON; the checkpoint is damaged") from error
    if not isinstance(meta, dict):
        raise Damaged(f"{path} holds no settings; the checkpoint is damaged")
    if meta.get("format") != FORMAT:
        said = str(meta.get("format"))[:80]
        raise BadInput(f"{path.parent} has format {said}; this version reads {FORMAT}")
    missing = [key for key in _CHECKS if key not in meta]
    if missing:
        raise Damaged(f"{path} lacks {', '.join(missing)}; the checkpoint is damaged")
    for key, is_valid in {**_CHECKS, "members": _are_members}.items():
        if key in meta and not is_valid(meta[key]):
            raise Damaged(f"{path}: {key}={str(meta[key])[:80]!r} is none; the checkpoint is damaged")
    count = len(meta["members"]) if "members" in meta else None
    if any((len(part) if isinstance(part, list) else None) != count for part in meta["brush"].values()):
        raise Damaged(f"{path}: brush and members do not fit; the checkpoint is damaged")
    return meta


def _is_config(value: Any) -> bool:
    """Whether these are groups of settings; what they mean is checked where they are used."""
    return (
        isinstance(value, dict)
        and all(isinstance(group, dict) for group in value.values())
        and {"data", "model"} <= set(value)
        and isinstance(value["data"].get("name"), str)
    )


def _are_checksums(value: Any) -> bool:
    """Whether every value is a sha256 in hexadecimal digits."""
    return isinstance(value, dict) and all(
        isinstance(one, str) and re.fullmatch("[0-9a-f]{64}", one) for one in value.values()
    )


def _are_members(value: Any) -> bool:
    """Whether these are models trained side by side, each given as [data set, seed]."""
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MAX_MODELS
        and all(isinstance(one, list) and [type(part) for part in one] == [str, int] for one in value)
    )


def _is_brush(value: Any) -> bool:
    """Whether these are parts of a brush by name, each a number, or a list with a number for every model."""
    if not isinstance(value, dict) or not set(value) <= set(BrushParams._fields):
        return False
    as_list = lambda part: part if isinstance(part, list) else [part]
    return all(isinstance(number, int | float) for part in value.values() for number in as_list(part))


_CHECKS = {
    "brush": _is_brush,
    "commit": lambda value: isinstance(value, str),
    "config": _is_config,
    "dtype": lambda value: value in _DTYPES,
    "sha256": _are_checksums,
    "step": lambda value: type(value) is int and 0 <= value < 2**31,  # True is an int, too
}


def num_models(meta: Meta) -> int:
    """How many models a checkpoint holds."""
    return len(meta.get("members", [None]))


def meta_of_member(meta: Meta, which: int) -> Meta:
    """The metadata that one member would have if it had been trained alone.

    Only the checksums stay those of the arrays of all members together.
    """
    if num_models(meta) == 1:
        return meta
    name, seed = meta["members"][which]
    config = {
        **meta["config"],
        "data": {**meta["config"]["data"], "name": name, "names": ""},
        "training": {**meta["config"].get("training", {}), "seed": seed, "num_models": 1},
    }
    brush = {part: values[which] for part, values in meta["brush"].items()}
    rest = {key: value for key, value in meta.items() if key != "members"}
    return {**rest, "config": config, "brush": brush}


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
