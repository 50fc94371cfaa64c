"""The network that corrects strokes: from where one misses the image to how it should change."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dood_jax.networks.recurrence import GRUCell
from dood_jax.types import Array, BrushParams

MEMORY = 64  # numbers that a stroke remembers from look to look
_HIDDEN = 256


class Change(NamedTuple):
    """Raw numbers that say how strokes are to change, and how sure that is."""

    layout: Array  # [..., 4]
    layout_width: Array  # [..., 4]
    points: Array  # [..., P, 2]
    point_width: Array  # [..., P, 2]
    pens: BrushParams  # [...] each


class Corrector(nn.Module):
    """What is seen of a stroke, and what it remembers -> raw changes, zero at first, and new memory."""

    num_points: int

    @nn.compact
    def __call__(self, memory: Array, seen: Array) -> tuple[Array, Change]:
        """[..., MEMORY] and [..., D] -> [..., MEMORY] and changes."""
        init = nn.initializers.lecun_uniform()
        features = jnp.concatenate([seen, memory], axis=-1)
        for _ in range(2):
            features = nn.silu(nn.Dense(_HIDDEN, kernel_init=init)(features))
        memory = GRUCell(MEMORY, name="memory")(memory, features)
        sizes = np.array([4, 4, 2 * self.num_points, 2 * self.num_points, 1, 1, 1])
        raw = nn.Dense(int(sizes.sum()), kernel_init=nn.initializers.zeros, name="out")(features)
        layout, layout_width, points, point_width, *pens = jnp.split(raw, np.cumsum(sizes)[:-1], axis=-1)
        in_pairs = lambda numbers: numbers.reshape(*numbers.shape[:-1], self.num_points, 2)
        brush = BrushParams(*(pen[..., 0] for pen in pens))
        return memory, Change(layout, layout_width, in_pairs(points), in_pairs(point_width), brush)
