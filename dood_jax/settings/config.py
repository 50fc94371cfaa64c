"""A whole run: its groups of settings, and the models that it trains."""

import dataclasses
from typing import Any, NamedTuple

from dood_jax.errors import BadInput
from dood_jax.model.config import ModelConfig
from dood_jax.settings.data import DataConfig
from dood_jax.settings.evaluation import EvaluationConfig
from dood_jax.settings.invention import InventionConfig
from dood_jax.settings.objective import ObjectiveConfig
from dood_jax.settings.one_shot import OneShotConfig
from dood_jax.settings.optimizer import OptimizerConfig
from dood_jax.settings.training import TrainingConfig


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
        return dataclasses.replace(self, evaluation=dataclasses.replace(self.evaluation, refine_steps=0))

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Nested plain values, as checkpoints keep them."""
        return dataclasses.asdict(self)
