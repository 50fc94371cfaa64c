"""Result files, `DIR/results/<task>-<dataset>.json`, and the published numbers that stand beside ours."""

import dataclasses
import functools
import importlib
import importlib.metadata
import importlib.resources
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dood_jax.api import Model
from dood_jax.checkpointing.metadata import commit
from dood_jax.checkpointing.restore import checksum
from dood_jax.config.groups import Config, DataConfig
from dood_jax.config.resolving import resolve
from dood_jax.runtime import parallel
from dood_jax.version import VERSION

_LIBRARIES = {  # distribution -> module
    "jax": "jax",
    "jaxlib": "jaxlib",
    "flax": "flax",
    "optax": "optax",
    "distrax": "distrax",
    "orbax-checkpoint": "orbax.checkpoint",
    "numpy": "numpy",
}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One task's measurement of one or several models; its clock starts when it is made."""

    task: str
    config: Config
    models: Sequence[Model]
    started: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the measurement was made."""
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
        """Writes the record of a measurement, whole or not at all, and returns its file.

        Args:
          workdir: the run's folder; the file lies in its folder `results`.
          values: what was found.
          count: number of images, or of what else was measured.
          path: the file's name; by default it is made of the task, the set and `suffix`.
          images: what was drawn, where it is not the test split of the set.
          seconds_before: time spent on what was read from the resume cache.
        """
        record = {
            "task": self.task,
            "values": values,
            "config": self.config.as_dict(),
            "checkpoint": _unpacked([model.name for model in self.models]),
            "checkpoint_sha256": _unpacked([checksum(model.meta) for model in self.models]),
            "step": _unpacked([model.meta["step"] for model in self.models]),
            "dataset": images or _unpacked(list(self.config.data.sets)),
            "split": None if images else "test",
            "n": count,
            "seed": self.config.evaluation.seed,
            "commit": commit(),
            "trained_at_commit": _unpacked([model.meta["commit"] for model in self.models]),
            "device": parallel.device_name(),
            "seconds": round(self.seconds + seconds_before, 2),
            "versions": {"dood_jax": VERSION, **dependency_versions()},
        }
        name = path or f"{self.task}-{self.config.data.name}{suffix(self.config, self.models)}.json"
        save(workdir / "results" / name, record)
        return workdir / "results" / name


def dependency_versions() -> dict[str, str]:
    """Versions of the libraries that numbers depend on, by their metadata or else their `__version__`.

    A library that tells neither is left out.
    """
    versions = {}
    for distribution, module in _LIBRARIES.items():
        try:
            versions[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            try:
                versions[distribution] = str(importlib.import_module(module).__version__)
            except (ImportError, AttributeError):
                continue
    return versions


def suffix(config: Config, models: Sequence[Model] = ()) -> str:
    """What the names of results say of the settings, after task and set.

    `-transposed`: EMNIST lying on its side; `-without-source-size` or `-source-size-N`: images compared at
    another source resolution than in training; `-iterations-N`, `-newton-steps-N`: other numbers of
    them than in training; `-revised`: drawings were revised; `-optimized`: after test-time optimisation;
    `-brush-bits`: with the brush charged.
    """
    parts = ["transposed"] if config.data.transpose else []
    other_sizes = {model.config.source_size for model in models if differs_in_source_size(model)}
    parts += [f"source-size-{size}" if size else "without-source-size" for size in sorted(other_sizes)]
    for key in ("iterations", "newton_steps"):
        changed = {getattr(model.config, key) for model in models if differs_in(model, key)}
        parts += [f"{key.replace('_', '-')}-{number}" for number in sorted(changed)]
    parts += ["revised"] if config.evaluation.revisions else []
    parts += ["optimized"] if config.evaluation.optimize_steps else []
    parts += ["brush-bits"] if config.evaluation.brush_bits else []
    return "".join(f"-{part}" for part in parts)


def differs_in_source_size(model: Model) -> bool:
    """Whether a model compares images at another source resolution than in training (method.md 4.1)."""
    return differs_in(model, "source_size")


def differs_in(model: Model, key: str) -> bool:
    """Whether a number of a model's settings is another than in training, where one not stored was 0."""
    return getattr(model.config, key) != model.meta["config"]["model"].get(key, 0)


def training_data_of(model: Model, config: Config) -> DataConfig:
    """The set that a model was trained on, read from where this evaluation finds its data.

    A folder of images is a set of its own: it is where it was, if that is known and still there.
    """
    stored = model.meta["config"]["data"]
    given, own = config.data.dir, stored.get("dir")
    is_there = stored["name"] == "folder" and own and Path(own).is_dir()
    return resolve({"data": {**stored, "dir": own if is_there else given or own}}).data


def read(path: Path) -> dict[str, Any]:
    """A record that was saved."""
    return json.loads(path.read_text())


def save(path: Path, record: dict[str, Any]) -> None:
    """Writes JSON. A killed process leaves the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(record, indent=1) + "\n")
    os.replace(unfinished, path)


@functools.cache
def published() -> dict[str, Any]:
    """The numbers of the paper and of its rivals, as `published.json` holds them (method.md 11)."""
    return json.loads(importlib.resources.files("dood_jax.evaluation").joinpath("published.json").read_text())


def published_log_likelihood(model: str, source: str, target: str) -> float | None:
    """Mean nats of DooD or AIR trained on one set and tested on another; None if it is not published."""
    row, targets = published()["likelihood"][model].get(source), published()["targets"]
    return row["mean"][targets.index(target)] if row and target in targets else None


def _unpacked(entries: list) -> Any:
    """The only entry of a list, or the list of several."""
    return entries[0] if len(entries) == 1 else entries
