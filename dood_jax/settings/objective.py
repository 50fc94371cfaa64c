"""What is maximised."""

import dataclasses

from dood_jax.errors import BadInput, require_at_least, require_choice, require_share


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """What is maximised."""

    stopping: str = "exact"  # sum over stopping times; nvil: sample them
    beta: float = 4.0  # (method.md 7)
    beta_weighs: str = "likelihood"  # divides it in the decision to stop; presence: multiplies the bits' KL
    num_particles: int = 1  # drawings of a picture, for nvil
    look_every: int = 4  # one picture of so many is looked at again, by a model that does
    learned_looks: int = 6  # at most so many of its looks get a gradient, the last ones
    borrowed_starts: float = 0.25  # share of them whose looks begin with the drawing of another picture
    floor_start_step: int = 500  # until here every prefix of a drawing weighs the same
    floor_end_step: int = 3000  # from here on prefixes weigh as the posterior says

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("objective.stopping", self.stopping, ("exact", "nvil"))
        require_choice("objective.beta_weighs", self.beta_weighs, ("likelihood", "presence"))
        require_at_least("objective.beta", self.beta, 1e-6)
        for key in ("num_particles", "look_every", "learned_looks"):
            require_at_least(f"objective.{key}", getattr(self, key), 1)
        require_share("objective.borrowed_starts", self.borrowed_starts)
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
