"""The autoregressive prior: one density for a whole stroke, its brush included (method.md 9.7).

A stroke is a row of pairs of numbers. Each pair has a mixture of correlated Gaussians, whose parameters a
network computes from the drawing so far and from the pairs before it.
"""

import functools
import itertools
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax.distributions import presence
from dood_jax.distributions.gaussian import CorrelatedMixture, Mixture, MixtureNoise
from dood_jax.model import brush_latents
from dood_jax.model.brush_latents import STROKE_NUMBERS
from dood_jax.model.families import POINT_HIGH, POINT_LOW, Family, correlated_mixture
from dood_jax.model.guidance import PriorContext, PriorView
from dood_jax.model.networks import MaskedChain, PairChain, Summary
from dood_jax.model.prior import Prior, PriorNoise, Spread
from dood_jax.types import Array, BrushParams, StrokeLatents, StrokeLogProbs

_POINT_CENTRE = 0.5  # of control points, where the networks see them
_NUMBER_RANGE = (-1.5, 1.5)  # of the means of a brush's numbers
# That a network sees, and of a brush that is sampled, since no canvas has room for more.
_LARGEST_NUMBER = 2.5
_CHAIN_HIDDEN = 96  # units for each pair of numbers of a stroke
_FIRST_HIDDEN = 64  # the same of a first stroke
_REACH = 8.0  # of the means of mixtures in units of about unit deviation


