"""The prior: what a stroke is likely to be, given the drawing so far (method.md 4); and fixed priors.

Like the posterior it decides in two steps, first whether there is a stroke and where, then which: what it
sees of the canvas in the stroke's window depends on where the stroke is.
"""

import math
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dood_jax.config.model import ModelConfig
from dood_jax.distributions import presence
from dood_jax.distributions.gaussian import (
    AnyMixture,
    Gaussian,
    MixtureNoise,
    mixture_noise,
)
from dood_jax.geometry import IDENTITY_LAYOUT
from dood_jax.model.brush_latents import STROKE_NUMBERS
from dood_jax.model.families import Family
from dood_jax.model.guidance import PriorContext, PriorView
from dood_jax.types import Array, BrushParams, StrokeLatents, StrokeLogProbs

CERTAIN = 20.0  # log-odds of a piece that is always there
_LAYOUT_MEAN, _LAYOUT_SCALE = np.array([0, 0, 0.8, 0]), np.array([0.2, 0.2, 0.2, 0.4])


class Spread(NamedTuple):
    """How far samples stray from the means of the prior's mixtures (method.md 10.5).

    Factors of the standard deviations that the prior has learned, and a temperature; bits stay as they are.
    """

    shift: Array | float = 1.0  # of layouts
    size: Array | float = 1.0  # of the scale and the angle of layouts
    points: Array | float = 1.0
    temperature: Array | float = 1.0  # of the mixtures' weights: below 1, likely components come more often

    @property
    def of_layout(self) -> Array:
        """[4] factors."""
        return jnp.array([self.shift, self.shift, self.size, self.size], jnp.float32)

    @property
    def of_point(self) -> Array:
        """[2] factors."""
        return jnp.full(2, self.points, jnp.float32)


LEARNED = Spread()
PUBLISHED = Spread(shift=0.1, size=math.sqrt(0.7), points=0.1)
_CALM = Spread(points=0.7)  # chosen by the distance of MNIST samples from training images


def pleasing_spread(config: ModelConfig) -> Spread:
    """Where drawings that a person looks at come from: a little nearer to what is most likely.

    A prior that chooses control points apart needs the published one, without which its strokes are blurred.
    """
    return _CALM if config.prior == "autoregressive" else PUBLISHED


class PriorNoise(NamedTuple):
    """The randomness of one stroke of the prior; Q pairs of numbers are P control points and a brush."""

    presence: Array  # [] uniform in 0..1
    layout: MixtureNoise  # of one event [4]; of pairs [2, 2] where the brush is latent
    stroke: MixtureNoise  # of [P, 2] control points; of [Q, 2] where the brush is latent
    canvas_slope: MixtureNoise | None = None  # of [1, 2], where the brush is latent; used by a first stroke


