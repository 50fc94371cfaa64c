"""The settings of a run: groups, presets, and the way from a ConfigDict to frozen, checked values.

`model`, `objective` and `optimizer` keys left None take the value of `model.preset`.
"""

import dataclasses
import math
import re
from typing import Any, NamedTuple

from ml_collections import ConfigDict, config_dict

from dood_jax.data import catalog, quickdraw_categories
from dood_jax.errors import BadInput, require_at_least, require_choice, require_seed
from dood_jax.model.config import ModelConfig
from dood_jax.training.invention_config import InventionConfig
from dood_jax.training.one_shot_config import OneShotConfig

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {},  # the defaults below and those of ModelConfig
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
            "clip_norm": 0.0,
        },
    },
}


_COUNTER = 2**31 - 1  # most of what a 32-bit number counts
_MOST: dict[str, int] = {  # of what sizes arrays, far beyond what anyone has trained
    "data.image_size": 1000,
    "model.num_strokes": 1000,
    "model.num_points": 100,
    "model.components": 10_000,
    "model.looks": 1000,
    "model.image_size": 1000,
    "model.glimpse_size": 1000,
    "model.curve_samples": 10_000,
    "model.features": 16_384,
    "objective.num_particles": 10_000,
    "training.batch_size": 2**20,
    "training.num_models": 4096,
    "evaluation.num_particles": 1_000_000,
    "evaluation.num_strokes": 1000,
    "evaluation.batch_size": 2**20,
}
PRECISIONS = ("default", "bfloat16", "tensorfloat32", "float32")  # as JAX names them


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which pictures."""

    name: str = "mnist"  # a set of `dood_jax.data`, or synthetic
    dir: str | None = None
    image_size: int = 50
    transpose: bool = False  # EMNIST lying on its side, as it was published
    categories: str = quickdraw_categories.PUBLISHED  # of Quick, Draw!, joined by commas; or all
    per_category: int = 0  # most drawings of each over both splits, a fifth of them in test; 0: all
    names: str = ""  # several sets, joined by commas: a model for each, side by side in one program

    def __post_init__(self) -> None:
        """Checks every value."""
        require_at_least("data.per_category", self.per_category, 0)
        for name in self.sets:
            catalog.require_name(name, "data.names" if self.names else "data.name")
        if len(self.sets) == 1:
            catalog.require_fitting(self.sets[0], self.transpose, self.per_category)
        elif len(set(self.sets) & set(catalog.CATALOG)) < len(self.sets):
            raise BadInput(f"data.names={self.names!r}; give different ones of {', '.join(catalog.CATALOG)}")
        quickdraw_categories.parse(self.categories)
        if self.sets == (catalog.FOLDER,) and not self.dir:
            raise BadInput("data.name='folder' without data.dir; give --config.data.dir=FOLDER")

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that models are trained on."""
        return tuple(self.names.split(",")) if self.names else (self.name,)

    @property
    def is_synthetic(self) -> bool:
        """Whether pictures are drawn on the device."""
        return self.sets == (catalog.SYNTHETIC,)

    def only(self, name: str) -> "DataConfig":
        """The settings of one of the sets, without those that other sets alone know."""
        transpose = self.transpose and name in catalog.TRANSPOSED_AS_PUBLISHED
        per_category = self.per_category if name == "quickdraw" else 0
        return dataclasses.replace(self, name=name, names="", transpose=transpose, per_category=per_category)


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """What is maximised."""

    stopping: str = "exact"  # sum over stopping times; nvil: sample them
    beta: float = 4.0  # (method.md 7)
    beta_weighs: str = "likelihood"  # divides it in the decision to stop; presence: multiplies the bits' KL
    num_particles: int = 1  # drawings of a picture, for nvil
    look_every: int = 4  # one picture of so many is looked at again, by a model that does
    learned_looks: int = 6  # at most so many of its looks get a gradient, the last ones
    floor_start_step: int = 500  # until here every prefix of a drawing weighs the same
    floor_end_step: int = 3000  # from here on prefixes weigh as the posterior says

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("objective.stopping", self.stopping, ("exact", "nvil"))
        require_choice("objective.beta_weighs", self.beta_weighs, ("likelihood", "presence"))
        require_at_least("objective.beta", self.beta, 1e-6)
        for key in ("num_particles", "look_every", "learned_looks"):
            require_at_least(f"objective.{key}", getattr(self, key), 1)
        if self.num_particles > 1 and self.stopping != "nvil":
            raise BadInput(
                f"objective.num_particles={self.num_particles} needs objective.stopping='nvil'; give 1"
            )
        if self.floor_end_step <= self.floor_start_step:
            raise BadInput(
                f"objective.floor_end_step={self.floor_end_step} must lie after"
                f" floor_start_step={self.floor_start_step}"
            )

    @property
    def likelihood_divisor(self) -> float:
        """What the likelihood is divided by in the decision to stop."""
        return self.beta if self.beta_weighs == "likelihood" else 1.0

    @property
    def presence_weight(self) -> float:
        """What the divergence of the bits is multiplied by."""
        return self.beta if self.beta_weighs == "presence" else 1.0


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How it is maximised: Adam."""

    learning_rate: float = 1e-3
    schedule: str = "cosine"  # to 2 % at the last step, or constant
    warmup_steps: int = 200
    likelihood_multiplier: float = 10.0  # of the rate, for the observation scale
    presence_multiplier: float = 0.3  # of the rate, for the posterior's presence network
    baseline_multiplier: float = 10.0  # of the rate, for what NVIL expects of drawings
    clip_norm: float = 2000.0  # of the gradient; 0 does not clip

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("optimizer.schedule", self.schedule, ("cosine", "constant"))
        for key in (
            "learning_rate",
            "warmup_steps",
            "likelihood_multiplier",
            "presence_multiplier",
            "baseline_multiplier",
            "clip_norm",
        ):
            require_at_least(f"optimizer.{key}", getattr(self, key), 0)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How long, on what, and what is kept."""

    steps: int = 12000
    batch_size: int = 64  # over all devices
    init_from: str = ""  # a folder or released name, whose parameters a run without checkpoints begins with
    seed: int = 0
    num_models: int = 1  # models of each set, with seeds from `seed` on, side by side in one program
    steps_per_call: int = 1  # steps per compiled call; more than 1 pays on accelerators
    parallel: str = "pmap"
    precision: str = "default"  # of the networks' products on accelerators; drawing is exact anyway
    checkpoint_every: int = 500
    keep_checkpoints: int = 3  # the newest so many; the best one on held-out pictures stays besides
    evaluate_every: int = 1000
    log_every: int = 50
    max_skipped: int = 100  # steps in a row that were not finite, before the run gives up; 0: never
    distributed: str = "auto"  # over processes: where a cluster is found; on: or refuse; off: never
    coordinator: str = ""  # HOST:PORT of the first process; else $JAX_COORDINATOR_ADDRESS, or the cluster's
    num_processes: int = 0  # of the run; 0: $JAX_NUM_PROCESSES, or the cluster's
    process_id: int = -1  # of this process; -1: $JAX_PROCESS_ID, or the cluster's
    heartbeat: int = 100  # seconds of silence after which a process is taken for dead, and the others end
    join_timeout: int = 300  # seconds that processes wait for each other at the start and at the end

    def __post_init__(self) -> None:
        """Checks every value."""
        require_seed("training.seed", self.seed)
        require_choice("training.parallel", self.parallel, ("pmap", "shard_map"))
        require_choice("training.precision", self.precision, PRECISIONS)
        require_choice("training.distributed", self.distributed, ("auto", "on", "off"))
        for key, least in {"max_skipped": 0, "num_processes": 0, "process_id": -1}.items():
            require_at_least(f"training.{key}", getattr(self, key), least)
        if self.coordinator and not re.fullmatch(r"\S+:\d{1,5}", self.coordinator):
            raise BadInput(
                f"training.coordinator={self.coordinator!r} is no HOST:PORT; give one as node0:1234"
            )
        if self.num_processes and self.process_id >= self.num_processes:
            raise BadInput(
                f"training.process_id={self.process_id} of num_processes={self.num_processes};"
                f" give 0 to {self.num_processes - 1}"
            )
        for key in (
            "steps",
            "batch_size",
            "num_models",
            "steps_per_call",
            "checkpoint_every",
            "keep_checkpoints",
            "evaluate_every",
            "log_every",
            "heartbeat",
            "join_timeout",
        ):
            require_at_least(f"training.{key}", getattr(self, key), 1)
        require_seed("training.seed + training.num_models - 1", self.seed + self.num_models - 1)
        for key in ("steps", "checkpoint_every", "evaluate_every", "log_every"):
            if getattr(self, key) % self.steps_per_call:
                raise BadInput(
                    f"training.{key}={getattr(self, key)} is not a multiple of"
                    f" training.steps_per_call={self.steps_per_call}"
                )


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """What is measured on held-out pictures."""

    num_images: int = 256  # chosen at random, always the same; 0 for all
    num_particles: int = 20
    samples_per_look: int = 1  # of them, by a model that looks again: so many after looking at one drawing
    num_strokes: int = 0  # most strokes; 0 as trained
    batch_size: int = 64
    seed: int = 0
    refine_steps: int = 0  # gradient steps on each drawing, or on its posterior
    member: int = 0  # of the models that were trained side by side

    def __post_init__(self) -> None:
        """Checks every value."""
        require_seed("evaluation.seed", self.seed)
        for key in ("num_images", "num_strokes", "member", "refine_steps"):
            require_at_least(f"evaluation.{key}", getattr(self, key), 0)
        for key in ("num_particles", "samples_per_look", "batch_size"):
            require_at_least(f"evaluation.{key}", getattr(self, key), 1)
        if self.num_particles % self.samples_per_look:
            raise BadInput(
                f"evaluation.samples_per_look={self.samples_per_look} does not divide"
                f" evaluation.num_particles={self.num_particles}; give a divisor"
            )


