"""What a run can be told: groups of settings, each a frozen dataclass that checks its values.

Every field is a key of the command line: `--config.training.steps=…` sets `training.steps`. Settings of
evaluation are in `evaluation.py`, those of the model in `model.py`. A group raises BadInput, naming the key,
for a value that cannot be used.
"""

import dataclasses
import re
from typing import Any, NamedTuple

from dood_jax.config import datasets
from dood_jax.config.evaluation import EvaluationConfig, GenerationConfig, OneShotConfig
from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput, require_at_least, require_choice, require_fraction, require_seed

PRECISIONS = ("default", "bfloat16", "tensorfloat32", "float32")  # as JAX names them


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Which images the model is trained and evaluated on."""

    # The dataset: mnist, emnist, kmnist, quickdraw, omniglot, folder (images of your own), or synthetic.
    name: str = "mnist"
    # Where the files of the dataset are; by default $DOOD_DATA_DIR, then ~/tensorflow_datasets.
    dir: str | None = None
    # Pixels of a side, to which all images are resized.
    image_size: int = 50
    # EMNIST lies on its side, as it was published; otherwise it is turned upright.
    transpose: bool = False
    # Categories of Quick, Draw!, joined by commas, or `all`; by default the ten of the published runs.
    categories: str = datasets.PUBLISHED_CATEGORIES
    # Most drawings of each Quick, Draw! category in train and test together, a fifth of them in test; 0: all.
    per_category: int = 0
    # Probability that another image of the dataset is laid over a training image, as augmentation.
    overlay_prob: float = 0.0
    # Several datasets joined by commas instead of `name`: a model of each is trained, side by side.
    names: str = ""

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
        """The datasets that models are trained on."""
        return tuple(self.names.split(",")) if self.names else (self.name,)

    @property
    def is_synthetic(self) -> bool:
        """Whether images are drawn on the device instead of loaded."""
        return self.sets == (datasets.SYNTHETIC,)

    def only(self, name: str) -> "DataConfig":
        """The settings of one of the datasets, without those that it does not have."""
        transpose = self.transpose and name in datasets.TRANSPOSED_AS_PUBLISHED
        per_category = self.per_category if name == "quickdraw" else 0
        return dataclasses.replace(self, name=name, names="", transpose=transpose, per_category=per_category)


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """Which objective is maximised (method.md 7)."""

    # How the number of strokes is learned: `exact` sums over all stopping times, `nvil` samples them (NVIL).
    stopping: str = "exact"
    # The number β, which sets how much a better likelihood must weigh to be worth another stroke.
    beta: float = 4.0
    # What β acts on: it divides the `likelihood` in the decision to stop, or multiplies the `presence` KL.
    beta_weighs: str = "likelihood"
    # Drawings that are sampled of every training image; more than 1 needs stopping=nvil.
    num_particles: int = 1
    # Fraction of the steps in which the first pass learns alone, before iterative inference does too.
    first_pass_fraction: float = 0.0
    # Fraction of the steps, at the end, in which the prior learns alone, from what inference has become.
    prior_fraction: float = 0.0
    # Fraction of the images of a batch that go through iterative inference: 1, 1/2, 1/3 and so on.
    iterated_fraction: float = 0.25
    # Gradients flow through at most so many iterations of iterative inference, the last ones.
    backprop_iterations: int = 6
    # Probability that iterative inference starts from the drawing of another image, to learn to go far.
    mismatched_start_prob: float = 0.25
    # Until this step, every number of strokes has the same weight in the path term of exact stopping.
    floor_start_step: int = 500
    # From this step on, the posterior weights them; in between the weights change linearly.
    floor_end_step: int = 3000

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("objective.stopping", self.stopping, ("exact", "nvil"))
        require_choice("objective.beta_weighs", self.beta_weighs, ("likelihood", "presence"))
        require_at_least("objective.beta", self.beta, 1e-6)
        for key in ("num_particles", "backprop_iterations"):
            require_at_least(f"objective.{key}", getattr(self, key), 1)
        self._require_unit_fraction()
        for key in ("mismatched_start_prob", "first_pass_fraction", "prior_fraction"):
            require_fraction(f"objective.{key}", getattr(self, key))
        if self.first_pass_fraction + self.prior_fraction > 1:
            raise BadInput(
                f"objective.first_pass_fraction={self.first_pass_fraction} and objective.prior_fraction="
                f"{self.prior_fraction} are more than the whole run; give less"
            )
        if self.num_particles > 1 and self.stopping != "nvil":
            raise BadInput(
                f"objective.num_particles={self.num_particles} needs objective.stopping='nvil'; give 1"
            )
        if self.floor_end_step <= self.floor_start_step:
            raise BadInput(
                f"objective.floor_end_step={self.floor_end_step} must lie after"
                f" floor_start_step={self.floor_start_step}"
            )

    def _require_unit_fraction(self) -> None:
        """The fraction is 1 / a whole number, since one image of so many is taken."""
        fraction = self.iterated_fraction
        if not 0 < fraction <= 1 or abs(fraction * round(1 / fraction) - 1) > 1e-6:
            raise BadInput(
                f"objective.iterated_fraction={fraction} is not 1 / a whole number; give 1, 0.5, 0.25 or so"
            )

    @property
    def iterated_every(self) -> int:
        """One image of so many goes through iterative inference."""
        return round(1 / self.iterated_fraction)

    @property
    def likelihood_divisor(self) -> float:
        """What the log-likelihood is divided by in the decision to stop."""
        return self.beta if self.beta_weighs == "likelihood" else 1.0

    @property
    def presence_weight(self) -> float:
        """What the KL divergence of the presence bits is multiplied by."""
        return self.beta if self.beta_weighs == "presence" else 1.0


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How the objective is maximised: by Adam, with its own rate for some parameters (method.md 8)."""

    # Which parameters are trained: `all`, or only those of the `prior`, so that inference stays the same.
    trained: str = "all"
    # Learning rate of Adam.
    learning_rate: float = 1e-3
    # After the warm-up the learning rate falls along a `cosine` to 2 % at the last step, or is `constant`.
    schedule: str = "cosine"
    # Steps in which the learning rate rises from 0.
    warmup_steps: int = 200
    # The learning rate is multiplied by this for the observation scale.
    likelihood_multiplier: float = 10.0
    # The learning rate is multiplied by this for the network that infers presence.
    presence_multiplier: float = 0.3
    # The learning rate is multiplied by this for the baseline network of NVIL.
    baseline_multiplier: float = 10.0
    # The learning rate is multiplied by this for networks that only the prior uses.
    prior_multiplier: float = 3.0
    # The gradient is scaled down to this norm where it is larger; 0: never.
    clip_norm: float = 2000.0

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("optimizer.trained", self.trained, ("all", "prior"))
        require_choice("optimizer.schedule", self.schedule, ("cosine", "constant"))
        multipliers = (
            "likelihood_multiplier",
            "presence_multiplier",
            "baseline_multiplier",
            "prior_multiplier",
        )
        for key in ("learning_rate", "warmup_steps", *multipliers, "clip_norm"):
            require_at_least(f"optimizer.{key}", getattr(self, key), 0)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """How long a run takes, on which machines, and what it saves."""

    # Gradient steps of the whole run.
    steps: int = 12000
    # Images of a step, over all devices and processes together.
    batch_size: int = 64
    # A run's folder or the name of a released model, with whose parameters a new run begins. Keys of `model`
    # that are left open are then those of that model.
    init_from: str = ""
    # Decides the initial parameters, the order of the images and all noise.
    seed: int = 0
    # Models of each dataset that are trained side by side in one program, with seeds seed, seed + 1, ….
    num_models: int = 1
    # Steps in one compiled call; more than 1 saves time on accelerators.
    steps_per_call: int = 1
    # How a step is spread over the devices: by jax.pmap or by jax.shard_map; the results are the same.
    parallel: str = "pmap"
    # Precision of the networks' matrix products on accelerators; rendering always has full precision.
    precision: str = "default"
    # A checkpoint is written every so many steps.
    checkpoint_every: int = 500
    # So many of the newest checkpoints are kept, and the best one besides.
    keep_checkpoints: int = 3
    # The model is evaluated every so many steps, on images that it is not trained on.
    evaluate_every: int = 1000
    # Metrics are written every so many steps.
    log_every: int = 50
    # The run gives up after so many steps in a row whose gradient was not finite; 0: never.
    max_skipped: int = 100
    # Several processes: `auto` joins them where a cluster is found, `on` insists on it, `off` never does.
    distributed: str = "auto"
    # HOST:PORT of the first process; by default $JAX_COORDINATOR_ADDRESS, then what the cluster says.
    coordinator: str = ""
    # Number of processes; 0: $JAX_NUM_PROCESSES, then what the cluster says.
    num_processes: int = 0
    # Number of this process, from 0; -1: $JAX_PROCESS_ID, then what the cluster says.
    process_id: int = -1
    # Seconds without a sign of life after which a process is taken for dead, and the others end.
    heartbeat: int = 100
    # Seconds that the processes wait for each other at the start and at the end.
    join_timeout: int = 300

    def __post_init__(self) -> None:
        """Checks every value."""
        require_seed("training.seed", self.seed)
        require_choice("training.parallel", self.parallel, ("pmap", "shard_map"))
        require_choice("training.precision", self.precision, PRECISIONS)
        intervals = ("steps", "checkpoint_every", "evaluate_every", "log_every")
        positive = ("batch_size", "num_models", "steps_per_call", "keep_checkpoints")
        for key in (*intervals, *positive):
            require_at_least(f"training.{key}", getattr(self, key), 1)
        require_at_least("training.max_skipped", self.max_skipped, 0)
        require_seed("training.seed + training.num_models - 1", self.seed + self.num_models - 1)
        for key in intervals:
            if getattr(self, key) % self.steps_per_call:
                raise BadInput(
                    f"training.{key}={getattr(self, key)} is not a multiple of"
                    f" training.steps_per_call={self.steps_per_call}"
                )
        self._check_processes()

    def _check_processes(self) -> None:
        """Checks the settings of a run of several processes."""
        require_choice("training.distributed", self.distributed, ("auto", "on", "off"))
        for key, least in {"num_processes": 0, "process_id": -1, "heartbeat": 1, "join_timeout": 1}.items():
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


