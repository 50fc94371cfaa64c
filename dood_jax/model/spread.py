"""How far samples stray from the means of the prior's mixtures (method.md 10.5)."""

import math
from typing import NamedTuple

import numpy as np


class Spread(NamedTuple):
    """Factors of the standard deviations that a prior has learned; weights and bits stay as they are."""

    shift: float = 1.0  # of layouts
    size: float = 1.0  # of the scale and the angle of layouts
    points: float = 1.0

    @property
    def of_layout(self) -> np.ndarray:
        """[4] factors."""
        return np.array([self.shift, self.shift, self.size, self.size], np.float32)

    @property
    def of_point(self) -> np.ndarray:
        """[2] factors."""
        return np.full(2, self.points, np.float32)


LEARNED = Spread()
PUBLISHED = Spread(shift=0.1, size=math.sqrt(0.7), points=0.1)