class Member(NamedTuple):
    """One of the models of a run."""

    name: str  # of its set
    seed: int


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run."""

    data: DataConfig
    model: ModelConfig
    objective: ObjectiveConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    invention: InventionConfig = dataclasses.field(default_factory=InventionConfig)
    one_shot: OneShotConfig = dataclasses.field(default_factory=OneShotConfig)

    def __post_init__(self) -> None:
        """Checks what groups say of each other."""
        if self.model.looks and self.objective.stopping != "exact":
            raise BadInput(f"model.looks={self.model.looks} needs objective.stopping='exact'; give 0")

    @property
    def members(self) -> list[Member]:
        """The models of the run: every set with every seed."""
        seeds = range(self.training.seed, self.training.seed + self.training.num_models)
        return [Member(name, seed) for name in self.data.sets for seed in seeds]

    def on(self, name: str) -> "Config":
        """The same run on one of its sets, or on another."""
        return dataclasses.replace(self, data=self.data.only(name))

    def unrefined(self) -> "Config":
        """The same run without refinement."""
        return dataclasses.replace(self, evaluation=dataclasses.replace(self.evaluation, refine_steps=0))

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Nested plain values, as checkpoints keep them."""
        return dataclasses.asdict(self)


_GROUPS = {field.name: field.type for field in dataclasses.fields(Config)}
_PRESET_GROUPS = ("model", "objective", "optimizer")
_OPTIONAL_STRINGS = {("data", "dir")}


