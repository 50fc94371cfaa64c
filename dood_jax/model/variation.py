"""Drawings varied and taken further: exemplars by another hand, tokens, completions (method.md 10.7 to 10.9).

A token is the whole drawing sheared, turned, scaled and shifted. Seven numbers make such a map: shift x,
shift y, scale x, scale y, angle in radians, and two shears.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.model import sampling
from dood_jax.model.families import within_limits
from dood_jax.model.networks import Params, bounded
from dood_jax.model.prior import LEARNED, PriorNoise, Spread
from dood_jax.types import Array, BrushParams, StrokeLatents

_UNMOVED_TOKEN = np.array([0, 0, 1, 1, 0, 0, 0])
_DEGREE = np.pi / 180  # the published code takes radians for degrees


class TokenRanges(NamedTuple):
    """How far the seven numbers may go from those of the unmoved drawing, (0, 0, 1, 1, 0, 0, 0)."""

    shift: Array | float
    scale: Array | float
    angle: Array | float
    shear: Array | float


EXEMPLAR = TokenRanges(shift=0.1, scale=0.1, angle=0.1 * np.pi, shear=0.1 * np.pi)
ONE_SHOT = TokenRanges(shift=0.2, scale=0.4, angle=0.25 * np.pi, shear=0.3 * np.pi)


def token_params(raw: Array, ranges: TokenRanges) -> Array:
    """[7] raw numbers -> the seven numbers of a token within ranges; raw zeros leave the drawing unmoved."""
    shift, scale, angle, shear = ranges
    reach = jnp.array([shift, shift, scale, scale, angle, shear, shear])
    return bounded(raw, _UNMOVED_TOKEN - reach, _UNMOVED_TOKEN + reach)


def token_matrix(params: Array, fix_rotation_units: bool = False) -> Array:
    """The seven numbers of a token -> [2, 3] map of the signed square: scale, turn, shear y, shear x, shift.

    As published the angle in radians is taken for degrees, so that drawings hardly turn;
    `fix_rotation_units` takes it for what it is.
    """
    shift_x, shift_y, scale_x, scale_y, angle, shear_x, shear_y = params
    angle = angle if fix_rotation_units else _DEGREE * angle
    c, s = jnp.cos(angle), jnp.sin(angle)
    both = 1 + shear_x * shear_y
    first = jnp.stack([scale_x * (both * c + shear_x * s), scale_y * (shear_x * c - both * s), shift_x])
    second = jnp.stack([scale_x * (shear_y * c + s), scale_y * (c - shear_y * s), shift_y])
    return jnp.stack([first, second])


class TypeNoise(NamedTuple):
    """How unlike a drawing its exemplars are: standard deviations, and the reach of the map of it all."""

    middle: Array | float = 0.1  # of the middle control point, in the stroke's frame
    inner: Array | float = 0.003  # of the other points between the ends, which stay
    ink_width: Array | float = 0.0  # one change of the brush for all strokes
    ink_slope: Array | float = 0.0
    canvas_slope: Array | float = 0.0
    token: TokenRanges = EXEMPLAR

    def times(self, factor: float) -> "TypeNoise":
        """The same noise, larger or smaller; 0 leaves drawings as they are."""
        return jax.tree_util.tree_map(lambda value: factor * value, self)


SMALL_NOISE = TypeNoise()  # as published for all sets but Quick, Draw!


class ExemplarNoise(NamedTuple):
    """The randomness of one exemplar; all of it is standard normal."""

    points: Array  # [T, P, 2]
    brush: Array  # [3] ink width, ink slope, canvas slope
    token: Array  # [7]


def exemplar_noise(strokes: StrokeLatents, key: Array) -> ExemplarNoise:
    """The randomness of an exemplar of a drawing; consumes the key."""
    shapes = strokes.control_points.shape, (3,), (7,)
    keys = jax.random.split(key, 3)
    return ExemplarNoise(*(jax.random.normal(one, shape) for one, shape in zip(keys, shapes, strict=True)))


def exemplar(
    config: ModelConfig,
    strokes: StrokeLatents,
    brush: BrushParams,
    key: Array,
    noise: TypeNoise,
    fix_rotation_units: bool = False,
) -> tuple[StrokeLatents, BrushParams]:
    """One new exemplar of one drawing of T strokes: the same strokes by another hand (method.md 10.7).

    Its layouts are the whole canvas.

    Args:
      config: of the model that drew it.
      strokes: the drawing.
      brush: of each stroke.
      key: consumed.
      noise: how unlike it the exemplar is.
      fix_rotation_units: whether it turns by its angle; as published by a hundredth of it.
    """
    given = exemplar_noise(strokes, key)
    return exemplar_from_noise(config, strokes, brush, given, noise, fix_rotation_units)


def exemplar_from_noise(
    config: ModelConfig,
    strokes: StrokeLatents,
    brush: BrushParams,
    given: ExemplarNoise,
    noise: TypeNoise,
    fix_rotation_units: bool = False,
) -> tuple[StrokeLatents, BrushParams]:
    """`exemplar` with its randomness given."""
    deviations = _point_deviations(config.num_points, noise)[:, None]
    points = strokes.control_points + deviations * given.points
    placed = geometry.place_strokes(strokes.layout, points)
    token = token_matrix(token_params(given.token, noise.token), fix_rotation_units)
    moved = geometry.place_points(token, placed)
    layout = jnp.broadcast_to(jnp.asarray(geometry.IDENTITY_LAYOUT), strokes.layout.shape)
    changed = _changed_brush(config, brush, given.brush, noise)
    return strokes._replace(layout=layout, control_points=moved), changed


def _point_deviations(num_points: int, noise: TypeNoise) -> Array:
    """[P] standard deviations; of an even number of points two are in the middle."""
    places = np.arange(num_points)
    is_middle = np.abs(2 * places - (num_points - 1)) <= 1
    is_end = (places == 0) | (places == num_points - 1)
    return jnp.where(is_end, 0.0, jnp.where(is_middle, noise.middle, noise.inner))


def _changed_brush(config: ModelConfig, brush: BrushParams, draw: Array, noise: TypeNoise) -> BrushParams:
    """The brush moved by one [3] draw for all strokes, within the limits of brushes."""
    changes = draw * jnp.array([noise.ink_width, noise.ink_slope, noise.canvas_slope])
    width, slope, canvas_slope = (one + change for one, change in zip(brush[:3], changes, strict=True))
    return within_limits(config, BrushParams(width, slope, canvas_slope, brush.taper), brush)


def complete(
    config: ModelConfig,
    params: Params,
    strokes: StrokeLatents,
    brush: BrushParams,
    count: Array,
    key: Array,
    num_strokes: int,
    spread: Spread = LEARNED,
) -> tuple[StrokeLatents, BrushParams]:
    """The first `count` strokes of one drawing and up to `num_strokes` new ones (method.md 10.8).

    New strokes have the brush of the first, or their own if that is latent. The networks see the canvas as it
    is drawn, from the first new stroke on.

    Args:
      config: the model.
      params: its parameters.
      strokes: T of them.
      brush: of each stroke.
      count: [] strokes of the prefix, at most as many as are drawn; 0 begins with a blank canvas.
      key: consumed.
      num_strokes: most new strokes.
      spread: how far samples stray from the means of the prior's mixtures.

    Returns:
      T + num_strokes strokes, and the brush of each.
    """
    noise = sampling.noise_of_strokes(config, key, num_strokes)
    return complete_from_noise(config, params, strokes, brush, count, noise, spread)


def complete_from_noise(
    config: ModelConfig,
    params: Params,
    strokes: StrokeLatents,
    brush: BrushParams,
    count: Array,
    noise: PriorNoise,
    spread: Spread = LEARNED,
) -> tuple[StrokeLatents, BrushParams]:
    """`complete` with its randomness given, [S, ...] of each kind for S new strokes."""
    num_strokes = len(noise.presence)
    state = sampling.state_after(config, params, strokes, brush, count)
    of_first = BrushParams(brush.ink_width[0], brush.ink_slope[0], brush.canvas_slope)
    of_new = None if config.has_latent_brush else of_first
    new, brush_of_new = sampling.extend(config, params, state, of_new, noise, spread)
    place = jnp.arange(strokes.presence.shape[0] + num_strokes)
    join = lambda old, added: jnp.where(
        (place < count).reshape(-1, *[1] * (old.ndim - 1)),
        old[jnp.minimum(place, old.shape[0] - 1)],
        added[jnp.clip(place - count, 0, num_strokes - 1)],
    )
    joined = jax.tree_util.tree_map(join, strokes, new)
    presence = jnp.where(place < count + num_strokes, joined.presence, 0)
    of_strokes = [one._replace(canvas_slope=None) for one in (brush, brush_of_new)]
    # The slope stays, unless the new strokes begin the drawing and have their own.
    both = jax.tree_util.tree_map(join, *of_strokes)._replace(canvas_slope=brush_of_new.canvas_slope)
    return joined._replace(presence=presence), both