class AutoregressivePrior(Prior):
    """One density for a whole stroke: layout, then point after point, then the brush.

    Each pair of numbers has a mixture of correlated Gaussians, given the pairs before it and a summary of the
    drawing so far, which the presence head shares. The first stroke, of which nothing is known beforehand,
    has a density of its own, the canvas slope included.
    """

    family: Family

    networks: ClassVar[tuple[str, ...]] = (
        "prior_summary",
        "prior_presence",
        "prior_placement",
        "prior_whole_stroke",
        "prior_first_stroke",
    )

    def setup(self) -> None:
        """Declares the summary and the heads."""
        outputs = 6 * self.config.components
        self.prior_summary = Summary(self.config.features)
        self.prior_presence = self.family.prior_heads(self.config).presence
        self.prior_placement = PairChain(2, _CHAIN_HIDDEN, outputs, _REACH)
        num_pairs = self.config.num_points + STROKE_NUMBERS // 2
        self.prior_whole_stroke = PairChain(num_pairs, _CHAIN_HIDDEN, outputs, _LARGEST_NUMBER)
        # Two pairs more are those of the layout, the last is of the canvas slope and nothing.
        self.prior_first_stroke = MaskedChain(num_pairs + 3, _FIRST_HIDDEN, outputs, _REACH)

    def presence_log_probs(self, context: PriorContext, view: PriorView) -> tuple[Array, Array]:
        """[] log-probabilities that there is a next stroke, and that there is none."""
        return self.family.presence(self.prior_presence([self._summary(context, view)])[0])

    def log_probs(
        self,
        context: PriorContext,
        view: PriorView,
        stroke: StrokeLatents,
        brush: BrushParams,
    ) -> StrokeLogProbs:
        """Log-probabilities of one given stroke."""
        summary = self._summary(context, view)
        units = _layout_units()
        pairs = units.pairs_of(stroke.layout)
        layout = self._layouts(summary, pairs).log_prob(pairs) - np.log(units.size).sum()
        of_brush = brush_latents.stroke_numbers(brush).reshape(-1, 2)
        pairs = jnp.concatenate([stroke.control_points - _POINT_CENTRE, of_brush])
        mixtures = self._strokes(summary, view, stroke.layout, pairs)
        points, brush_pairs = _split(len(pairs), self.config.num_points)
        return StrokeLogProbs(
            *self.presence_log_probs(context, view),
            layout,
            _log_prob(mixtures, pairs, points),
            _log_prob(mixtures, pairs, brush_pairs),
        )

    def sample_placement(
        self, context: PriorContext, view: PriorView, spread: Spread, noise: PriorNoise
    ) -> tuple[Array, Array]:
        """[] bit and [4] layout of the next stroke."""
        on, _ = self.presence_log_probs(context, view)
        bit = presence.toss(on, noise.presence)
        layouts = functools.partial(self._layouts, self._summary(context, view))
        return bit, _layout_units().values_of(_sample_pairs(layouts, _of_layout(spread), noise.layout))

    def sample_stroke(
        self, context: PriorContext, view: PriorView, layout: Array, spread: Spread, noise: PriorNoise
    ) -> tuple[Array, BrushParams | None]:
        """[P, 2] control points of a stroke that is placed, and its brush.

        Brushes are sampled as learned, whatever the spread of points.
        """
        count = self.config.num_points
        narrow = _of_points(spread, count, STROKE_NUMBERS // 2)
        strokes = functools.partial(self._strokes, self._summary(context, view), view, layout)
        pairs = _sample_pairs(strokes, narrow, noise.stroke)
        numbers = jnp.clip(pairs[count:].reshape(-1), -_LARGEST_NUMBER, _LARGEST_NUMBER)
        return pairs[:count] + _POINT_CENTRE, brush_latents.brush_with(numbers, jnp.zeros(()))

    def first_log_probs(self, stroke: StrokeLatents, brush: BrushParams) -> StrokeLogProbs:
        """Log-densities of a first stroke and, with its brush, of the canvas slope; no bits."""
        count = self.config.num_points
        of_brush = jnp.append(brush_latents.stroke_numbers(brush), brush_latents.canvas_number(brush))
        values = jnp.concatenate([stroke.layout, stroke.control_points.reshape(-1), of_brush, jnp.zeros(1)])
        units = _first_units(count)
        pairs = units.pairs_of(values)
        mixtures = self._first_mixtures(pairs)
        layout, points, brush_pairs = _split(len(pairs) - 1, 2, 2 + count)
        canvas = Mixture(*(leaf[-1] for leaf in _of_first_coordinate(mixtures)))
        log_size = jnp.log(units.size)
        nought = jnp.zeros(())
        return StrokeLogProbs(
            nought,
            nought,
            _log_prob(mixtures, pairs, layout) - log_size[layout].sum(),
            _log_prob(mixtures, pairs, points) - log_size[points].sum(),
            _log_prob(mixtures, pairs, brush_pairs)
            - log_size[brush_pairs].sum()
            + canvas.log_prob(pairs[-1, :1])
            - log_size[-1, 0],
        )

    def sample_first(self, spread: Spread, noise: PriorNoise) -> tuple[Array, Array, BrushParams]:
        """Layout, control points and brush of a first stroke, canvas slope and all."""
        count = self.config.num_points
        join = functools.partial(jax.tree_util.tree_map, lambda *leaves: jnp.concatenate(leaves))
        narrow = join(_of_layout(spread), _of_points(spread, count, STROKE_NUMBERS // 2 + 1))
        whole = join(noise.layout, noise.stroke, noise.canvas_slope)
        values = _first_units(count).values_of(_sample_pairs(self._first_mixtures, narrow, whole))
        layout, points, numbers = jnp.split(values, [4, 4 + 2 * count])
        numbers = jnp.clip(numbers, -_LARGEST_NUMBER, _LARGEST_NUMBER)
        brush = brush_latents.brush_with(numbers[:STROKE_NUMBERS], numbers[STROKE_NUMBERS])
        return layout, points.reshape(count, 2), brush

    def _summary(self, context: PriorContext, view: PriorView) -> Array:
        """[D] of the drawing so far."""
        return self.prior_summary([context.layout_hidden, context.stroke_hidden, *view.canvas])

    def _layouts(self, summary: Array, pairs: Array) -> CorrelatedMixture:
        """The mixture of either pair of a layout, in its units, given the first."""
        return correlated_mixture(self.prior_placement([summary], pairs), -_REACH, _REACH)

    def _strokes(self, summary: Array, view: PriorView, layout: Array, pairs: Array) -> CorrelatedMixture:
        """The mixture of every pair of a stroke that is placed, given those before it."""
        count = self.config.num_points
        low = np.full((len(pairs), 1, 2), POINT_LOW - _POINT_CENTRE, np.float32)
        high = np.full((len(pairs), 1, 2), POINT_HIGH - _POINT_CENTRE, np.float32)
        low[count:], high[count:] = _NUMBER_RANGE
        raw = self.prior_whole_stroke([summary, layout, *view.window], pairs)
        return correlated_mixture(raw, low, high)

    def _first_mixtures(self, pairs: Array) -> CorrelatedMixture:
        """The mixture of every pair of a first stroke, in its units, given those before it."""
        return correlated_mixture(self.prior_first_stroke(pairs), -_REACH, _REACH)


class _Narrow(NamedTuple):
    """How the mixtures of pairs are narrowed; 1 leaves them as learned."""

    factor: Array  # [N, 2]
    temperature: Array  # [N]


class _Units(NamedTuple):
    """In which pairs of numbers have about unit deviation."""

    centre: np.ndarray  # [N, 2]
    size: np.ndarray  # [N, 2]

    def pairs_of(self, values: Array) -> Array:
        """[2 N] numbers -> [N, 2] in these units."""
        return (values.reshape(-1, 2) - self.centre) / self.size

    def values_of(self, pairs: Array) -> Array:
        """[N, 2] in these units -> [2 N] numbers."""
        return (pairs * self.size + self.centre).reshape(-1)


def _layout_units() -> _Units:
    """Of the two pairs of a layout."""
    return _Units(*(numbers[:2] for numbers in _first_units(0)))


def _first_units(num_points: int) -> _Units:
    """Of the pairs of a layout, of control points, of the brush, of the canvas slope and nothing."""
    brush = STROKE_NUMBERS + 2
    centre = [0, 0, 0.8, 0] + [_POINT_CENTRE] * 2 * num_points + [0] * brush
    size = [0.15, 0.15, 0.1, 0.4] + [0.12] * 2 * num_points + [0.2] * brush
    pairs = lambda numbers: np.array(numbers, np.float32).reshape(-1, 2)
    return _Units(pairs(centre), pairs(size))


def _of_layout(spread: Spread) -> _Narrow:
    """For both pairs of a layout."""
    return _Narrow(spread.of_layout.reshape(2, 2), jnp.full(2, spread.temperature))


def _of_points(spread: Spread, num_points: int, num_others: int) -> _Narrow:
    """For control points, and for so many other pairs, which stay as learned."""
    with_others = lambda value: jnp.append(jnp.full(num_points, value), jnp.ones(num_others))
    factor = jnp.broadcast_to(with_others(spread.points)[:, None], (num_points + num_others, 2))
    return _Narrow(factor, with_others(spread.temperature))


def _split(count: int, *ends: int) -> list[slice]:
    """The parts of so many pairs that end where the next begins."""
    return [slice(*part) for part in itertools.pairwise((0, *ends, count))]


def _log_prob(mixtures: CorrelatedMixture, pairs: Array, part: slice) -> Array:
    """[] log-density of some of [N, 2] pairs."""
    return jax.tree_util.tree_map(lambda leaf: leaf[part], mixtures).log_prob(pairs[part])


def _of_first_coordinate(mixtures: CorrelatedMixture) -> Mixture:
    """The marginals of the first coordinates, [N, M, 1]."""
    gaussians = mixtures.components
    return Mixture(mixtures.logits, gaussians.mean[..., :1], gaussians.scale[..., :1])


def _sample_pairs(
    mixtures_of: Callable[[Array], CorrelatedMixture],
    narrow: _Narrow,
    noise: MixtureNoise,
) -> Array:
    """[N, 2] pairs, each sampled from its mixture, which is narrowed, given those before it."""

    def step(which, pairs):
        of_all = (mixtures_of(pairs), narrow, noise)
        mixture, how, own_noise = jax.tree_util.tree_map(lambda leaf: leaf[which], of_all)
        return jnp.where(places == which, mixture.narrowed(*how).sample(own_noise), pairs)

    count = len(noise.component)
    places = jnp.arange(count)[:, None]
    return lax.fori_loop(0, count, step, jnp.zeros((count, 2)))
