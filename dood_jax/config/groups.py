"""The groups of settings of a run, each a frozen dataclass that checks its values."""

import dataclasses
import re
from typing import Any, NamedTuple

from dood_jax.config import datasets
from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput, require_at_least, require_choice, require_fraction, require_seed


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images."""

    name: str = "mnist"  # a set of `dood_jax.data`, or synthetic
    dir: str | None = None
    image_size: int = 50
    transpose: bool = False  # EMNIST lying on its side, as it was published
    categories: str = datasets.PUBLISHED_CATEGORIES  # of Quick, Draw!, joined by commas; or all
    per_category: int = 0  # most drawings of each over both splits, a fifth of them in test; 0: all
    overlay_prob: float = 0.0  # share of training images over which another of the set is laid
    names: str = ""  # several sets, joined by commas: a model for each, side by side in one program

    def __post_init__(self) -> None:
        """Checks every value."""
        require_at_least("data.per_category", self.per_category, 0)
        require_fraction("data.overlay_prob", self.overlay_prob)
        for name in self.sets:
            datasets.require_name(name, "data.names" if self.names else "data.name")
        if len(self.sets) == 1:
            datasets.require_fitting(self.sets[0], self.transpose, self.per_category)
        elif len(set(self.sets) & set(datasets.CATALOG)) < len(self.sets):
            raise BadInput(f"data.names={self.names!r}; give different ones of {', '.join(datasets.CATALOG)}")
        datasets.parse_categories(self.categories)
        if self.sets == (datasets.FOLDER,) and not self.dir:
            raise BadInput("data.name='folder' without data.dir; give --config.data.dir=FOLDER")

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that models are trained on."""
        return tuple(self.names.split(",")) if self.names else (self.name,)

    @property
    def is_synthetic(self) -> bool:
        """Whether images are drawn on the device."""
        return self.sets == (datasets.SYNTHETIC,)

    def only(self, name: str) -> "DataConfig":
        """The settings of one of the sets, without those that other sets alone know."""
        transpose = self.transpose and name in datasets.TRANSPOSED_AS_PUBLISHED
        per_category = self.per_category if name == "quickdraw" else 0
        return dataclasses.replace(self, name=name, names="", transpose=transpose, per_category=per_category)


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """What is maximised."""

    stopping: str = "exact"  # sum over stopping times; nvil: sample them
    beta: float = 4.0  # (method.md 7)
    beta_weighs: str = "likelihood"  # divides it in the decision to stop; presence: multiplies the bits' KL
    num_particles: int = 1  # drawings of an image, for nvil
    iterated_fraction: float = (
        0.25  # of the images of a batch, 1 / a whole number, go through iterative inference
    )
    backprop_iterations: int = 6  # at most so many of its looks get a gradient, the last ones
    mismatched_start_prob: float = 0.25  # share of them whose looks begin with the drawing of another image
    floor_start_step: int = 500  # until here every prefix of a drawing weighs the same
    floor_end_step: int = 3000  # from here on prefixes weigh as the posterior says

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("objective.stopping", self.stopping, ("exact", "nvil"))
        require_choice("objective.beta_weighs", self.beta_weighs, ("likelihood", "presence"))
        require_at_least("objective.beta", self.beta, 1e-6)
        for key in ("num_particles", "backprop_iterations"):
            require_at_least(f"objective.{key}", getattr(self, key), 1)
        self._require_unit_fraction()
        require_fraction("objective.mismatched_start_prob", self.mismatched_start_prob)
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
    def iterated_every(self) -> int:
        """One image of so many goes through iterative inference."""
        return round(1 / self.iterated_fraction)

    def _require_unit_fraction(self) -> None:
        fraction = self.iterated_fraction
        if not 0 < fraction <= 1 or abs(fraction * round(1 / fraction) - 1) > 1e-6:
            raise BadInput(
                f"objective.iterated_fraction={fraction} is not 1 / a whole number; give 1, 0.5, 0.25 or so"
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

    trained: str = "all"  # networks; prior: the prior's own alone, what is drawn of images stays the same
    learning_rate: float = 1e-3
    schedule: str = "cosine"  # to 2 % at the last step, or constant
    warmup_steps: int = 200
    likelihood_multiplier: float = 10.0  # of the rate, for the observation scale
    presence_multiplier: float = 0.3  # of the rate, for the posterior's presence network
    baseline_multiplier: float = 10.0  # of the rate, for what NVIL expects of drawings
    clip_norm: float = 2000.0  # of the gradient; 0 does not clip

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("optimizer.trained", self.trained, ("all", "prior"))
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


PRECISIONS = ("default", "bfloat16", "tensorfloat32", "float32")  # as JAX names them


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
    keep_checkpoints: int = 3  # the newest so many; the best one on held-out images stays besides
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
    """What is measured on held-out images."""

    num_images: int = 256  # chosen at random, always the same; 0 for all
    num_particles: int = 20
    samples_per_posterior: int = (
        1  # of them, by a model that looks again: so many after looking at one drawing
    )
    num_strokes: int = 0  # most strokes; 0 as trained
    batch_size: int = 64
    seed: int = 0
    brush_bits: int = 0  # of each number of a brush, which the bound pays for; 0: free, as published
    optimize_steps: int = 0  # gradient steps on each drawing, or on its posterior
    member: int = 0  # of the models that were trained side by side

    def __post_init__(self) -> None:
        """Checks every value."""
        require_seed("evaluation.seed", self.seed)
        for key in ("num_images", "num_strokes", "member", "optimize_steps", "brush_bits"):
            require_at_least(f"evaluation.{key}", getattr(self, key), 0)
        for key in ("num_particles", "samples_per_posterior", "batch_size"):
            require_at_least(f"evaluation.{key}", getattr(self, key), 1)
        if self.num_particles % self.samples_per_posterior:
            raise BadInput(
                f"evaluation.samples_per_posterior={self.samples_per_posterior} does not divide"
                f" evaluation.num_particles={self.num_particles}; give a divisor"
            )


BRUSHES = ("drawn", "median", "trained")
FEATURES = ("classifier", "pixels")


@dataclasses.dataclass(frozen=True)
class GenerationConfig:
    """How drawings are invented, and how many (method.md 10.4 to 10.8)."""

    num_samples: int = 1500  # that `fid` compares with as many real images
    repeats: int = 5  # of that comparison, each with other drawings and images
    features: str = "classifier"  # what images are compared by: the set's judge, or pixels, ten by ten
    shift_spread: float = 0.9  # factors of the prior's standard deviations: of shifts (published 0.1),
    size_spread: float = 1.0  # of scales and angles (published 0.837),
    points_spread: float = 0.4  # of control points (published 0.1)
    temperature: float = 0.9  # of the weights of the prior's mixtures, of samples; 1: as learned (published),
    completion_temperature: float = 0.5  # of drawings that are taken further
    brush: str = "drawn"  # each that of a training image; median: of 64 (published); trained: the mean one
    per_image: int = 8  # exemplars or completions of an image
    num_prefix_strokes: int = 1  # of a drawing that is completed, in the figure
    middle_noise: float = 0.1  # of exemplars: of a stroke's middle control point,
    inner_noise: float = 0.003  # of those beside it,
    ink_width_noise: float = -1.0  # of brushes; -1: as published for the set
    ink_slope_noise: float = -1.0
    canvas_slope_noise: float = -1.0
    turned: bool = False  # whether exemplars turn by their whole angle; as published by a hundredth of it
    clusters: int = 8  # of strokes
    num_clustered: int = 10000  # strokes
    num_mapped: int = 2000  # of them that t-SNE shows
    num_learned: int = 20000  # training images whose strokes `probe` learns from; 0: all

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("generation.features", self.features, FEATURES)
        require_choice("generation.brush", self.brush, BRUSHES)
        for key in ("shift_spread", "size_spread", "points_spread", "middle_noise", "inner_noise"):
            require_at_least(f"generation.{key}", getattr(self, key), 0)
        for key in ("ink_width_noise", "ink_slope_noise", "canvas_slope_noise"):
            require_at_least(f"generation.{key}", getattr(self, key), -1)
        for key in ("temperature", "completion_temperature"):
            require_at_least(f"generation.{key}", getattr(self, key), 0.01)
        for key in ("num_samples", "per_image", "clusters"):
            require_at_least(f"generation.{key}", getattr(self, key), 2)
        for key in ("repeats", "num_clustered", "num_mapped"):
            require_at_least(f"generation.{key}", getattr(self, key), 1)
        for key in ("num_prefix_strokes", "num_learned"):
            require_at_least(f"generation.{key}", getattr(self, key), 0)


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
    generation: GenerationConfig = dataclasses.field(default_factory=GenerationConfig)
    one_shot: OneShotConfig = dataclasses.field(default_factory=OneShotConfig)

    def __post_init__(self) -> None:
        """Checks what groups say of each other."""
        if self.model.iterations and self.objective.stopping != "exact":
            raise BadInput(
                f"model.iterations={self.model.iterations} needs objective.stopping='exact'; give 0"
            )
        if self.optimizer.trained == "prior" and self.model.prior != "sequential":
            raise BadInput(
                f"optimizer.trained='prior', but model.prior={self.model.prior!r} has nothing to learn;"
                " give optimizer.trained='all'"
            )

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
        return dataclasses.replace(self, evaluation=dataclasses.replace(self.evaluation, optimize_steps=0))

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Nested plain values, as checkpoints keep them."""
        return dataclasses.asdict(self)
