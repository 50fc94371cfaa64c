"""What a checkpoint says of itself: the meta of a training step, the card of a released model.

It may be anyone's file, so all that is used of it is checked here, once.
"""

import json
import re
from pathlib import Path
from typing import Any

from dood_jax.errors import BadInput
from dood_jax.types import BrushParams

FORMAT = 1
_MOST_BYTES = 16 * 2**20
_MOST_MODELS = 4096
_DTYPES = ("float16", "float32")


class Damaged(BadInput):
    """A checkpoint that cannot be trusted."""


def read(path: Path) -> dict[str, Any]:
    """The checked content of a file; raises BadInput for another format, Damaged for no card at all."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError
        meta = json.loads(path.read_text())
    except (ValueError, OSError, RecursionError) as error:
        raise Damaged(f"{path} is not readable JSON; the checkpoint is damaged") from error
    if not isinstance(meta, dict):
        raise Damaged(f"{path} holds no settings; the checkpoint is damaged")
    if meta.get("format") != FORMAT:
        said = str(meta.get("format"))[:80]
        raise BadInput(f"{path.parent} has format {said}; this version reads {FORMAT}")
    missing = [key for key in _KINDS if key not in meta]
    if missing:
        raise Damaged(f"{path} lacks {', '.join(missing)}; the checkpoint is damaged")
    for key, is_one in {**_KINDS, "members": _are_members}.items():
        if key in meta and not is_one(meta[key]):
            raise Damaged(f"{path}: {key}={str(meta[key])[:80]!r} is none; the checkpoint is damaged")
    count = len(meta["members"]) if "members" in meta else None
    if any((len(pen) if isinstance(pen, list) else None) != count for pen in meta["brush"].values()):
        raise Damaged(f"{path}: brush and members do not fit; the checkpoint is damaged")
    return meta


def _is_config(value: Any) -> bool:
    """Groups of settings; what they mean is checked where they are used."""
    return (
        isinstance(value, dict)
        and all(isinstance(group, dict) for group in value.values())
        and {"data", "model"} <= set(value)
        and isinstance(value["data"].get("name"), str)
    )


def _are_checksums(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(one, str) and re.fullmatch("[0-9a-f]{64}", one) for one in value.values()
    )


def _are_members(value: Any) -> bool:
    """Models trained side by side, [set, seed] each."""
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MOST_MODELS
        and all(isinstance(one, list) and [type(part) for part in one] == [str, int] for one in value)
    )


def _is_brush(value: Any) -> bool:
    """The pen by its names: a number each, or one a model."""
    numbers = lambda one: all(
        isinstance(part, int | float) for part in (one if isinstance(one, list) else [one])
    )
    return (
        isinstance(value, dict)
        and set(value) <= set(BrushParams._fields)
        and all(map(numbers, value.values()))
    )


_KINDS = {
    "brush": _is_brush,
    "commit": lambda value: isinstance(value, str),
    "config": _is_config,
    "dtype": lambda value: value in _DTYPES,
    "sha256": _are_checksums,
    "step": lambda value: type(value) is int and 0 <= value < 2**31,
}
