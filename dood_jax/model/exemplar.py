"""A new exemplar of a drawing: the same strokes by another hand (method.md 10.7)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.model.renderer import brush_limits
from dood_jax.model.token import EXEMPLAR, TokenRanges, token_matrix, token_params
from dood_jax.types import Array, BrushParams, StrokeLatents

_UNMOVED = np.array([0, 0, 1, 0], np.float32)  # the layout whose frame is the canvas


class TypeNoise(NamedTuple):
    """How unlike a drawing its exemplars are: standard deviations, and the reach of the map of it all."""

    middle: Array | float = 0.1  # of the middle control point, in the stroke's frame
    inner: Array | float = 0.003  # of the other points between the ends, which stay
    ink_width: Array | float = 0.0  # one change of pen for all strokes
    ink_slope: Array | float = 0.0
    canvas_slope: Array | float = 0.0
    token: TokenRanges = EXEMPLAR

    def times(self, factor: float) -> "TypeNoise":
        """The same noise, larger or smaller; 0 leaves drawings as they are."""
        return jax.tree_util.tree_map(lambda value: factor * value, self)


SMALL_NOISE = TypeNoise()  # as published for all sets but Quick, Draw!


def exemplar(
    config: ModelConfig,
    strokes: StrokeLatents,
    brush: BrushParams,
    key: Array,
    noise: TypeNoise,
    turned: bool = False,
) -> tuple[StrokeLatents, BrushParams]:
    """One new exemplar of one drawing of T strokes, whose layouts are the whole canvas then.

    Args:
      config: of the model that drew it.
      strokes: the drawing.
      brush: its pens.
      key: consumed.
      noise: how unlike it the exemplar is.
      turned: whether it turns by the whole angle; as published by a hundredth of it.
    """
    key_points, key_pen, key_token = jax.random.split(key, 3)
    shape = strokes.control_points.shape
    deviations = _point_deviations(config.num_points, noise)[:, None]
    points = strokes.control_points + deviations * jax.random.normal(key_points, shape)
    placed = jax.vmap(lambda layout, one: geometry.place_points(geometry.layout_to_matrix(layout), one))(
        strokes.layout, points
    )
    token = token_matrix(token_params(jax.random.normal(key_token, (7,)), noise.token), turned)
    moved = geometry.place_points(token, placed)
    layout = jnp.broadcast_to(jnp.asarray(_UNMOVED), strokes.layout.shape)
    return strokes._replace(layout=layout, control_points=moved), _other_pen(config, brush, key_pen, noise)


def _point_deviations(num_points: int, noise: TypeNoise) -> Array:
    """[P] standard deviations; of an even number of points two are in the middle."""
    places = np.arange(num_points)
    is_middle = np.abs(2 * places - (num_points - 1)) <= 1
    is_end = (places == 0) | (places == num_points - 1)
    return jnp.where(is_end, 0.0, jnp.where(is_middle, noise.middle, noise.inner))


def _other_pen(config: ModelConfig, brush: BrushParams, key: Array, noise: TypeNoise) -> BrushParams:
    """The pens moved by one draw for all strokes, within the range that pens have."""
    changes = jax.random.normal(key, (3,)) * jnp.array(noise[2:5])
    moved = (
        jnp.clip(pen + change, *limits)
        for pen, change, limits in zip(brush, changes, brush_limits(config), strict=True)
    )
    return BrushParams(*moved)
