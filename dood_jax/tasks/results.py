"""How a task's numbers are kept: `DIR/results/<task>-<dataset>.json`, `-transposed` for EMNIST so turned."""

import importlib.metadata
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dood_jax.api import Model
from dood_jax.training import parallel
from dood_jax.training.checkpoint import commit
from dood_jax.training.config import Config

_VERSIONED = ("jax", "jaxlib", "flax", "optax", "distrax", "orbax-checkpoint", "numpy")


def write(  # noqa: PLR0913 - each is a field of the record
    workdir: Path,
    task: str,
    values: dict[str, Any],
    config: Config,
    models: Model | Sequence[Model],
    count: int,
    started: float,
    path: str | None = None,
    pictures: str | None = None,
) -> Path:
    """Writes one result of one or several models, whole or not at all.

    `started` is time.monotonic() at the task's start. The file is named after task and set unless `path`
    names it; with `evaluation.refine_steps` the name ends in `-refined`. `pictures` says what was drawn where
    that is not a set's test split.
    """
    models = [models] if isinstance(models, Model) else models
    only = lambda entries: entries[0] if len(entries) == 1 else entries
    record = {
        "task": task,
        "values": values,
        "config": config.as_dict(),
        "checkpoint": only([model.name for model in models]),
        "step": only([model.meta["step"] for model in models]),
        "dataset": pictures or only(list(config.data.sets)),
        "split": None if pictures else "test",
        "n": count,
        "seed": config.evaluation.seed,
        "commit": commit(),
        "trained_at_commit": only([model.meta["commit"] for model in models]),
        "device": parallel.device_name(),
        "seconds": round(time.monotonic() - started, 2),
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONED},
    }
    written = workdir / "results" / (path or f"{task}-{config.data.name}{suffix(config)}.json")
    save(written, record)
    return written


def suffix(config: Config) -> str:
    """What the names of results tell of their settings."""
    transposed = "-transposed" if config.data.transpose else ""
    return transposed + ("-refined" if config.evaluation.refine_steps else "")


def save(path: Path, record: dict[str, Any]) -> None:
    """Writes JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".tmp")
    whole.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(whole, path)
