"""How a trained model is evaluated: settings of all tasks, of generation, and of one-shot classification."""

import dataclasses

from dood_jax.errors import BadInput, require_at_least, require_choice, require_seed


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """Which images are evaluated, and how well each is inferred."""

    # Images that are evaluated: a random choice, the same in every run; 0: all.
    num_images: int = 256
    # Drawings that are sampled of every image: the particles of the importance-weighted bound.
    num_particles: int = 20
    # With iterative inference, so many particles are sampled from each posterior that it ends with.
    samples_per_posterior: int = 1
    # Most strokes of a drawing; 0: as many as in training.
    num_strokes: int = 0
    # With iterative inference, drawings are revised so many times: a stroke is added, replaced or taken away.
    revisions: int = 0
    # Images that are evaluated at a time.
    batch_size: int = 64
    # Decides which images are chosen and all noise.
    seed: int = 0
    # Bits to which each number of a brush is rounded, and which the bound pays for; 0: brushes are free.
    brush_bits: int = 0
    # Gradient steps of test-time optimisation, of each drawing or, for a bound, of its posterior.
    optimize_steps: int = 0
    # Which of the models that were trained side by side is evaluated, from 0.
    member: int = 0

    def __post_init__(self) -> None:
        """Checks every value."""
        require_seed("evaluation.seed", self.seed, bits=31)  # tasks count on from it
        for key in ("num_images", "num_strokes", "member", "optimize_steps", "brush_bits", "revisions"):
            require_at_least(f"evaluation.{key}", getattr(self, key), 0)
        for key in ("num_particles", "samples_per_posterior", "batch_size"):
            require_at_least(f"evaluation.{key}", getattr(self, key), 1)
        if self.num_particles % self.samples_per_posterior:
            raise BadInput(
                f"evaluation.samples_per_posterior={self.samples_per_posterior} does not divide"
                f" evaluation.num_particles={self.num_particles}; give a divisor"
            )


@dataclasses.dataclass(frozen=True)
class GenerationConfig:
    """How drawings are generated, and how many (method.md 10.4 to 10.8 and 10.10)."""

    # Generated drawings that task `fid` compares with as many real images.
    num_samples: int = 1500
    # How often `fid` repeats the comparison, each time with other drawings and images.
    repeats: int = 5
    # What `fid` compares images by: features of the evaluation classifier, or pixels of images of 10 x 10.
    features: str = "classifier"
    # The prior's standard deviations of shifts are multiplied by this; published: 0.1.
    shift_spread: float = 1.0
    # The prior's standard deviations of scales and angles are multiplied by this; published: 0.837.
    size_spread: float = 1.0
    # The prior's standard deviations of control points are multiplied by this; published: 0.1.
    points_spread: float = 1.0
    # Temperature of the prior's mixtures: below 1 likely components are chosen more often; published: 1.
    temperature: float = 1.0
    # The same temperature where a drawing is completed.
    completion_temperature: float = 0.5
    # Brushes of samples: each from a training image (drawn), the median of 64, or the mean one (trained).
    brush: str = "drawn"
    # Exemplars or completions that are generated of an image.
    per_image: int = 8
    # First strokes of a drawing that its completions in the figure keep.
    num_prefix_strokes: int = 1
    # The noise of exemplars is that published for the dataset times this; 0 leaves drawings as they are.
    exemplar_noise: float = 1.0
    # Exemplars rotate by their whole angle. As published, an angle in radians is taken for degrees.
    fix_rotation_units: bool = False
    # Clusters of strokes that task `clusters` finds.
    clusters: int = 8
    # Strokes that are clustered.
    num_clustered: int = 10000
    # Clustered strokes that the map by t-SNE shows.
    num_mapped: int = 2000
    # Training images whose strokes task `probe` learns from; 0: all.
    num_learned: int = 20000

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("generation.features", self.features, ("classifier", "pixels"))
        require_choice("generation.brush", self.brush, ("drawn", "median", "trained"))
        for key in ("temperature", "completion_temperature"):
            require_at_least(f"generation.{key}", getattr(self, key), 0.01)
        for key in ("shift_spread", "size_spread", "points_spread", "exemplar_noise"):
            require_at_least(f"generation.{key}", getattr(self, key), 0)
        for key in ("num_prefix_strokes", "num_learned"):
            require_at_least(f"generation.{key}", getattr(self, key), 0)
        for key in ("repeats", "num_clustered", "num_mapped"):
            require_at_least(f"generation.{key}", getattr(self, key), 1)
        for key in ("num_samples", "per_image", "clusters"):
            require_at_least(f"generation.{key}", getattr(self, key), 2)


@dataclasses.dataclass(frozen=True)
class OneShotConfig:
    """How characters of Omniglot are classified by one example of each (method.md 10.9)."""

    # How images are compared: by deformable `registration`, or by `token_optimization` as published.
    form: str = "registration"
    # The 20 runs of Omniglot, or episodes of the same kind made of its background alphabets (validation).
    episodes: str = "runs"
    # Runs or episodes that are classified.
    num_episodes: int = 20
    # How `registration` draws the images: by the model, along lines traced by rules, or in both ways.
    strokes: str = "model+traced"
    # Drawings of every support for `token_optimization`; the paper has 12.
    num_parses: int = 3
    # Supports that `token_optimization` fits to a query, the likeliest by registration; 0: all.
    num_candidates: int = 5
    # Gradient steps of `token_optimization`.
    fit_steps: int = 100
    # Tokens rotate by their whole angle. As published, an angle in radians is taken for degrees.
    fix_rotation_units: bool = False

    def __post_init__(self) -> None:
        """Checks every value."""
        require_choice("one_shot.form", self.form, ("registration", "token_optimization"))
        require_choice("one_shot.strokes", self.strokes, ("model+traced", "model", "traced"))
        require_choice("one_shot.episodes", self.episodes, ("runs", "validation"))
        for key in ("num_episodes", "num_parses", "fit_steps"):
            require_at_least(f"one_shot.{key}", getattr(self, key), 1)
        require_at_least("one_shot.num_candidates", self.num_candidates, 0)
