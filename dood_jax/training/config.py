"""The settings of a run: groups, presets, and the way from a ConfigDict to frozen, checked values.

`model`, `objective` and `optimizer` keys left None take the value of `model.preset`.
"""

import dataclasses
from typing import Any, NamedTuple

from ml_collections import ConfigDict, config_dict

from dood_jax.data import catalog, quickdraw_categories
from dood_jax.errors import BadInput, require_at_least, require_choice, require_seed
from dood_jax.model.config import ModelConfig

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
    evaluate_every: int = 1000
    log_every: int = 50

    def __post_init__(self) -> None:
        """Checks every value."""
        require_seed("training.seed", self.seed)
        require_choice("training.parallel", self.parallel, ("pmap", "shard_map"))
        require_choice("training.precision", self.precision, PRECISIONS)
        for key in (
            "steps",
            "batch_size",
            "num_models",
            "steps_per_call",
            "checkpoint_every",
            "evaluate_every",
            "log_every",
        ):
            require_at_least(f"training.{key}", getattr(self, key), 1)
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
        for key in ("num_particles", "batch_size"):
            require_at_least(f"evaluation.{key}", getattr(self, key), 1)


@dataclasses.dataclass(frozen=True)
class OneShotConfig:
    """How characters are told apart by one example of each."""

    form: str = (
        "bent"  # strokes bent onto each other; published: tokens fitted by gradient; turned: these, mended
    )
    episodes: str = "runs"  # of Omniglot; validation: the same made of the background alphabets
    num_episodes: int = 20
    strokes: str = "model+traced"  # how the bent form draws: by the model, along traced lines, or both
    num_parses: int = 3  # of each support, of published forms
    screened: int = 5  # supports that published forms fit in full, the likeliest of the bent form; 0: all
    fit_steps: int = 100  # of published forms

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("one_shot.form", self.form, ("bent", "published", "turned"))
        require_choice("one_shot.strokes", self.strokes, ("model+traced", "model", "traced"))
        require_choice("one_shot.episodes", self.episodes, ("runs", "validation"))
        for key in ("num_episodes", "num_parses", "fit_steps"):
            require_at_least(f"one_shot.{key}", getattr(self, key), 1)
        require_at_least("one_shot.screened", self.screened, 0)


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
    one_shot: OneShotConfig = OneShotConfig()

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
    preset = require_choice("model.preset", (plain.get("model") or {}).get("preset", "fast"), tuple(PRESETS))
    groups = {}
    for name, group in _GROUPS.items():
        given = {key: value for key, value in (plain.get(name) or {}).items() if value is not None}
        _no_unknown(name + ".", given, {field.name for field in dataclasses.fields(group)})
        groups[name] = {**PRESETS[preset].get(name, {}), **given}
    if preset == "published":
        groups["model"].setdefault("start", _published_start(groups["model"], groups["data"]))
    groups["model"]["image_size"] = groups["data"].get("image_size", DataConfig.image_size)
    return Config(**{name: group(**groups[name]) for name, group in _GROUPS.items()})


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
            raise BadInput(f"config key {prefix}{key} is unknown; choose from {', '.join(sorted(known))}")
