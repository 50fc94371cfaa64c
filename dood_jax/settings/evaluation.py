"""What is measured on held-out pictures."""

import dataclasses

from dood_jax.errors import BadInput, require_at_least, require_seed


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """What is measured on held-out pictures."""

    num_images: int = 256  # chosen at random, always the same; 0 for all
    num_particles: int = 20
    samples_per_look: int = 1  # of them, by a model that looks again: so many after looking at one drawing
    num_strokes: int = 0  # most strokes; 0 as trained
    batch_size: int = 64
    seed: int = 0
    brush_bits: int = 0  # of each number of a brush, which the bound pays for; 0: free, as published
    refine_steps: int = 0  # gradient steps on each drawing, or on its posterior
    member: int = 0  # of the models that were trained side by side

    def __post_init__(self) -> None:
        """Checks every value."""
        require_seed("evaluation.seed", self.seed)
        for key in ("num_images", "num_strokes", "member", "refine_steps", "brush_bits"):
            require_at_least(f"evaluation.{key}", getattr(self, key), 0)
        for key in ("num_particles", "samples_per_look", "batch_size"):
            require_at_least(f"evaluation.{key}", getattr(self, key), 1)
        if self.num_particles % self.samples_per_look:
            raise BadInput(
                f"evaluation.samples_per_look={self.samples_per_look} does not divide"
                f" evaluation.num_particles={self.num_particles}; give a divisor"
            )
