"""How far samples stray from the means of the prior's mixtures (method.md 10.5)."""

import math
from typing import NamedTuple

import jax.numpy as jnp

from dood_jax.types import Array


class Spread(NamedTuple):
    """Factors of standard deviations that a prior has learned, and a temperature; bits stay as they are."""

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
