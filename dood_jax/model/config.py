"""The settings of a model: what it draws with, how large it is, and from which parts it is put together."""

import dataclasses

from dood_jax.errors import BadInput, require_at_least, require_choice

CHOICES = {
    "preset": ("fast",),
    "brush": ("soft_distance", "distance", "splat"),
    "placement": ("points",),
    "decoder": ("curve",),
    "guidance": ("canvas",),
    "prior": ("sequential",),
    "likelihood": ("laplace",),
    "likelihood_scale": ("map", "canvas"),
    "encoder": ("patch",),
}
_MINIMUM = {
    "num_strokes": 1,
    "num_points": 2,
    "glimpse_size": 10,
    "curve_samples": 2,
    "features": 1,
    "components": 1,
    "unroll": 1,
}


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A model; raises BadInput, naming the key, for a value it cannot be built with."""

    preset: str = "fast"
    num_strokes: int = 6  # most strokes a drawing has in training
    num_points: int = 5  # control points of a stroke
    brush: str = "soft_distance"
    placement: str = "points"  # the layout moves the control points, which are drawn on the canvas
    decoder: str = "curve"  # control points to ink by a Bézier curve
    guidance: str = "canvas"  # the networks see the canvas drawn so far
    prior: str = "sequential"
    likelihood: str = "laplace"
    likelihood_scale: str = "map"  # one learned scale a pixel, or features of the canvas
    encoder: str = "patch"
    components: int = 10  # of the prior's mixtures
    unroll: int = 6  # strokes unrolled in the scan: 6 is fastest on CPU, 1 compiles fastest
    image_size: int = 50
    glimpse_size: int = 25
    curve_samples: int = 64
    features: int = 256  # width of the encoders and of the recurrent states

    def __post_init__(self) -> None:
        """Checks every value."""
        for key, choices in CHOICES.items():
            require_choice(f"model.{key}", getattr(self, key), choices)
        for key, least in _MINIMUM.items():
            require_at_least(f"model.{key}", getattr(self, key), least)
        if self.image_size < 10 or self.image_size % 10:
            raise BadInput(f"data.image_size={self.image_size} does not fit patches; give a multiple of 10")
        if self.glimpse_size % 5:
            raise BadInput(
                f"model.glimpse_size={self.glimpse_size} does not fit patches; give a multiple of 5"
            )
