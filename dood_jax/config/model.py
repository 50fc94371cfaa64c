"""The settings of a model: its size, and the parts that it is put together from."""

import dataclasses

from dood_jax.errors import BadInput, require_at_least, require_choice

CHOICES = {
    "preset": ("fast", "published"),
    "brush": ("soft_distance", "distance", "splat"),
    "placement": ("points", "glimpse"),
    "recognition": ("dood", "air", "vae"),
    "decoder": ("curve", "neural", "image"),
    "guidance": ("canvas", "none", "none_leaky", "residual"),
    "prior": ("sequential", "autoregressive", "independent", "codes", "images"),
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
GUIDANCES_OF = {  # encoder -> the kinds of guidance that it has
    "patch": ("canvas", "none", "residual"),
    "conv": ("canvas", "none", "none_leaky", "residual"),
}
_NEEDED: dict[str, dict[str, tuple]] = {  # recognition -> the values that other keys must have
    "air": {"decoder": ("image",), "prior": ("codes",), "guidance": ("none", "residual")},
    "vae": {"decoder": ("image",), "prior": ("images",), "guidance": ("none",), "num_strokes": (1,)},
}
NEEDED_BY_AUTOREGRESSIVE = {"placement": "points", "latents": "diagonal", "guidance": "canvas"}


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """A model: its size, and the parts that it is put together from (method.md 9).

    Raises BadInput, naming the key, for a value that it cannot be built with.
    """

    # Defaults of all keys of `model`, `objective` and `optimizer`: our `fast` model, or the `published` one.
    preset: str = "fast"
    # Most strokes of a drawing.
    num_strokes: int = 6
    # Control points of a stroke.
    num_points: int = 5
    # How ink falls off beside a curve: `splat` is published, `distance` exact, `soft_distance` the fastest.
    brush: str = "soft_distance"
    # What a layout moves: control `points`, or the stroke's image, drawn in a frame of its own (`glimpse`).
    placement: str = "points"
    # Which posterior: that of DooD, of Attend, Infer, Repeat (air), or of a variational autoencoder (vae).
    recognition: str = "dood"
    # How a stroke becomes ink: a Bézier `curve` and a brush, or a `neural` network; `image` for AIR and VAE.
    decoder: str = "curve"
    # What the networks see of the drawing so far: the `canvas`, the `residual` alone, or nothing (`none`).
    # `none_leaky` is the published ablation: nothing of the drawing, but the prior sees the target.
    guidance: str = "canvas"
    # The prior: `sequential`, or one density for a whole stroke, its brush included (`autoregressive`), or a
    # fixed one, of `independent` points, AIR's `codes` or a VAE's `images`.
    prior: str = "sequential"
    # The prior has a factor for stopping after the last of `num_strokes` strokes too, as the paper writes it.
    final_stop: bool = False
    # How pixels are distributed around the canvas.
    likelihood: str = "laplace"
    # The scale of that distribution: a learned `map` with one scale a pixel, or computed from the `canvas`.
    likelihood_scale: str = "map"
    # The smallest scale that a pixel may have, as published; a smaller one pays more for what fits exactly.
    least_scale: float = 0.01
    # Networks that see images: one layer of patches, or the published convolutional network (conv).
    encoder: str = "patch"
    # Gaussians of strokes and layouts: `diagonal`, or `correlated` ones with the published output layers.
    latents: str = "diagonal"
    # Dataset whose published initial values the output layers of `correlated` latents begin with.
    start: str = "mnist"
    # Components of the mixtures of the prior.
    components: int = 10
    # Iterations of iterative inference, each of which corrects all strokes of a drawing; 0: none.
    iterations: int = 0
    # Inference lets iterations settle: in their last quarter changes become smaller, and it ends with the
    # drawing of least error of all that they pass through. Training does neither.
    settle: bool = False
    # Gauss-Newton steps with which iterations that settle end.
    newton_steps: int = 0
    # Fraction of the units of the convolutional encoders that are dropped in training.
    dropout: float = 0.0
    # Strokes that are unrolled in the compiled scan: 6 runs fastest on a CPU, 1 compiles fastest.
    unroll: int = 6
    # Pixels of a side of images; it is set by data.image_size.
    image_size: int = 50
    # Pixels of a side that images had before they were enlarged (method.md 4.1); 0: they were not.
    source_size: int = 0
    # Pixels of a side of a glimpse; 0: half the image's for patches, the image's for convolutions.
    glimpse_size: int = 0
    # Points on a curve from which its ink is computed.
    curve_samples: int = 64
    # Width of the encoders and of the recurrent states.
    features: int = 256

    @property
    def has_latent_brush(self) -> bool:
        """Whether brushes have a posterior and a prior, and widths vary along a stroke."""
        return self.prior == "autoregressive"

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
        if not 0 < self.least_scale < 0.5:
            raise BadInput(f"model.least_scale={self.least_scale}; give more than 0 and less than 0.5")
        require_at_least("model.iterations", self.iterations, 0)
        require_at_least("model.source_size", self.source_size, 0)
        if self.iterations and self.placement != "points":
            raise BadInput(
                f"model.iterations={self.iterations} needs model.placement='points', not {self.placement!r}"
            )
        for key, value in NEEDED_BY_AUTOREGRESSIVE.items():
            if self.has_latent_brush and getattr(self, key) != value:
                raise BadInput(
                    f"model.prior='autoregressive' needs model.{key}={value!r}, not {getattr(self, key)!r}"
                )
        self._check_newton_steps()
        if self.guidance not in GUIDANCES_OF[self.encoder]:
            other = next(name for name, kinds in GUIDANCES_OF.items() if self.guidance in kinds)
            raise BadInput(
                f"model.guidance={self.guidance!r} needs model.encoder={other!r}, not {self.encoder!r}"
            )
        {"patch": self._check_patches, "conv": self._check_convolutions}[self.encoder]()

    def _check_newton_steps(self) -> None:
        """Gauss-Newton steps need iterations before them, and the brush whose slopes are known."""
        require_at_least("model.newton_steps", self.newton_steps, 0)
        if self.newton_steps and not self.iterations:
            raise BadInput(f"model.newton_steps={self.newton_steps} with model.iterations=0; give 0")
        needed = {"brush": "soft_distance", "decoder": "curve", "settle": True}
        for key, value in needed.items():
            if self.newton_steps and getattr(self, key) != value:
                raise BadInput(
                    f"model.newton_steps={self.newton_steps} needs model.{key}={value!r},"
                    f" not {getattr(self, key)!r}"
                )

    def _check_recognition(self) -> None:
        """AIR and the VAE need parts of their own, which fit nothing else."""
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
        """Patches tile images and glimpses evenly."""
        if self.image_size < 10 or self.image_size % 10:
            raise BadInput(f"data.image_size={self.image_size} does not fit patches; give a multiple of 10")
        self._complete_glimpse_size(max(self.image_size // 2, 10))
        if self.glimpse_size % 5 or self.glimpse_size < 10:
            raise BadInput(
                f"model.glimpse_size={self.glimpse_size} does not fit patches; give 10, 15, 20 or so"
            )
        if self.dropout:
            raise BadInput(f"model.dropout={self.dropout} needs model.encoder='conv'; give 0")

    def _check_convolutions(self) -> None:
        """The convolutional encoder sees glimpses as large as the image."""
        require_at_least("data.image_size", self.image_size, 5)
        self._complete_glimpse_size(self.image_size)
        if self.glimpse_size != self.image_size:
            raise BadInput(
                f"model.glimpse_size={self.glimpse_size} does not fit model.encoder='conv', whose windows are"
                " as large as the image; give 0"
            )
        if not 0 <= self.dropout < 1:
            raise BadInput(f"model.dropout={self.dropout} is no fraction; give 0 or more, but less than 1")

    def _complete_glimpse_size(self, default: int) -> None:
        """Sets the size of a glimpse where it is left open; the dataclass is frozen for everybody else."""
        object.__setattr__(self, "glimpse_size", self.glimpse_size or default)