def default_config() -> ConfigDict:
    """The keys of a run for `configs/*.py` to change; None where the preset decides."""
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


def resolve(config: ConfigDict | dict) -> Config:
    """Frozen, checked settings; raises BadInput naming the key that is unknown or out of range."""
    plain = config.to_dict() if isinstance(config, ConfigDict) else config
    _no_unknown("", plain, _GROUPS)
    given = {name: _given(name, plain.get(name)) for name in _GROUPS}
    preset = require_choice("model.preset", given["model"].get("preset", "fast"), tuple(PRESETS))
    groups = {name: {**PRESETS[preset].get(name, {}), **given[name]} for name in _GROUPS}
    if preset == "published":
        groups["model"].setdefault("start", _published_start(groups["model"], groups["data"]))
    groups["model"]["image_size"] = groups["data"].get("image_size", DataConfig.image_size)
    return Config(**{name: group(**groups[name]) for name, group in _GROUPS.items()})


def model_of(stored: Any) -> ModelConfig:
    """The settings of a stored model; raises BadInput naming the key that is unknown or out of range."""
    return ModelConfig(**_given("model", stored))


def _given(name: str, values: Any) -> dict[str, Any]:
    """What is given of a group, each value of its kind and of a size that can be."""
    if values is not None and not isinstance(values, dict):
        raise BadInput(f"config key {name}={repr(values)[:80]} is no group of settings; leave it out")
    given = {key: value for key, value in (values or {}).items() if value is not None}
    kinds = {field.name: field.type for field in dataclasses.fields(_GROUPS[name])}
    _no_unknown(name + ".", given, kinds)
    return {key: _checked(f"{name}.{key}", value, kinds[key]) for key, value in given.items()}


def _checked(key: str, value: Any, kind: Any) -> Any:
    """A value of its kind, a whole number where a fraction may stand taken for one."""
    if kind is float and type(value) is int and abs(value) < 2**63:
        value = float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        wanted = getattr(kind, "__name__", str(kind))
        raise BadInput(f"{key}={repr(value)[:80]} is no {wanted}; give one")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"{key}={value} is not finite; give a number")
    if isinstance(value, int) and not key.endswith("seed") and value > _MOST.get(key, _COUNTER):
        raise BadInput(f"{key}={value} is too large; give at most {_MOST.get(key, _COUNTER)}")
    return value


def _published_start(model: dict, data: dict) -> str:
    """Whose initial values a published run on one set began with (method.md 14.1)."""
    name = "mnist" if data.get("names") else data.get("name", DataConfig.name)
    if model["latents"] != "correlated" or name not in ("synthetic", "omniglot"):
        return "mnist"
    has_common_pens = model["placement"] == "points"
    return "synthetic" if has_common_pens else name


def _no_unknown(prefix: str, given: dict, known: Any) -> None:
    for key in given:
        if key not in known:
            shown = key if str(key).isprintable() else repr(key)
            raise BadInput(f"config key {prefix}{shown} is unknown; choose from {', '.join(sorted(known))}")
