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
from dood_jax.distributions.gaussian import AnyMixture, CorrelatedMixture, Gaussian
from dood_jax.geometry import IDENTITY_LAYOUT
from dood_jax.model import brush_latents
from dood_jax.model.brush_latents import STROKE_NUMBERS
from dood_jax.model.families import POINT_HIGH, POINT_LOW, Family, correlated_mixture, mixture
from dood_jax.model.guidance import PriorContext
from dood_jax.model.networks import PairChain
from dood_jax.types import Array, BrushParams, StrokeLatents, StrokeLogProbs

CERTAIN = 20.0  # log-odds of a piece that is always there
_POINT_CENTRE = 0.5  # of control points, where the networks see them
_NUMBER_RANGE = (-1.5, 1.5)  # of the means of a brush's numbers
_LARGEST_NUMBER = 2.5  # that is sampled; the tails of a mixture hold brushes that no canvas has room for
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
        brush: BrushParams,
    ) -> StrokeLogProbs:
        """Log-probabilities of one given stroke.

        Args:
          context: the drawing before it.
          for_presence: what guidance gives the presence head.
          for_stroke: what guidance gives the stroke head, of the stroke's window.
          stroke: whose presence does not matter here.
          brush: of the stroke, where that is latent.
        """
        raise NotImplementedError

    def sample_placement(
        self, context: PriorContext, for_presence: tuple[Array, ...], spread: Spread, key: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """[] bit and [4] layout of the next stroke; consumes a key for each."""
        raise NotImplementedError

    def sample_stroke(
        self, context: PriorContext, layout: Array, for_stroke: tuple[Array, ...], spread: Spread, key: Array
    ) -> tuple[Array, BrushParams | None]:
        """[P, 2] control points of a stroke that is placed, and its brush if that is latent."""
        raise NotImplementedError

    def canvas_slope_log_prob(self, brush: BrushParams) -> Array:
        """[] log-density of a latent canvas slope."""
        raise NotImplementedError

    def sample_canvas_slope(self, key: Array) -> Array:
        """[] canvas slope, where that is latent; consumes the key."""
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
        brush: BrushParams,
    ) -> StrokeLogProbs:
        """Log-probabilities of one given stroke.

        Nothing here decides what is drawn next, so all strokes of a drawing are taken at once after the scan.
        """
        on, off = self.presence_log_probs(context, for_presence)
        layout = self._layouts(context).log_prob(stroke.layout)
        return StrokeLogProbs(on, off, layout, *self._log_densities(context, for_stroke, stroke, brush))

    def _log_densities(
        self,
        context: PriorContext,
        for_stroke: tuple[Array, ...],
        stroke: StrokeLatents,
        brush: BrushParams,
    ) -> tuple[Array, Array | None]:
        """[] log-densities of the control points of a stroke and, where it is latent, of its brush."""
        return self._strokes(context, stroke.layout, for_stroke).log_prob(stroke.control_points), None

    def sample_placement(
        self, context: PriorContext, for_presence: tuple[Array, ...], spread: Spread, key: tuple[Array, Array]
    ) -> tuple[Array, Array]:
        """[] bit and [4] layout of the next stroke; consumes a key for each (method.md 4, 10.5)."""
        key_presence, key_layout = key
        on, _ = self.presence_log_probs(context, for_presence)
        bit = jax.random.bernoulli(key_presence, jnp.exp(on)).astype(jnp.float32)
        layouts = self._layouts(context).narrowed(spread.of_layout, spread.temperature)
        return bit, layouts.sample(key_layout)

    def sample_stroke(
        self, context: PriorContext, layout: Array, for_stroke: tuple[Array, ...], spread: Spread, key: Array
    ) -> tuple[Array, BrushParams | None]:
        """[P, 2] control points of a stroke that is placed; consumes the key."""
        strokes = self._strokes(context, layout, for_stroke)
        return strokes.narrowed(spread.of_point, spread.temperature).sample(key), None

    def _layouts(self, context: PriorContext) -> AnyMixture:
        return self.family.layout_prior(self.prior_layout([context.layout_hidden]))

    def _strokes(self, context: PriorContext, layout: Array, for_stroke: tuple[Array, ...]) -> AnyMixture:
        raw = self.prior_stroke([context.stroke_hidden, layout, *for_stroke])
        return self.family.stroke_prior(raw, self.config.num_points)


