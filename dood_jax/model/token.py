"""From a type to a token: the whole drawing sheared, turned, scaled and shifted (method.md 10.7, 10.9).

Seven numbers make such a map: shift x, shift y, scale x, scale y, angle in radians, and two shears.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from dood_jax.distributions.bounded import bounded
from dood_jax.types import Array


class TokenRanges(NamedTuple):
    """How far the seven numbers may go from those of the unmoved drawing, (0, 0, 1, 1, 0, 0, 0)."""

    shift: Array | float
    scale: Array | float
    angle: Array | float
    shear: Array | float


EXEMPLAR = TokenRanges(shift=0.1, scale=0.1, angle=0.1 * np.pi, shear=0.1 * np.pi)
ONE_SHOT = TokenRanges(shift=0.2, scale=0.4, angle=0.25 * np.pi, shear=0.3 * np.pi)
_UNMOVED = np.array([0, 0, 1, 1, 0, 0, 0])
_AS_PUBLISHED = np.pi / 180  # radians taken for degrees


def token_params(raw: Array, ranges: TokenRanges) -> Array:
    """[7] raw numbers -> the seven numbers of a token within ranges; raw zeros leave the drawing unmoved."""
    shift, scale, angle, shear = ranges
    reach = jnp.array([shift, shift, scale, scale, angle, shear, shear])
    return bounded(raw, _UNMOVED - reach, _UNMOVED + reach)


def token_matrix(params: Array, turned: bool = False) -> Array:
    """The seven numbers of a token -> [2, 3] map of the signed square: scale, turn, shear y, shear x, shift.

    As published the angle is taken for degrees, so that drawings hardly turn; `turned` takes it as it is.
    """
    shift_x, shift_y, scale_x, scale_y, angle, shear_x, shear_y = params
    angle = angle if turned else _AS_PUBLISHED * angle
    c, s = jnp.cos(angle), jnp.sin(angle)
    both = 1 + shear_x * shear_y
    first = jnp.stack([scale_x * (both * c + shear_x * s), scale_y * (shear_x * c - both * s), shift_x])
    second = jnp.stack([scale_x * (shear_y * c + s), scale_y * (c - shear_y * s), shift_y])
    return jnp.stack([first, second])
