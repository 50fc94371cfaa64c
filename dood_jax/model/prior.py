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
from dood_jax.distributions.gaussian import AnyMixture, Gaussian
from dood_jax.geometry import IDENTITY_LAYOUT
from dood_jax.model.families import POINT_HIGH, POINT_LOW, Family, correlated_mixture
from dood_jax.model.guidance import PriorContext
from dood_jax.model.networks import PairChain
from dood_jax.types import Array, StrokeLatents, StrokeLogProbs

CERTAIN = 20.0  # log-odds of a piece that is always there
_CHAIN_HIDDEN = 128  # units for each pair of numbers of a stroke
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


class Prior(nn.Module):
    """A kind of prior. A new one implements these methods and is named in `dood.build`."""

    config: ModelConfig

    networks: ClassVar[tuple[str, ...]] = ()  # names of its own
    sees_canvas: ClassVar[bool] = True  # otherwise guidance computes nothing for it

    def presence_log_probs(self, context: PriorContext, features: tuple[Array, ...]) -> tuple[Array, Array]:
        """[] log-probabilities that there is a next stroke, and that there is none."""
        raise NotImplementedError

    def log_probs(
        self,
        context: PriorContext,
        for_presence: tuple[Array, ...],
        for_stroke: tuple[Array, ...],
        stroke: StrokeLatents,
    ) -> StrokeLogProbs:
        """Log-probabilities of one given stroke.

        Args:
          context: the drawing before it.
          for_presence: what guidance gives the presence head.
          for_stroke: what guidance gives the stroke head, of the stroke's window.
          stroke: whose presence does not matter here.
        """
        raise NotImplementedError

    def sample_placement(
        self, context: PriorContext, for_presence: tuple[Array, ...], spread: Spread, key: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """[] bit and [4] layout of the next stroke; consumes a key for each."""
        raise NotImplementedError

    def sample_points(
        self, context: PriorContext, layout: Array, for_stroke: tuple[Array, ...], spread: Spread, key: Array
    ) -> Array:
        """[P, 2] control points of a stroke that is placed; consumes the key."""
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

    def presence_log_probs(self, context: PriorContext, features: tuple[Array, ...]) -> tuple[Array, Array]:
        """[] log-probabilities that there is a next stroke, and that there is none."""
        return self.family.presence(self.prior_presence(features)[0])

    def log_probs(
        self,
        context: PriorContext,
        for_presence: tuple[Array, ...],
        for_stroke: tuple[Array, ...],
        stroke: StrokeLatents,
    ) -> StrokeLogProbs:
        """Log-probabilities of one given stroke.

        Nothing here decides what is drawn next, so all strokes of a drawing are taken at once after the scan.
        """
        on, off = self.presence_log_probs(context, for_presence)
        layout = self._layouts(context).log_prob(stroke.layout)
        return StrokeLogProbs(on, off, layout, self._point_log_prob(context, for_stroke, stroke))

    def _point_log_prob(
        self, context: PriorContext, for_stroke: tuple[Array, ...], stroke: StrokeLatents
    ) -> Array:
        """[] log-density of the control points."""
        return self._strokes(context, stroke.layout, for_stroke).log_prob(stroke.control_points)

    def sample_placement(
        self, context: PriorContext, for_presence: tuple[Array, ...], spread: Spread, key: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """[] bit and [4] layout of the next stroke; consumes a key for each (method.md 4, 10.5)."""
        key_presence, key_layout = key
        on, _ = self.presence_log_probs(context, for_presence)
        bit = jax.random.bernoulli(key_presence, jnp.exp(on)).astype(jnp.float32)
        layouts = self._layouts(context).narrowed(spread.of_layout, spread.temperature)
        return bit, layouts.sample(key_layout)

    def sample_points(
        self, context: PriorContext, layout: Array, for_stroke: tuple[Array, ...], spread: Spread, key: Array
    ) -> Array:
        """[P, 2] control points of a stroke that is placed; consumes the key."""
        strokes = self._strokes(context, layout, for_stroke)
        return strokes.narrowed(spread.of_point, spread.temperature).sample(key)

    def _layouts(self, context: PriorContext) -> AnyMixture:
        return self.family.layout_prior(self.prior_layout([context.layout_hidden]))

    def _strokes(self, context: PriorContext, layout: Array, for_stroke: tuple[Array, ...]) -> AnyMixture:
        raw = self.prior_stroke([context.stroke_hidden, layout, *for_stroke])
        return self.family.stroke_prior(raw, self.config.num_points)


class AutoregressivePrior(SequentialPrior):
    """The sequential prior with one density for a whole stroke: each control point given those before it.

    A point has a mixture of Gaussians whose coordinates are correlated.
    """

    networks: ClassVar[tuple[str, ...]] = ("prior_presence", "prior_layout", "prior_points")

    def setup(self) -> None:
        """Declares the heads."""
        heads = self.family.prior_heads(self.config)
        self.prior_presence = heads.presence
        self.prior_layout = heads.layout
        self.prior_points = PairChain(self.config.num_points, _CHAIN_HIDDEN, 6 * self.config.components)

    def _point_log_prob(
        self, context: PriorContext, for_stroke: tuple[Array, ...], stroke: StrokeLatents
    ) -> Array:
        """[] log-density of the control points."""
        inputs = [context.stroke_hidden, stroke.layout, *for_stroke]
        raw = self.prior_points(inputs, stroke.control_points - 0.5)
        return correlated_mixture(raw, POINT_LOW, POINT_HIGH).log_prob(stroke.control_points)

    def sample_points(
        self, context: PriorContext, layout: Array, for_stroke: tuple[Array, ...], spread: Spread, key: Array
    ) -> Array:
        """[P, 2] control points of a stroke that is placed, one after the other; consumes the key."""
        inputs = [context.stroke_hidden, layout, *for_stroke]
        points = jnp.full((self.config.num_points, 2), 0.5)
        for which, key_point in enumerate(jax.random.split(key, self.config.num_points)):
            raw = self.prior_points(inputs, points - 0.5)[which]
            mixture = correlated_mixture(raw, POINT_LOW, POINT_HIGH)
            point = mixture.narrowed(spread.of_point, spread.temperature).sample(key_point)
            points = points.at[which].set(point)
        return points


class FixedPrior(Prior):
    """Knows nothing of the drawing: an ablation's, AIR's, or a VAE's (method.md 9.4 to 9.6).

    Odds for a stroke, one Gaussian for its layout, one for every number that describes it.
    """

    sees_canvas: ClassVar[bool] = False

    mean: float  # of the numbers that describe a stroke
    scale: float
    log_odds: float = 0.0  # that there is a next stroke
    is_placed: bool = True  # otherwise every layout is the whole canvas, and has no log-probability

    def presence_log_probs(self, context: PriorContext, features: tuple[Array, ...]) -> tuple[Array, Array]:
        """[] log-probabilities that there is a next stroke, and that there is none."""
        return presence.log_probs(jnp.full((), self.log_odds, context.layout_hidden.dtype))

    def log_probs(
        self,
        context: PriorContext,
        for_presence: tuple[Array, ...],
        for_stroke: tuple[Array, ...],
        stroke: StrokeLatents,
    ) -> StrokeLogProbs:
        """Log-probabilities of one given stroke."""
        on, off = self.presence_log_probs(context, for_presence)
        dtype = context.layout_hidden.dtype
        layout = self._layouts(dtype).log_prob(stroke.layout) if self.is_placed else jnp.zeros_like(on)
        return StrokeLogProbs(on, off, layout, self._strokes(dtype).log_prob(stroke.control_points))

    def sample_placement(
        self, context: PriorContext, for_presence: tuple[Array, ...], spread: Spread, key: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """[] bit and [4] layout of the next stroke; consumes a key for each."""
        key_presence, key_layout = key
        on, _ = self.presence_log_probs(context, for_presence)
        bit = jax.random.bernoulli(key_presence, jnp.exp(on)).astype(jnp.float32)
        if not self.is_placed:
            return bit, jnp.asarray(IDENTITY_LAYOUT)
        return bit, _sample(self._layouts(context.layout_hidden.dtype), spread.of_layout, key_layout)

    def sample_points(
        self, context: PriorContext, layout: Array, for_stroke: tuple[Array, ...], spread: Spread, key: Array
    ) -> Array:
        """[P, 2] numbers that describe a stroke; consumes the key."""
        return _sample(self._strokes(context.layout_hidden.dtype), spread.of_point, key)

    def _layouts(self, dtype: jnp.dtype) -> Gaussian:
        return Gaussian(jnp.asarray(_LAYOUT_MEAN, dtype), jnp.asarray(_LAYOUT_SCALE, dtype))

    def _strokes(self, dtype: jnp.dtype) -> Gaussian:
        shape = (self.config.num_points, 2)
        return Gaussian(jnp.full(shape, self.mean, dtype), jnp.full(shape, self.scale, dtype))


def _sample(gaussian: Gaussian, factor: Array, key: Array) -> Array:
    """A sample whose distance from the mean is multiplied by a factor; consumes the key."""
    mean, scale = gaussian
    return mean + factor * (scale * jax.random.normal(key, mean.shape, mean.dtype))