def prior_noise(config: ModelConfig, key: Array) -> PriorNoise:
    """Draws the randomness of one stroke of the prior; consumes the key."""
    key_presence, key_layout, key_stroke, key_slope = jax.random.split(key, 4)
    uniform = jax.random.uniform(key_presence)
    if not config.has_latent_brush:
        points = mixture_noise(key_stroke, (config.num_points, 2))
        return PriorNoise(uniform, mixture_noise(key_layout, (4,)), points)
    pairs = mixture_noise(key_stroke, (config.num_points + STROKE_NUMBERS // 2, 2))
    return PriorNoise(uniform, mixture_noise(key_layout, (2, 2)), pairs, mixture_noise(key_slope, (1, 2)))


class Prior(nn.Module):
    """A kind of prior. A new one implements these methods and is named in `dood.build`."""

    config: ModelConfig

    networks: ClassVar[tuple[str, ...]] = ()  # names of its own
    sees_canvas: ClassVar[bool] = True  # otherwise guidance computes nothing for it

    def presence_log_probs(self, context: PriorContext, view: PriorView) -> tuple[Array, Array]:
        """[] log-probabilities that there is a next stroke, and that there is none."""
        raise NotImplementedError

    def log_probs(
        self,
        context: PriorContext,
        view: PriorView,
        stroke: StrokeLatents,
        brush: BrushParams,
    ) -> StrokeLogProbs:
        """Log-probabilities of one given stroke.

        Args:
          context: the drawing before it.
          view: what is seen of it.
          stroke: whose presence does not matter here.
          brush: of the stroke, where that is latent.
        """
        raise NotImplementedError

    def sample_placement(
        self, context: PriorContext, view: PriorView, spread: Spread, noise: PriorNoise
    ) -> tuple[Array, Array]:
        """[] bit and [4] layout of the next stroke."""
        raise NotImplementedError

    def sample_stroke(
        self, context: PriorContext, view: PriorView, layout: Array, spread: Spread, noise: PriorNoise
    ) -> tuple[Array, BrushParams | None]:
        """[P, 2] control points of a stroke that is placed, and its brush if that is latent."""
        raise NotImplementedError

    def first_log_probs(self, stroke: StrokeLatents, brush: BrushParams) -> StrokeLogProbs:
        """Log-densities of a first stroke and the canvas slope, where those are one; no bits."""
        raise NotImplementedError

    def sample_first(self, spread: Spread, noise: PriorNoise) -> tuple[Array, Array, BrushParams]:
        """Layout, control points and brush of a first stroke, canvas slope and all."""
        raise NotImplementedError


class SequentialPrior(Prior):
    """DooD's: heads on the recurrent states that recognition shares, and on what is seen of the canvas."""

    family: Family

    networks: ClassVar[tuple[str, ...]] = ("prior_presence", "prior_layout", "prior_stroke")

    def setup(self) -> None:
        """Declares the heads."""
        heads = self.family.prior_heads(self.config)
        self.prior_presence = heads.presence
        self.prior_layout = heads.layout
        self.prior_stroke = heads.stroke

    def presence_log_probs(self, context: PriorContext, view: PriorView) -> tuple[Array, Array]:
        """[] log-probabilities that there is a next stroke, and that there is none."""
        return self.family.presence(self.prior_presence(view.canvas)[0])

    def log_probs(
        self,
        context: PriorContext,
        view: PriorView,
        stroke: StrokeLatents,
        brush: BrushParams,
    ) -> StrokeLogProbs:
        """Log-probabilities of one given stroke.

        Nothing here decides what is drawn next, so all strokes of a drawing are taken at once after the scan.
        """
        on, off = self.presence_log_probs(context, view)
        layout = self._layouts(context).log_prob(stroke.layout)
        points = self._strokes(context, view, stroke.layout).log_prob(stroke.control_points)
        return StrokeLogProbs(on, off, layout, points)

    def sample_placement(
        self, context: PriorContext, view: PriorView, spread: Spread, noise: PriorNoise
    ) -> tuple[Array, Array]:
        """[] bit and [4] layout of the next stroke (method.md 4, 10.5)."""
        on, _ = self.presence_log_probs(context, view)
        bit = presence.toss(on, noise.presence)
        layouts = self._layouts(context).narrowed(spread.of_layout, spread.temperature)
        return bit, layouts.sample(noise.layout)

    def sample_stroke(
        self, context: PriorContext, view: PriorView, layout: Array, spread: Spread, noise: PriorNoise
    ) -> tuple[Array, BrushParams | None]:
        """[P, 2] control points of a stroke that is placed."""
        strokes = self._strokes(context, view, layout)
        return strokes.narrowed(spread.of_point, spread.temperature).sample(noise.stroke), None

    def _layouts(self, context: PriorContext) -> AnyMixture:
        return self.family.layout_prior(self.prior_layout([context.layout_hidden]))

    def _strokes(self, context: PriorContext, view: PriorView, layout: Array) -> AnyMixture:
        raw = self.prior_stroke([context.stroke_hidden, layout, *view.window])
        return self.family.stroke_prior(raw, self.config.num_points)


class FixedPrior(Prior):
    """Knows nothing of the drawing: an ablation's, AIR's, or a VAE's (method.md 9.4 to 9.6).

    Odds for a stroke, one Gaussian for its layout, one for every number that describes it.
    """

    sees_canvas: ClassVar[bool] = False

    mean: float  # of the numbers that describe a stroke
    scale: float
    log_odds: float = 0.0  # that there is a next stroke
    is_placed: bool = True  # otherwise every layout is the whole canvas, and has no log-probability

    def presence_log_probs(self, context: PriorContext, view: PriorView) -> tuple[Array, Array]:
        """[] log-probabilities that there is a next stroke, and that there is none."""
        return presence.log_probs(jnp.full((), self.log_odds, context.layout_hidden.dtype))

    def log_probs(
        self,
        context: PriorContext,
        view: PriorView,
        stroke: StrokeLatents,
        brush: BrushParams,
    ) -> StrokeLogProbs:
        """Log-probabilities of one given stroke."""
        on, off = self.presence_log_probs(context, view)
        dtype = context.layout_hidden.dtype
        layout = self._layouts(dtype).log_prob(stroke.layout) if self.is_placed else jnp.zeros_like(on)
        return StrokeLogProbs(on, off, layout, self._strokes(dtype).log_prob(stroke.control_points))

    def sample_placement(
        self, context: PriorContext, view: PriorView, spread: Spread, noise: PriorNoise
    ) -> tuple[Array, Array]:
        """[] bit and [4] layout of the next stroke."""
        on, _ = self.presence_log_probs(context, view)
        bit = presence.toss(on, noise.presence)
        if not self.is_placed:
            return bit, jnp.asarray(IDENTITY_LAYOUT)
        return bit, _sample(self._layouts(context.layout_hidden.dtype), spread.of_layout, noise.layout.value)

    def sample_stroke(
        self, context: PriorContext, view: PriorView, layout: Array, spread: Spread, noise: PriorNoise
    ) -> tuple[Array, BrushParams | None]:
        """[P, 2] numbers that describe a stroke."""
        return _sample(self._strokes(context.layout_hidden.dtype), spread.of_point, noise.stroke.value), None

    def _layouts(self, dtype: jnp.dtype) -> Gaussian:
        return Gaussian(jnp.asarray(_LAYOUT_MEAN, dtype), jnp.asarray(_LAYOUT_SCALE, dtype))

    def _strokes(self, dtype: jnp.dtype) -> Gaussian:
        shape = (self.config.num_points, 2)
        return Gaussian(jnp.full(shape, self.mean, dtype), jnp.full(shape, self.scale, dtype))


def _sample(gaussian: Gaussian, factor: Array, noise: Array) -> Array:
    """A sample for standard normal noise, whose distance from the mean is multiplied by a factor."""
    return gaussian.mean + factor * (gaussian.scale * noise)
