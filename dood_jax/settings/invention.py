"""The settings of drawings that are invented, varied and completed."""

import dataclasses

from dood_jax.errors import require_at_least, require_choice

PENS = ("drawn", "median", "trained")
FEATURES = ("classifier", "pixels")


@dataclasses.dataclass(frozen=True)
class InventionConfig:
    """How drawings are invented, and how many (method.md 10.4 to 10.8)."""

    num_samples: int = 1500  # that `fid` compares with as many real pictures
    repeats: int = 5  # of that comparison, each with other drawings and pictures
    features: str = "classifier"  # what pictures are compared by: the set's judge, or pixels, ten by ten
    shift_spread: float = 0.9  # factors of the prior's standard deviations: of shifts (published 0.1),
    size_spread: float = 1.0  # of scales and angles (published 0.837),
    points_spread: float = 0.4  # of control points (published 0.1)
    temperature: float = 0.9  # of the weights of the prior's mixtures, of samples; 1: as learned (published),
    completion_temperature: float = 0.5  # of drawings that are taken further
    pens: str = "drawn"  # each that of a training picture; median: of 64 (published); trained: the mean one
    per_picture: int = 8  # exemplars or completions of a picture
    kept_strokes: int = 1  # of a drawing that is completed, in the figure
    middle_noise: float = 0.1  # of exemplars: of a stroke's middle control point,
    inner_noise: float = 0.003  # of those beside it,
    ink_width_noise: float = -1.0  # of pens; -1: as published for the set
    ink_slope_noise: float = -1.0
    canvas_slope_noise: float = -1.0
    turned: bool = False  # whether exemplars turn by their whole angle; as published by a hundredth of it
    clusters: int = 8  # of strokes
    num_clustered: int = 10000  # strokes
    num_mapped: int = 2000  # of them that t-SNE shows
    num_learned: int = 20000  # training pictures whose strokes `probe` learns from; 0: all

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("invention.features", self.features, FEATURES)
        require_choice("invention.pens", self.pens, PENS)
        for key in ("shift_spread", "size_spread", "points_spread", "middle_noise", "inner_noise"):
            require_at_least(f"invention.{key}", getattr(self, key), 0)
        for key in ("ink_width_noise", "ink_slope_noise", "canvas_slope_noise"):
            require_at_least(f"invention.{key}", getattr(self, key), -1)
        for key in ("temperature", "completion_temperature"):
            require_at_least(f"invention.{key}", getattr(self, key), 0.01)
        for key in ("num_samples", "per_picture", "clusters"):
            require_at_least(f"invention.{key}", getattr(self, key), 2)
        for key in ("repeats", "num_clustered", "num_mapped"):
            require_at_least(f"invention.{key}", getattr(self, key), 1)
        for key in ("kept_strokes", "num_learned"):
            require_at_least(f"invention.{key}", getattr(self, key), 0)
