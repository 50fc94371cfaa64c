"""How a task's numbers are kept: `DIR/results/<task>-<dataset>.json`, `-transposed` for EMNIST so turned."""

import dataclasses
import importlib.metadata
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dood_jax.api import Model
from dood_jax.checkpointing.restore import checksum, commit
from dood_jax.config.groups import Config
from dood_jax.runtime import parallel
from dood_jax.version import VERSION

_LIBRARIES = ("jax", "jaxlib", "flax", "optax", "distrax", "orbax-checkpoint", "numpy")


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What one or several models are asked, from now on."""

    task: str
    config: Config
    models: Sequence[Model]
    started: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    def write(
        self,
        workdir: Path,
        values: dict[str, Any],
        count: int,
        path: str | None = None,
        images: str | None = None,
        seconds_before: float = 0.0,
    ) -> Path:
        """Writes what was found on `count` images, whole or not at all; returns the file.

        The file is named after task and set unless `path` names it; with `evaluation.optimize_steps` the name
        ends in `-refined`, with `evaluation.brush_bits` in `-charged`, on another grid than in training in
        `-without-grid`. `images` says what was drawn where
        that is not a set's test split; `seconds_before` were spent on what a killed measurement had kept.
        """
        record = {
            "task": self.task,
            "values": values,
            "config": self.config.as_dict(),
            "checkpoint": _only([model.name for model in self.models]),
            "checkpoint_sha256": _only([checksum(model.meta) for model in self.models]),
            "step": _only([model.meta["step"] for model in self.models]),
            "dataset": images or _only(list(self.config.data.sets)),
            "split": None if images else "test",
            "n": count,
            "seed": self.config.evaluation.seed,
            "commit": commit(),
            "trained_at_commit": _only([model.meta["commit"] for model in self.models]),
            "device": parallel.device_name(),
            "seconds": round(self.seconds + seconds_before, 2),
            "versions": {
                "dood_jax": VERSION,
                **{name: importlib.metadata.version(name) for name in _LIBRARIES},
            },
        }
        name = path or f"{self.task}-{self.config.data.name}{suffix(self.config, self.models)}.json"
        save(workdir / "results" / name, record)
        return workdir / "results" / name


def _only(entries: list) -> Any:
    return entries[0] if len(entries) == 1 else entries


def suffix(config: Config, models: Sequence[Model] = ()) -> str:
    """What names of results tell of settings; `-without-grid` where models are asked for another."""
    transposed = "-transposed" if config.data.transpose else ""
    refined = "-refined" if config.evaluation.optimize_steps else ""
    charged = "-charged" if config.evaluation.brush_bits else ""
    return transposed + ("-without-grid" if any(map(is_on_another_grid, models)) else "") + refined + charged


def is_on_another_grid(model: Model) -> bool:
    """Whether a model compares images on another grid than in training."""
    return model.config.source_size != model.meta["config"]["model"].get("source_size", 0)


def read(path: Path) -> dict[str, Any]:
    """A record that was saved."""
    return json.loads(path.read_text())


def save(path: Path, record: dict[str, Any]) -> None:
    """Writes JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".tmp")
    whole.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(whole, path)
