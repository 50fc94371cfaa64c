"""The task `release`: from a trained run to a released model of 16-bit parameters with a card.

The bound is measured with 32-bit and with 16-bit parameters, and the card says what the small form costs.
"""

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dood_jax.api import Model
from dood_jax.checkpointing import restore
from dood_jax.config.groups import Config
from dood_jax.errors import BadInput
from dood_jax.evaluation import likelihood, results
from dood_jax.inference import bounds, image_sets
from dood_jax.runtime import parallel
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.test_time import scales
from dood_jax.training.metrics import read_lines

# Flags that name folders or machines, which are left out of the card.
_LOCAL_FLAGS = ("workdir", "config.data.dir", "config.training.coordinator")


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Writes `workdir/release` (parameters, card.json) of the run in `workdir`, measured on its own set.

    Raises BadInput for a model that is released already.
    """
    (model,) = models
    config = config.on(model.meta["config"]["data"]["name"]).with_plain_inference()
    if "arguments" not in model.meta:
        raise BadInput("--task=release takes a run's checkpoint; this one is released already")
    measurement = results.Measurement("release", config, models)
    params = likelihood.with_both_scales(model, config)
    rounded = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf, np.float16).astype(np.float32), params)
    images = image_sets.test_images(config.data, config.evaluation)
    keys = image_sets.evaluation_keys(config.evaluation, len(images))
    group = DeviceGroup.local(config.training.parallel)
    full, small = (
        bounds.bound(model.config, params, images, keys, config.evaluation, group).summary()
        for params in (params, rounded)
    )
    values = {
        "dataset": config.data.name,
        "num_images": len(images),
        "num_particles": config.evaluation.num_particles,
        **{name: round(value, 4) for name, value in small.items()},
        "cost_of_16_bits": round(full["log_likelihood"] - small["log_likelihood"], 4),
    }
    fitted = {"fitted_scale": scales.other_scale(model.config)}
    card = {**origin(model, workdir), **fitted, "metrics": values}
    restore.release(params, card, workdir / "release")
    measurement.write(workdir, values, len(images))
    return values


def origin(model: Model, workdir: Path) -> dict[str, Any]:
    """The card's settings, command, seconds and device of the training, without folders of its machine."""
    meta = dict(model.meta)
    arguments = _without_local_flags(meta.pop("arguments"))
    lines = [line for line in read_lines(workdir) if line["step"] <= meta["step"]]
    data = {**meta["config"]["data"], "dir": None}
    config = {**meta["config"], "data": data, "model": dataclasses.asdict(model.config)}
    return {
        **meta,
        "config": config,
        "command": shlex.join(["python", "-m", "dood_jax.main", *arguments]),
        "seconds": lines[-1]["seconds"] if lines else None,
        "device": meta.get("device", parallel.device_name()),
    }


def _without_local_flags(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command without those of one machine: `--flag=value`, or two words."""
    kept, words = [], iter(arguments)
    for word in words:
        name, equals, _ = word.lstrip("-").partition("=")
        if not (word.startswith("-") and name in _LOCAL_FLAGS):
            kept.append(word)
        elif not equals:
            next(words, None)  # its value
    return kept
