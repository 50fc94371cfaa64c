"""How it is maximised."""

import dataclasses

from dood_jax.errors import require_at_least, require_choice


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """How it is maximised: Adam."""

    trained: str = "all"  # networks; prior: the prior's own alone, what is drawn of pictures stays the same
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
