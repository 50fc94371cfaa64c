"""The settings of a model: what it draws with, how large it is, and from which parts it is put together."""

import dataclasses

from dood_jax.errors import BadInput, require_at_least, require_choice

CHOICES = {
    "preset": ("fast", "published"),
    "brush": ("soft_distance", "distance", "splat"),
    "placement": ("points", "glimpse"),
    "recognition": ("dood", "air", "vae"),
    "decoder": ("curve", "neural", "image"),
    "guidance": ("canvas", "none", "none_leaky", "residual"),
    "prior": ("sequential", "independent", "codes", "images"),
    "likelihood": ("laplace", "normal"),
    "likelihood_scale": ("map", "canvas"),
    "encoder": ("patch", "conv"),
    "start": ("mnist", "synthetic", "omniglot"),
    "latents": ("diagonal", "correlated"),
}
_MINIMUM = {
    "num_strokes": 1,
    "num_points": 2,
    "curve_samples": 2,
    "features": 1,
    "components": 1,
    "unroll": 1,
}
_NEEDED: dict[str, dict[str, tuple]] = {  # recognition -> what goes with it
    "air": {"decoder": ("image",), "prior": ("codes",), "guidance": ("none", "residual")},
    "vae": {"decoder": ("image",), "prior": ("images",), "guidance": ("none",), "num_strokes": (1,)},
}


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A model; raises BadInput, naming the key, for a value it cannot be built with."""

    preset: str = "fast"
    num_strokes: int = 6  # most strokes a drawing has in training
    num_points: int = 5  # control points of a stroke
    brush: str = "soft_distance"
    placement: str = "points"  # the layout moves the control points, or the image of them drawn in its window
    recognition: str = "dood"  # or that of Attend, Infer, Repeat, or of a variational autoencoder
    decoder: str = "curve"  # control points to ink by a Bézier curve and the brush, or by a network
    guidance: str = (
        "canvas"  # the networks see the canvas drawn so far; none_leaky: the prior sees the target
    )
    prior: str = "sequential"  # or fixed: independent of points, codes and images of numbers
    final_stop: bool = False  # the prior weighs the stop after the last of T strokes too: o_{T+1}
    likelihood: str = "laplace"
    likelihood_scale: str = "map"  # one learned scale a pixel, or features of the canvas
    encoder: str = "patch"  # or conv
    latents: str = "diagonal"  # Gaussians and their heads, or correlated ones with the published heads
    start: str = "mnist"  # the set whose published initial values the correlated heads begin with
    components: int = 10  # of the prior's mixtures
    iterations: int = 0  # at the whole drawing, each correcting all strokes, once it is drawn
    dropout: float = 0.0  # share of the conv encoders' units dropped in training
    unroll: int = 6  # strokes unrolled in the scan: 6 is fastest on CPU, 1 compiles fastest
    image_size: int = 50
    source_size: int = 0  # pixels a side of images before they were enlarged, where they were; 0: none was
    glimpse_size: int = 0  # pixels of a window's side; 0: half the image's for patches, all of it for conv
    curve_samples: int = 64
    features: int = 256  # width of the encoders and of the recurrent states

    def __post_init__(self) -> None:
        """Checks every value."""
        for key, choices in CHOICES.items():
            require_choice(f"model.{key}", getattr(self, key), choices)
        for key, least in _MINIMUM.items():
            require_at_least(f"model.{key}", getattr(self, key), least)
        if self.decoder != "curve" and self.placement != "glimpse":
            raise BadInput(
                f"model.decoder={self.decoder!r} needs model.placement='glimpse', not {self.placement!r}"
            )
        self._check_recognition()
        if self.start != "mnist" and self.latents != "correlated":
            raise BadInput(f"model.start={self.start!r} needs model.latents='correlated'; give 'mnist'")
        require_at_least("model.iterations", self.iterations, 0)
        require_at_least("model.source_size", self.source_size, 0)
        if self.iterations and self.placement != "points":
            raise BadInput(
                f"model.iterations={self.iterations} needs model.placement='points', not {self.placement!r}"
            )
        {"patch": self._check_patches, "conv": self._check_convolutions}[self.encoder]()

    def _check_recognition(self) -> None:
        needed = _NEEDED.get(self.recognition, {})
        for key, choices in needed.items():
            value = getattr(self, key)
            if value not in choices:
                raise BadInput(
                    f"model.recognition={self.recognition!r} needs model.{key}={choices[0]!r}, not {value!r}"
                )
        for key in ("decoder", "prior"):
            value = getattr(self, key)
            owners = [name for name, parts in _NEEDED.items() if value in parts[key]]
            if owners and self.recognition not in owners:
                raise BadInput(f"model.{key}={value!r} needs model.recognition={owners[0]!r}")

    def _check_patches(self) -> None:
        if self.image_size < 10 or self.image_size % 10:
            raise BadInput(f"data.image_size={self.image_size} does not fit patches; give a multiple of 10")
        self._complete_glimpse_size(max(self.image_size // 2, 10))
        if self.glimpse_size % 5 or self.glimpse_size < 10:
            raise BadInput(
                f"model.glimpse_size={self.glimpse_size} does not fit patches; give 10, 15, 20 or so"
            )
        if self.guidance == "none_leaky":
            raise BadInput(f"model.guidance={self.guidance!r} needs model.encoder='conv', not 'patch'")
        if self.dropout:
            raise BadInput(f"model.dropout={self.dropout} needs model.encoder='conv'; give 0")

    def _check_convolutions(self) -> None:
        require_at_least("data.image_size", self.image_size, 5)
        self._complete_glimpse_size(self.image_size)
        if self.glimpse_size != self.image_size:
            raise BadInput(
                f"model.glimpse_size={self.glimpse_size} does not fit model.encoder='conv', whose windows are"
                " as large as the image; give 0"
            )
        if not 0 <= self.dropout < 1:
            raise BadInput(f"model.dropout={self.dropout} is no share; give 0 or more, but less than 1")

    def _complete_glimpse_size(self, default: int) -> None:
        object.__setattr__(self, "glimpse_size", self.glimpse_size or default)
