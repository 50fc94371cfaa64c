"""From a ConfigDict to frozen, checked settings.

`model`, `objective` and `optimizer` keys that are left None take the value of `model.preset`: the published
model, or the fast one, most of whose values are the defaults of the groups.
"""

import dataclasses
import math
import typing
from typing import Any

from ml_collections import ConfigDict, config_dict

from dood_jax.config.groups import Config, DataConfig
from dood_jax.config.model import NEEDED_BY_AUTOREGRESSIVE, ModelConfig
from dood_jax.errors import BadInput, require_choice

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {  # the rest are the defaults; its prior is for models that it fits
        "model": {"source_size": 28, "prior": "autoregressive", "settle": True},
    },
    "published": {
        "model": {
            "brush": "splat",
            "placement": "glimpse",
            "encoder": "conv",
            "latents": "correlated",
            "components": 40,
            "curve_samples": 100,
            "dropout": 0.5,
        },
        "objective": {"stopping": "nvil"},
        "optimizer": {
            "learning_rate": 1e-4,
            "schedule": "constant",
            "warmup_steps": 0,
            "likelihood_multiplier": 1.0,
            "presence_multiplier": 1.0,
            "prior_multiplier": 1.0,
            "clip_norm": 0.0,
        },
    },
}

_LARGEST_INT = 2**31 - 1  # of 32 bits
# Upper bounds of what sizes arrays, far beyond what anyone trains: a larger number in a damaged or foreign
# checkpoint is refused before memory is taken for it.
_MOST: dict[str, int] = {
    "data.image_size": 1000,
    "model.num_strokes": 1000,
    "model.num_points": 100,
    "model.components": 10_000,
    "model.iterations": 1000,
    "model.image_size": 1000,
    "model.source_size": 1000,
    "model.glimpse_size": 1000,
    "model.curve_samples": 10_000,
    "model.features": 16_384,
    "objective.num_particles": 10_000,
    "training.batch_size": 2**20,
    "training.num_models": 4096,
    "evaluation.num_particles": 1_000_000,
    "evaluation.num_strokes": 1000,
    "evaluation.brush_bits": 10,
    "evaluation.batch_size": 2**20,
}
_GROUPS = typing.get_type_hints(Config)
_PRESET_GROUPS = ("model", "objective", "optimizer")
_OPTIONAL_STRINGS = {("data", "dir")}


def default_config() -> ConfigDict:
    """All keys of a run with their defaults, for `configs/*.py` to change; None where the preset decides."""
    groups = {}
    for name, group in _GROUPS.items():
        defaults = dataclasses.asdict(group())
        if name == "model":
            del defaults["image_size"]  # follows data.image_size
        for key, value in defaults.items():
            if (name, key) in _OPTIONAL_STRINGS:
                defaults[key] = config_dict.placeholder(str)
            elif name in _PRESET_GROUPS and key != "preset":
                defaults[key] = config_dict.placeholder(type(value))
        groups[name] = defaults
    return ConfigDict(groups)


def continued_config(what: str, default_start: str = "") -> ConfigDict:
    """Defaults for training that goes on from a trained model, with 24 iterations of iterative inference.

    In the last quarter of the steps the prior learns alone.

    Args:
      what: `SET[,FROM]`: the dataset, and the model to begin with, a released name or the folder of a run.
      default_start: stands for FROM where it is not given; the released model of the dataset if empty.
    """
    name, _, start = what.partition(",")
    config = default_config()
    config.data.name = name
    if name == "quickdraw":
        config.data.per_category = 5000
    config.model.iterations = 24
    config.objective.update(floor_start_step=0, floor_end_step=1)  # the floor is for models that know nothing
    config.objective.prior_fraction = 0.25
    config.training.update(init_from=start or default_start or name, steps=8000, evaluate_every=2000)
    return config


def resolve(config: ConfigDict | dict) -> Config:
    """Frozen, checked settings; raises BadInput naming the key that is unknown or out of range."""
    plain = config.to_dict() if isinstance(config, ConfigDict) else config
    _refuse_unknown("", plain, _GROUPS)
    given = {name: _given(name, plain.get(name)) for name in _GROUPS}
    preset = require_choice("model.preset", given["model"].get("preset", "fast"), tuple(PRESETS))
    groups = {name: {**PRESETS[preset].get(name, {}), **given[name]} for name in _GROUPS}
    if any(given["model"].get(key, value) != value for key, value in NEEDED_BY_AUTOREGRESSIVE.items()):
        groups["model"]["prior"] = given["model"].get("prior", ModelConfig.prior)
    if preset == "published":
        groups["model"].setdefault("start", _published_start(groups["model"], groups["data"]))
    groups["model"]["image_size"] = groups["data"].get("image_size", DataConfig.image_size)
    return Config(**{name: group(**groups[name]) for name, group in _GROUPS.items()})


def model_of(stored: Any) -> ModelConfig:
    """The settings of a stored model; raises BadInput naming the key that is unknown or out of range."""
    return ModelConfig(**_given("model", stored))


def _given(name: str, values: Any) -> dict[str, Any]:
    """The given values of a group, without those left None.

    Raises BadInput for an unknown key or a bad value.
    """
    if values is not None and not isinstance(values, dict):
        raise BadInput(f"config key {name}={repr(values)[:80]} is no group of settings; leave it out")
    given = {key: value for key, value in (values or {}).items() if value is not None}
    types = {field.name: field.type for field in dataclasses.fields(_GROUPS[name])}
    _refuse_unknown(name + ".", given, types)
    return {key: _checked(f"{name}.{key}", value, types[key]) for key, value in given.items()}


def _checked(key: str, value: Any, wanted: Any) -> Any:
    """The value, if it has the type of its key and is not too large; an int is taken for a float."""
    if wanted is float and type(value) is int and abs(value) < 2**63:
        value = float(value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        name = getattr(wanted, "__name__", str(wanted))
        raise BadInput(f"{key}={repr(value)[:80]} is no {name}; give one")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"{key}={value} is not finite; give a number")
    if isinstance(value, int) and not key.endswith("seed") and value > _MOST.get(key, _LARGEST_INT):
        raise BadInput(f"{key}={value} is too large; give at most {_MOST.get(key, _LARGEST_INT)}")
    return value


def _published_start(model: dict, data: dict) -> str:
    """The dataset whose initial values a published run began with (method.md 12.1)."""
    name = "mnist" if data.get("names") else data.get("name", DataConfig.name)
    if model["latents"] != "correlated" or name not in ("synthetic", "omniglot"):
        return "mnist"
    has_common_brush = model["placement"] == "points"
    return "synthetic" if has_common_brush else name


def _refuse_unknown(prefix: str, given: dict, known: Any) -> None:
    for key in given:
        if key not in known:
            shown = key if str(key).isprintable() else repr(key)
            raise BadInput(f"config key {prefix}{shown} is unknown; choose from {', '.join(sorted(known))}")
