"""The registry of evaluation tasks, and how tasks are run on checkpoints.

A task takes (models, config, workdir), writes its results and figures into `workdir/results`, and returns its
values.
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from absl import logging

from dood_jax import api
from dood_jax.api import Model
from dood_jax.command_line import show_log
from dood_jax.config.groups import Config
from dood_jax.config.resolving import resolve
from dood_jax.errors import BadInput, OddImages
from dood_jax.evaluation import (
    fid,
    generation,
    likelihood,
    reconstruction,
    release,
    representations,
    transfer,
)
from dood_jax.evaluation.one_shot import task as one_shot
from dood_jax.evaluation.resume_cache import identity
from dood_jax.runtime import processes

# Settings of a model that may differ from those in training.
_OVERRIDABLE = ("iterations", "settle", "newton_steps", "source_size")
_FREE = ("model.unroll", *(f"model.{key}" for key in _OVERRIDABLE))  # overrides that contradict no checkpoint


class Task(NamedTuple):
    """An evaluation, and what it takes."""

    run: Callable[..., dict[str, Any]]  # (models, config, workdir) -> values
    takes_several: bool = False  # several models at once
    takes_all_sets: bool = False  # all sets of `data.names` at once; otherwise it runs once for each
    takes_input: bool = False  # the value of --input as a fourth argument


TASKS = {
    "clusters": Task(representations.run_clusters),
    "completion": Task(generation.run_completion),
    "exemplars": Task(generation.run_exemplars),
    "fid": Task(fid.run),
    "likelihood": Task(likelihood.run),
    "one_shot": Task(one_shot.run, takes_all_sets=True),
    "probe": Task(representations.run_probe),
    "reconstruction": Task(reconstruction.run_reconstruction, takes_several=True),
    "release": Task(release.run, takes_all_sets=True),
    "samples": Task(generation.run_samples),
    "stroke_counts": Task(reconstruction.run_stroke_counts, takes_all_sets=True),
    "transfer": Task(transfer.run, takes_several=True, takes_all_sets=True),
    "vectorize": Task(reconstruction.run_vectorize, takes_all_sets=True, takes_input=True),
}


def evaluate(
    settings: dict, overrides: dict, names: str, checkpoints: str, workdir: Path, inputs: str | None = None
) -> None:
    """Runs tasks on checkpoints and logs their values.

    Args:
      settings: nested config values; those of the model are taken from its checkpoint instead.
      overrides: dotted keys and values given on the command line.
      names: tasks, joined by commas.
      checkpoints: folders or released names, joined by commas.
      workdir: where `results` go.
      inputs: what `vectorize` is given: files, folders or patterns, joined by commas.

    Raises:
      BadInput: an unknown task, a task that does not take several checkpoints, or an override that
        contradicts a checkpoint. `model.iterations` of a model with iterative inference may differ from
        training, and so may `model.settle`, `model.newton_steps` and `model.source_size`.
    """
    chosen = names.split(",")
    for name in chosen:
        if name not in TASKS:
            raise BadInput(f"--task={name} is not known; choose from {', '.join(sorted(TASKS))}")
        if "," in checkpoints and not TASKS[name].takes_several:
            raise BadInput(f"--task={name} takes one checkpoint; --checkpoint={checkpoints} names several")
    resolve(settings)
    loaded = [_load(name, settings["evaluation"]["member"]) for name in checkpoints.split(",")]
    models = [_overridden(model, overrides) for model in loaded]
    config, *_ = [_config_of(model, settings, overrides) for model in models]
    _require_comparable(models)
    warnings.simplefilter("ignore", OddImages)  # tasks let models draw their own drawings too
    show_log(processes.is_first())
    for name in chosen:
        task = TASKS[name]
        extra = [inputs] if task.takes_input else []
        for on_sets in [config] if task.takes_all_sets else [config.on(one) for one in config.data.sets]:
            values = task.run(models, on_sets, workdir, *extra)
            logging.info("%s of %s on %s: %s", name, checkpoints, ", ".join(on_sets.data.sets), values)


def _load(name: str, member: int) -> Model:
    """The model of a released name or folder; `FOLDER:1` is the second of models trained side by side."""
    folder, _, number = name.rpartition(":")
    if folder and number.isdecimal():
        return dataclasses.replace(api.load(folder, int(number)), name=name)
    return api.load(name, member)


def _overridden(model: Model, overrides: dict) -> Model:
    """The model with other iterations, another end of them or another source size, where given."""
    given = {key: overrides[f"model.{key}"] for key in _OVERRIDABLE if f"model.{key}" in overrides}
    if given.get("iterations") and not model.config.iterations:
        raise BadInput(
            f"--config.model.iterations={given['iterations']}, but {model.name} never learned it; give 0"
        )
    return dataclasses.replace(model, config=dataclasses.replace(model.config, **given))


def _require_comparable(models: Sequence[Model]) -> None:
    """Raises BadInput for models of different image sizes, or for one that is given twice."""
    sizes = {model.name: model.config.image_size for model in models}
    if len(set(sizes.values())) > 1:
        raise BadInput(f"--checkpoint names models of different image sizes ({sizes}); give those of one")
    identities = [identity(model) for model in models]
    twice = [model.name for row, model in enumerate(models) if identities.index(identities[row]) < row]
    if twice:
        raise BadInput(f"--checkpoint names the model {twice[0]} more than once; give each once")


def _config_of(model: Model, settings: dict, overrides: dict) -> Config:
    """The settings with the model's own group and image size in place of what was configured.

    Raises BadInput for an override that contradicts them.
    """
    stored = model.meta["config"]["model"]
    fixed = {f"model.{key}": value for key, value in stored.items() if key != "image_size"}
    fixed["data.image_size"] = stored["image_size"]
    for key, value in overrides.items():
        if key in fixed and key not in _FREE and fixed[key] != value:
            raise BadInput(f"--config.{key}={value} contradicts the checkpoint, which has {fixed[key]}")
    data = {**settings["data"], "image_size": model.config.image_size}
    used = {key: value for key, value in dataclasses.asdict(model.config).items() if key != "image_size"}
    return resolve({**settings, "data": data, "model": used})
