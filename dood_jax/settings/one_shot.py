"""The settings of one-shot classification."""

import dataclasses

from dood_jax.errors import require_at_least, require_choice


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