class AutoregressivePrior(SequentialPrior):
    """The sequential prior with one density for a whole stroke: point after point, then the brush.

    Each pair of numbers has a mixture of correlated Gaussians, given the pairs before it.
    """

    networks: ClassVar[tuple[str, ...]] = (
        "prior_presence",
        "prior_layout",
        "prior_whole_stroke",
        "prior_canvas_slope",
    )

    def setup(self) -> None:
        """Declares the heads."""
        heads, components = self.family.prior_heads(self.config), self.config.components
        self.prior_presence = heads.presence
        self.prior_layout = heads.layout
        num_pairs = self.config.num_points + STROKE_NUMBERS // 2
        self.prior_whole_stroke = PairChain(num_pairs, _CHAIN_HIDDEN, 6 * components)
        spread_out = nn.initializers.normal(0.5)
        self.prior_canvas_slope = self.param("prior_canvas_slope", spread_out, (3 * components,))

    def _log_densities(
        self,
        context: PriorContext,
        for_stroke: tuple[Array, ...],
        stroke: StrokeLatents,
        brush: BrushParams,
    ) -> tuple[Array, Array | None]:
        """[] log-densities of the control points of a stroke and of its brush."""
        of_brush = brush_latents.stroke_numbers(brush).reshape(-1, 2)
        pairs = jnp.concatenate([stroke.control_points - _POINT_CENTRE, of_brush])
        mixtures = self._mixtures([context.stroke_hidden, stroke.layout, *for_stroke], pairs)
        count = self.config.num_points
        points, of_brush = (
            jax.tree_util.tree_map(lambda leaf, part=part: leaf[part], mixtures).log_prob(pairs[part])
            for part in (slice(count), slice(count, None))
        )
        return points, of_brush

    def sample_stroke(
        self, context: PriorContext, layout: Array, for_stroke: tuple[Array, ...], spread: Spread, key: Array
    ) -> tuple[Array, BrushParams | None]:
        """[P, 2] control points of a stroke that is placed, and its brush; consumes the key.

        Brushes are sampled as learned, whatever the spread of points.
        """
        inputs, count = [context.stroke_hidden, layout, *for_stroke], self.config.num_points
        pairs = jnp.zeros((count + STROKE_NUMBERS // 2, 2))
        for which, key_pair in enumerate(jax.random.split(key, len(pairs))):
            mixtures = self._mixtures(inputs, pairs)
            mixture = jax.tree_util.tree_map(lambda leaf, which=which: leaf[which], mixtures)
            if which < count:
                mixture = mixture.narrowed(spread.of_point, spread.temperature)
            pair = mixture.sample(key_pair)
            if which >= count:
                pair = jnp.clip(pair, -_LARGEST_NUMBER, _LARGEST_NUMBER)
            pairs = pairs.at[which].set(pair)
        brush = brush_latents.brush_with(pairs[count:].reshape(-1), jnp.zeros(()))
        return pairs[:count] + _POINT_CENTRE, brush

    def canvas_slope_log_prob(self, brush: BrushParams) -> Array:
        """[] log-density of a latent canvas slope, which depends on nothing."""
        return self._canvas_slopes().log_prob(brush_latents.canvas_number(brush)[None])

    def sample_canvas_slope(self, key: Array) -> Array:
        """[] canvas slope, where that is latent; consumes the key."""
        number = self._canvas_slopes().sample(key)[0]
        return brush_latents.canvas_slope_of(jnp.clip(number, -_LARGEST_NUMBER, _LARGEST_NUMBER))

    def _canvas_slopes(self) -> AnyMixture:
        return mixture(self.prior_canvas_slope, 1, *_NUMBER_RANGE)

    def _mixtures(self, inputs: list[Array], pairs: Array) -> CorrelatedMixture:
        """The mixture of every pair, given those before it."""
        count = self.config.num_points
        low = np.full((len(pairs), 1, 2), POINT_LOW - _POINT_CENTRE, np.float32)
        high = np.full((len(pairs), 1, 2), POINT_HIGH - _POINT_CENTRE, np.float32)
        low[count:], high[count:] = _NUMBER_RANGE
        return correlated_mixture(self.prior_whole_stroke(inputs, pairs), low, high)


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
        brush: BrushParams,
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

    def sample_stroke(
        self, context: PriorContext, layout: Array, for_stroke: tuple[Array, ...], spread: Spread, key: Array
    ) -> tuple[Array, BrushParams | None]:
        """[P, 2] numbers that describe a stroke; consumes the key."""
        return _sample(self._strokes(context.layout_hidden.dtype), spread.of_point, key), None

    def _layouts(self, dtype: jnp.dtype) -> Gaussian:
        return Gaussian(jnp.asarray(_LAYOUT_MEAN, dtype), jnp.asarray(_LAYOUT_SCALE, dtype))

    def _strokes(self, dtype: jnp.dtype) -> Gaussian:
        shape = (self.config.num_points, 2)
        return Gaussian(jnp.full(shape, self.mean, dtype), jnp.full(shape, self.scale, dtype))


def _sample(gaussian: Gaussian, factor: Array, key: Array) -> Array:
    """A sample whose distance from the mean is multiplied by a factor; consumes the key."""
    mean, scale = gaussian
    return mean + factor * (scale * jax.random.normal(key, mean.shape, mean.dtype))
