"""A partial drawing taken further: its strokes, then what the prior would add (method.md 10.8)."""

import jax
import jax.numpy as jnp

from dood_jax.config.model import ModelConfig
from dood_jax.model import dood
from dood_jax.model.networks import Params
from dood_jax.model.spread import LEARNED, Spread
from dood_jax.types import Array, BrushParams, StrokeLatents


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
    """The first `count` strokes of one drawing and up to `num_strokes` new ones, T + num_strokes in all.

    New strokes have the pen of the first. The networks see the canvas as it is drawn, from the first new
    stroke on.

    Args:
      config: the model.
      params: its parameters.
      strokes: T of them.
      brush: pens of each stroke.
      count: [] strokes that are kept, at most as many as are drawn; 0 begins with a blank canvas.
      key: consumed.
      num_strokes: most new strokes.
      spread: how far samples stray from the means of the prior's mixtures.
    """
    state = dood.state_after(config, params, strokes, brush, count)
    pen = BrushParams(brush.ink_width[0], brush.ink_slope[0], brush.canvas_slope)
    new = dood.extend(config, params, state, pen, key, num_strokes, spread)
    place = jnp.arange(strokes.presence.shape[0] + num_strokes)
    join = lambda old, added: jnp.where(
        (place < count).reshape(-1, *[1] * (old.ndim - 1)),
        old[jnp.minimum(place, old.shape[0] - 1)],
        added[jnp.clip(place - count, 0, num_strokes - 1)],
    )
    joined = jax.tree_util.tree_map(join, strokes, new)
    presence = jnp.where(place < count + num_strokes, joined.presence, 0)
    new_pens = (jnp.broadcast_to(value, (num_strokes,)) for value in pen[:2])
    pens = (join(old, added) for old, added in zip(brush[:2], new_pens, strict=True))
    return joined._replace(presence=presence), BrushParams(*pens, brush.canvas_slope)
