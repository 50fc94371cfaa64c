"""Evaluations of restored models, one file each.

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
    variations,
)
from dood_jax.evaluation.one_shot import task
from dood_jax.evaluation.resume_cache import identity
from dood_jax.training.metrics import show_log

_ASKED = ("iterations", "source_size")  # settings of a model that may be others than in training
_FREE = ("model.unroll", *(f"model.{key}" for key in _ASKED))


class Task(NamedTuple):
    """An evaluation, and what it is called for."""

    run: Callable[..., dict[str, Any]]  # models, config, workdir
    takes_several: bool = False  # models at once
    takes_all_sets: bool = False  # of `data.names` at once, else one after the other
    takes_input: bool = False  # the value of --input as well


TASKS = {
    "clusters": Task(representations.run_clusters),
    "completion": Task(variations.run_completion),
    "exemplars": Task(variations.run_exemplars),
    "fid": Task(fid.run),
    "likelihood": Task(likelihood.run),
    "one_shot": Task(task.run, takes_all_sets=True),
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
      settings: nested config values; what shapes a model is taken from its checkpoint instead.
      overrides: dotted keys given on the command line; BadInput if one contradicts a checkpoint, but a model
        that looks again may be given another number of looks, and any another native size of images.
      names: of tasks, joined by commas.
      checkpoints: folders or released names, joined by commas.
      workdir: where `results` go.
      inputs: what `vectorize` is given: files, folders or patterns, joined by commas.
    """
    chosen = names.split(",")
    for name in chosen:
        if name not in TASKS:
            raise BadInput(f"--task={name} is not known; choose from {', '.join(sorted(TASKS))}")
        if "," in checkpoints and not TASKS[name].takes_several:
            raise BadInput(f"--task={name} takes one checkpoint; --checkpoint={checkpoints} names several")
    resolve(settings)
    loaded = [_load(one, settings["evaluation"]["member"]) for one in checkpoints.split(",")]
    models = [_as_asked(model, overrides) for model in loaded]
    config, *_ = [_with_model_of(model, settings, overrides) for model in models]
    _require_alike(models)
    warnings.simplefilter("ignore", OddImages)  # models look at their own drawings too
    show_log()
    for name in chosen:
        task = TASKS[name]
        beside = [inputs] if task.takes_input else []
        for on_sets in [config] if task.takes_all_sets else [config.on(one) for one in config.data.sets]:
            values = task.run(models, on_sets, workdir, *beside)
            logging.info("%s of %s on %s: %s", name, checkpoints, ", ".join(on_sets.data.sets), values)


def _load(name: str, member: int) -> Model:
    """The model of a name or folder; `FOLDER:1` is one of those that were trained together."""
    folder, _, number = name.rpartition(":")
    if folder and number.isdecimal():
        return dataclasses.replace(api.load(folder, int(number)), name=name)
    return api.load(name, member)


def _as_asked(model: Model, overrides: dict) -> Model:
    """The model with another number of further looks, and on images of another native size, where given."""
    asked = {key: overrides[f"model.{key}"] for key in _ASKED if f"model.{key}" in overrides}
    if asked.get("iterations") and not model.config.iterations:
        raise BadInput(
            f"--config.model.iterations={asked['iterations']}, but {model.name} never learned it; give 0"
        )
    return dataclasses.replace(model, config=dataclasses.replace(model.config, **asked))


def _require_alike(models: Sequence[Model]) -> None:
    """Models that stand side by side look at images of one size, and are different."""
    sizes = {model.name: model.config.image_size for model in models}
    if len(set(sizes.values())) > 1:
        raise BadInput(f"--checkpoint names models of different image sizes ({sizes}); give those of one")
    known = [identity(model) for model in models]
    twice = [model.name for which, model in enumerate(models) if known.index(known[which]) < which]
    if twice:
        raise BadInput(f"--checkpoint names the model {twice[0]} more than once; give each once")


def _with_model_of(model: Model, settings: dict, overrides: dict) -> Config:
    """The settings with the checkpoint's model and image size."""
    stored = {f"model.{key}": value for key, value in model.meta["config"]["model"].items()}
    stored["data.image_size"] = stored.pop("model.image_size")
    for key, value in overrides.items():
        if key in stored and key not in _FREE and stored[key] != value:
            raise BadInput(f"--config.{key}={value} contradicts the checkpoint, which has {stored[key]}")
    data = {**settings["data"], "image_size": model.config.image_size}
    model_settings = {
        key: value for key, value in model.meta["config"]["model"].items() if key != "image_size"
    }
    asked = {key: getattr(model.config, key) for key in _ASKED}
    return resolve({**settings, "data": data, "model": {**model_settings, **asked}})