class Member(NamedTuple):
    """One of the models that a run trains side by side."""

    name: str  # of its dataset
    seed: int


@dataclasses.dataclass(frozen=True)
class Config:
    """All settings of a run."""

    data: DataConfig
    model: ModelConfig
    objective: ObjectiveConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    evaluation: EvaluationConfig
    generation: GenerationConfig = dataclasses.field(default_factory=GenerationConfig)
    one_shot: OneShotConfig = dataclasses.field(default_factory=OneShotConfig)

    def __post_init__(self) -> None:
        """Checks that groups fit each other."""
        if self.model.iterations and self.objective.stopping != "exact":
            raise BadInput(
                f"model.iterations={self.model.iterations} needs objective.stopping='exact'; give 0"
            )
        prior_alone = self.optimizer.trained == "prior" or self.objective.prior_fraction
        if prior_alone and self.model.prior not in ("sequential", "autoregressive"):
            raise BadInput(
                f"model.prior={self.model.prior!r} has nothing to learn;"
                " give optimizer.trained='all' and objective.prior_fraction=0"
            )

    @property
    def members(self) -> list[Member]:
        """The models of the run: every dataset with every seed."""
        seeds = range(self.training.seed, self.training.seed + self.training.num_models)
        return [Member(name, seed) for name in self.data.sets for seed in seeds]

    def on(self, name: str) -> "Config":
        """The same run on one of its datasets, or on another."""
        return dataclasses.replace(self, data=self.data.only(name))

    def with_plain_inference(self) -> "Config":
        """The same run, whose evaluations do not optimise or revise drawings, or charge for brushes."""
        plain = dataclasses.replace(self.evaluation, optimize_steps=0, revisions=0, brush_bits=0)
        return dataclasses.replace(self, evaluation=plain)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Nested plain values, as checkpoints store them."""
        return dataclasses.asdict(self)
