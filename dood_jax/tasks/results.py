"""How a task's numbers are kept: `DIR/results/<task>-<dataset>.json`, `-transposed` for EMNIST so turned."""

import importlib.metadata
import json
import os
import time
from pathlib import Path
from typing import Any

from dood_jax.api import Model
from dood_jax.training import parallel
from dood_jax.training.checkpoint import commit
from dood_jax.training.config import Config

_VERSIONED = ("jax", "jaxlib", "flax", "optax", "distrax", "orbax-checkpoint", "numpy")


def write(
    workdir: Path,
    task: str,
    values: dict[str, Any],
    config: Config,
    model: Model,
    count: int,
    started: float,
    refined: bool = False,
) -> Path:
    """Writes one result, whole or not at all; `started` is time.monotonic() at the task's start.

    The names of `refined` results end in `-refined`.
    """
    record = {
        "task": task,
        "values": values,
        "config": config.as_dict(),
        "checkpoint": model.name,
        "step": model.meta["step"],
        "dataset": config.data.name,
        "split": "test",
        "n": count,
        "seed": config.evaluation.seed,
        "commit": commit(),
        "trained_at_commit": model.meta["commit"],
        "device": parallel.device_name(),
        "seconds": round(time.monotonic() - started, 2),
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONED},
    }
    kind = ("-transposed" if config.data.transpose else "") + ("-refined" if refined else "")
    path = workdir / "results" / f"{task}-{config.data.name}{kind}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".tmp")
    whole.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(whole, path)
    return path
