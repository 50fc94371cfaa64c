"""Evaluations of a restored model, one file each."""

from collections.abc import Callable
from pathlib import Path

from absl import logging

from dood_jax import api
from dood_jax.errors import BadInput
from dood_jax.tasks import likelihood, reconstruction, release
from dood_jax.training.config import Config, resolve
from dood_jax.training.logging import show_log

TASKS: dict[str, Callable] = {
    "likelihood": likelihood.run,
    "reconstruction": reconstruction.run,
    "release": release.run,
}


def evaluate(settings: dict, overrides: dict, names: str, checkpoint: str, workdir: Path) -> None:
    """Runs tasks on a checkpoint and logs their values.

    Args:
      settings: nested config values; what shapes the model is taken from the checkpoint instead.
      overrides: dotted keys given on the command line; BadInput if one contradicts the checkpoint.
      names: of tasks, joined by commas.
      checkpoint: a folder or a released name.
      workdir: where `results` go.
    """
    tasks = names.split(",")
    for name in tasks:
        if name not in TASKS:
            raise BadInput(f"--task={name} is not known; choose from {', '.join(sorted(TASKS))}")
    model = api.load(checkpoint, settings["evaluation"]["member"])
    config = _with_model_of(model, settings, overrides)
    show_log()
    for name in tasks:
        values = TASKS[name](model, config, workdir)
        logging.info("%s of %s on %s: %s", name, checkpoint, config.data.name, values)


def _with_model_of(model: api.Model, settings: dict, overrides: dict) -> Config:
    """The settings with the checkpoint's model and picture size."""
    stored = {f"model.{key}": value for key, value in model.meta["config"]["model"].items()}
    stored["data.image_size"] = stored.pop("model.image_size")
    for key, value in overrides.items():
        if key in stored and key != "model.unroll" and stored[key] != value:
            raise BadInput(f"--config.{key}={value} contradicts the checkpoint, which has {stored[key]}")
    data = {**settings["data"], "names": "", "image_size": model.config.image_size}
    model_settings = {
        key: value for key, value in model.meta["config"]["model"].items() if key != "image_size"
    }
    return resolve({**settings, "data": data, "model": model_settings})
