"""Brushes: from the samples of one curve to how near the pen came to every pixel.

`splat` is the published sum of Gaussians over curve samples (method.md 3.9). The sum separates: with
X[s, j] = exp(-(x_s - j/W)^2 / 2 w^2) and Y likewise over rows, the picture is Y^T X, one matrix product.
`soft_distance` is exp(-d^2 / 2 w^2) of a soft distance d to the curve: the logarithm of a splat is a soft
minimum of squared distances, so a narrow splat raised to a power costs no more than the splat itself.

Both have the gradient of the separable product written out, since a compiler would keep and revisit far
larger intermediates.
"""

import functools

import chex
import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.geometry import frames
from dood_jax.types import Array

_SHARPNESS = 2  # the narrow splat of `soft_distance` is this many times narrower than the pen
_TINY = 1e-20  # added inside the power: a pixel far from the curve has a finite gradient

_einsum = functools.partial(jnp.einsum, precision=lax.Precision.HIGHEST)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def splat(curve: Array, ink_width: Array, size: tuple[int, int]) -> Array:
    """Sum over curve samples of a Gaussian of the distance to each pixel (method.md 3.9).

    Args:
      curve: [S, 2] points of the unit square.
      ink_width: [] standard deviation of the pen, as a share of the picture.
      size: (H, W) pixels.

    Returns:
      [H, W], not bounded by 1; denser samples give more ink.
    """
    return _splat_forward(curve, ink_width, size)[0]


def _splat_forward(curve, ink_width, size):
    chex.assert_shape(curve, (None, 2))
    chex.assert_shape(ink_width, ())
    height, width = size
    from_columns = curve[:, 0, None] - frames.pen_pixels(width).astype(curve.dtype)[None]
    from_rows = curve[:, 1, None] - frames.pen_pixels(height).astype(curve.dtype)[None]
    columns = jnp.exp(-0.5 * (from_columns / ink_width) ** 2)
    rows = jnp.exp(-0.5 * (from_rows / ink_width) ** 2)
    picture = _einsum("si,sj->ij", rows, columns)
    return picture, (curve, ink_width, rows, columns)


def _splat_backward(size, saved, cotangent):
    curve, ink_width, rows, columns = saved
    height, width = size
    from_columns = curve[:, 0, None] - frames.pen_pixels(width).astype(curve.dtype)[None]
    from_rows = curve[:, 1, None] - frames.pen_pixels(height).astype(curve.dtype)[None]
    by_row = _einsum("ij,sj->si", cotangent, columns) * rows * from_rows
    by_column = _einsum("ij,si->sj", cotangent, rows) * columns * from_columns
    d_curve = -jnp.stack([by_column.sum(1), by_row.sum(1)], axis=1) / ink_width**2
    d_width = ((by_row * from_rows).sum() + (by_column * from_columns).sum()) / ink_width**3
    return d_curve, d_width


splat.defvjp(_splat_forward, _splat_backward)


def soft_distance(curve: Array, ink_width: Array, size: tuple[int, int]) -> Array:
    """exp(-d^2 / 2 w^2) of the soft distance d from every pixel to the curve: a pen of even width.

    With narrower Gaussians of standard deviation w/2, Σ_s exp(-d_s^2 / 2 (w/2)^2) raised to the power 1/4.
    As long as samples lie closer than about w/2, ink varies with the curve's speed to the power 1/4 only: it
    is (√(2π) w / 2δ)^(1/4) times that of the true distance where samples lie δ apart.

    Args:
      curve: [S, 2] points of the unit square.
      ink_width: [] standard deviation of the pen, as a share of the picture.
      size: (H, W) pixels.

    Returns:
      [H, W], near 1 on the curve and 0 away from it; up to S^(1/4) where all samples fall together.
    """
    power = 1 / _SHARPNESS**2
    narrow = splat(curve, ink_width / _SHARPNESS, size)
    return jnp.exp(power * jnp.log(narrow + _TINY)) - _TINY**power
