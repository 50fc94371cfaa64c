"""Strokes of the pen in a picture, in drawing order."""

import dataclasses
from typing import NamedTuple

import numpy as np

from dood_jax.ink import curves


class InkStroke(NamedTuple):
    """One path of the pen."""

    control_points: np.ndarray  # float [3 m + 1, 2] a chain of cubic Béziers, in pixels; all equal for a dot
    width: float  # full width of the pen, in pixels
    is_closed: bool
    confidence: float  # agreement of the stroke's ink with the picture's, 0..1

    @property
    def is_dot(self) -> bool:
        """Whether the pen stayed where it was."""
        return bool(np.ptp(self.control_points, axis=0).max() < 1e-6)

    def points(self, step: float = 1.0) -> np.ndarray:
        """[n, 2] points along the path, about `step` pixels apart; a dot is one point."""
        if self.is_dot:
            return self.control_points[:1]
        fine = curves.sample(self.control_points, 16)
        return curves.evenly(fine, max(int(np.ceil(curves.length(fine) / step)) + 1, 2))


@dataclasses.dataclass(frozen=True)
class Strokes:
    """The strokes of one picture. Points are (x, y), x right, y down, pixel i spanning i .. i + 1."""

    strokes: tuple[InkStroke, ...]  # in drawing order
    width: int  # of the picture, in pixels
    height: int
    source: str = ""  # what it was made from
    l1: float = float("nan")  # sum of |picture - drawing| over pixels, ink being 1
