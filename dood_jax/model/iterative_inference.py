"""Iterative amortised inference: where a drawing misses the image, all strokes are corrected (method.md 5.1).

The keys are `model.iterations` (how many), `objective.iterated_fraction`, `objective.backprop_iterations` and
`objective.mismatched_start_prob` (how it is trained), and `evaluation.samples_per_posterior`.

Each iteration turns the gradient of the drawing's error in the points and brush of every stroke, and a
glimpse of its window, into a correction: inference that goes on, learned once for all images (Marino, Yue and
Mandt 2018). What the first pass drew by chance is no latent variable here but something the posterior
starts from, so any of it gives a bound.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.model import brush_latents
from dood_jax.model.brush_latents import STROKE_NUMBERS, BrushNoise, BrushPosterior
from dood_jax.model.families import brush_of, raw_brush
from dood_jax.model.networks import MEMORY, Change, Corrector
from dood_jax.model.observation import canvas_error
from dood_jax.types import Array, BrushParams, StrokeLatents

_POINT_STEP, _LAYOUT_STEP = 0.1, 0.05  # what a raw change of 1 moves
_LAST_PACE = 0.3  # of iterations that settle
_POINT_WIDTH, _LAYOUT_WIDTH = 0.004, 0.08  # of the Gaussians, for a raw width of 0
_RAW_BRUSH_WIDTH = -2.0  # that a raw width of 0 of the brush stands for
_MOST_RAW_WIDTH = 8.0  # keeps the exponential of a diverging corrector finite
_LEAST_SCALE = 0.05  # of a layout, where it divides the width of points
_LEAST_SLOPE = 1e-4  # of the error in points, where slopes are compared
_SLOPE_UNIT = 3.0  # of the same, where its logarithm takes over


class IteratedPosterior(NamedTuple):
    """The posterior of T strokes whose bits are known."""

    layout: Gaussian  # [T, 4]
    points: Gaussian  # [T, P, 2] control points on the canvas
    brush: BrushParams  # where it is latent, what the Gaussians below are around
    brush_posterior: BrushPosterior | None = None


class PosteriorNoise(NamedTuple):
    """The randomness of T strokes that are sampled from an `IteratedPosterior`: standard normal."""

    layout: Array  # [T, 4]
    control_points: Array  # [T, P, 2]
    brush: BrushNoise | None = None  # where the brush is latent


class Sampled(NamedTuple):
    """Strokes of a posterior, and how likely they were."""

    strokes: StrokeLatents
    brush: BrushParams
    layout: Array  # [T] log-densities
    control_points: Array  # [T]
    brush_log_prob: Array | None  # [T] where the brush is latent


class InferenceState(NamedTuple):
    """A drawing between two iterations."""

    points: Array  # [T, P, 2] control points on the canvas
    raw_brush: BrushParams  # before its limits
    memory: Array  # [T, MEMORY] of the corrector


class Refiner(nn.Module):
    """Owns the network that corrects strokes."""

    config: ModelConfig

    def setup(self) -> None:
        """Declares the corrector."""
        self.corrector = Corrector(self.config.num_points, self.config.has_latent_brush)

    def __call__(
        self, state: InferenceState, inputs: Array, presence: Array, pace: Array | float
    ) -> tuple[InferenceState, Change]:
        """One correction of T strokes, given [T, D] inputs, of which the part [] pace is made."""
        memory, change = self.corrector(state.memory, lax.stop_gradient(inputs))
        points = state.points + pace * _POINT_STEP * change.points
        brush = jax.tree_util.tree_map(lambda of: pace * of, change.brush)
        return InferenceState(points, _move_brush(state.raw_brush, brush, presence), memory), change


def paces(iterations: int, settle: bool) -> Array:
    """[J] parts of changes that are made: all, but ever less in the last quarter where they settle."""
    slower = iterations // 4 if settle else 0
    return jnp.concatenate([jnp.ones(iterations - slower), jnp.linspace(1, _LAST_PACE, slower + 1)[1:]])


def first_inference_state(config: ModelConfig, strokes: StrokeLatents, brush: BrushParams) -> InferenceState:
    """T strokes as the first pass drew them."""
    points = geometry.place_strokes(strokes.layout, strokes.control_points)
    return InferenceState(points, raw_brush(config, brush), jnp.zeros((len(points), MEMORY)))


def posterior_of(
    config: ModelConfig, strokes: StrokeLatents, state: InferenceState, change: Change
) -> IteratedPosterior:
    """The posterior after the last iteration, whose raw widths are those of the last change."""
    layout = strokes.layout + _LAYOUT_STEP * change.layout
    width = lambda raw: jnp.exp(jnp.clip(raw, -_MOST_RAW_WIDTH, _MOST_RAW_WIDTH))
    brush, of_brush = brush_of(config, state.raw_brush), None
    if config.has_latent_brush:
        of_strokes, of_canvas = jnp.split(change.brush_width + _RAW_BRUSH_WIDTH, [STROKE_NUMBERS], axis=-1)
        of_brush = brush_latents.around(brush, of_strokes, _over_drawn(of_canvas[:, 0], strokes.presence))
    return IteratedPosterior(
        Gaussian(layout, _LAYOUT_WIDTH * width(change.layout_width)),
        Gaussian(state.points, _POINT_WIDTH * width(change.point_width)),
        brush,
        of_brush,
    )


def posterior_noise(posterior: IteratedPosterior, key: Array) -> PosteriorNoise:
    """Draws the randomness of one sample of a posterior; consumes the key."""
    key_layout, key_points = jax.random.split(key)
    of_brush = None
    if posterior.brush_posterior is not None:
        key_points, key_brush = jax.random.split(key_points)
        of_brush = brush_latents.brush_noise(posterior.brush_posterior, key_brush)
    layout = jax.random.normal(key_layout, posterior.layout.mean.shape)
    return PosteriorNoise(layout, jax.random.normal(key_points, posterior.points.mean.shape), of_brush)


def sample(posterior: IteratedPosterior, presence: Array, key: Array) -> Sampled:
    """Strokes with [T] bits and their brush; consumes the key."""
    return sample_from_noise(posterior, presence, posterior_noise(posterior, key))


def sample_from_noise(posterior: IteratedPosterior, presence: Array, noise: PosteriorNoise) -> Sampled:
    """`sample` with its randomness given.

    Points are where the posterior has them whatever layout is sampled: a stroke has the width of its points,
    seen in its own frame.
    """
    brush, log_brush = posterior.brush, None
    if posterior.brush_posterior is not None and noise.brush is not None:
        brush, log_brush = brush_latents.sample_all(posterior.brush_posterior, noise.brush)
    drawn = jax.vmap(Gaussian.sample_and_log_prob)
    layout, log_layout = drawn(posterior.layout, noise.layout)
    scale = jnp.maximum(jnp.abs(layout[:, 2, None, None]), _LEAST_SCALE)
    in_frame = Gaussian(
        geometry.in_stroke_frames(layout, posterior.points.mean), posterior.points.scale / scale
    )
    points, log_points = drawn(in_frame, noise.control_points)
    return Sampled(StrokeLatents(presence, layout, points), brush, log_layout, log_points, log_brush)


def corrector_inputs(
    config: ModelConfig,
    image: Array,
    strokes: StrokeLatents,
    state: InferenceState,
    render: Callable[[StrokeLatents, BrushParams], Array],
    glimpses: Callable[[Array], Array],
) -> tuple[Array, Array]:
    """[T, D] what an iteration sees of each stroke: its place and brush, how they err, and its window.

    The second result is the [] error of the drawing.

    Args:
      config: the model.
      image: [H, W] to be drawn.
      strokes: as first drawn; their layouts say where the windows are.
      state: of the drawing.
      render: strokes on the canvas and their brush -> [H, W] canvas.
      glimpses: [H, W] canvas -> [T, G] the G numbers that are seen in the windows of the strokes.
    """
    presence = strokes.presence
    error = functools.partial(drawing_error, config, image, strokes, render)
    gradient = jax.value_and_grad(error, (0, 1), has_aux=True)
    (value, canvas), (slopes, brush_slopes) = gradient(state.points, state.raw_brush)
    # The direction of the slope of each stroke, its size, and the slopes themselves on a logarithmic scale.
    steepness = jnp.sqrt((slopes**2).mean((1, 2)) + _LEAST_SLOPE**2)
    flat = lambda points: points.reshape(len(points), -1)
    column = lambda values: jnp.broadcast_to(values, presence.shape)[:, None] if values.ndim < 2 else values
    inputs = jnp.concatenate(
        [
            flat(state.points - 0.5),
            flat(slopes / steepness[:, None, None]),
            flat(_compressed(slopes / _SLOPE_UNIT)),
            _compressed(column(steepness)),
            *(column(raw) for raw in jax.tree_util.tree_leaves(state.raw_brush)),
            *(_compressed(column(slope)) for slope in jax.tree_util.tree_leaves(brush_slopes)),
            column(jnp.log1p(value) / 5),
            strokes.layout,
            glimpses(canvas),
        ],
        axis=1,
    )
    return inputs, value


def drawing_error(
    config: ModelConfig,
    image: Array,
    strokes: StrokeLatents,
    render: Callable[[StrokeLatents, BrushParams], Array],
    points: Array,
    raw_brush: BrushParams,
) -> tuple[Array, Array]:
    """[] error and [H, W] canvas of the strokes with [T, P, 2] points on the canvas and a raw brush."""
    canvas = drawn(config, strokes, render, points, raw_brush)
    return canvas_error(config, image, canvas), canvas


def drawn(
    config: ModelConfig,
    strokes: StrokeLatents,
    render: Callable[[StrokeLatents, BrushParams], Array],
    points: Array,
    raw_brush: BrushParams,
) -> Array:
    """[H, W] canvas of the strokes, moved to [T, P, 2] points on the canvas, by a raw brush."""
    identity = jnp.broadcast_to(geometry.IDENTITY_LAYOUT, strokes.layout.shape)
    return render(StrokeLatents(strokes.presence, identity, points), brush_of(config, raw_brush))


def _compressed(values: Array) -> Array:
    """Near zero the values, far from it their logarithm."""
    return jnp.sign(values) * jnp.log1p(jnp.abs(values))


def _move_brush(raw_brush: BrushParams, change: BrushParams, presence: Array) -> BrushParams:
    """Moves raw numbers of brushes: of each stroke its own, of the canvas by the mean of drawn strokes."""
    of_canvas = _over_drawn(change.canvas_slope, presence)
    return jax.tree_util.tree_map(jnp.add, raw_brush, change._replace(canvas_slope=of_canvas))


def _over_drawn(values: Array, presence: Array) -> Array:
    """[] the mean of [T] values over the strokes that are drawn."""
    return (values * presence).sum() / jnp.maximum(presence.sum(), 1)
