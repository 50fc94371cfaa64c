"""Brushes: from the samples of one curve to how near the brush came to every pixel.

`splat` is the published sum of Gaussians over curve samples (method.md 3.9). The sum separates: with
X[s, j] = exp(-(x_s - j/W)^2 / 2 w^2) and Y likewise over rows, the image is Y^T X, one matrix product.
`soft_distance` is exp(-d^2 / 2 w^2) of a soft distance d to the curve: the logarithm of a splat is a soft
minimum of squared distances, so a narrow splat raised to a power costs no more than the splat itself.
`distance` is the same of the true distance to the polyline through the samples.

All have their gradient written out, since a compiler would keep and revisit far larger intermediates.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax import geometry
from dood_jax.types import Array

_TINY = 1e-20  # added inside the root: a pixel far from the curve has a finite gradient
_LEAST_SQUARE = 1e-20  # added to the squared length of a segment, which may be zero
_SEGMENTS_A_PASS = 8  # segments that `distance` measures in one pass over the pixels

_matmul = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def splat(curve: Array, ink_width: Array, size: tuple[int, int]) -> Array:
    """Sum over curve samples of a Gaussian of the distance to each pixel (method.md 3.9).

    Args:
      curve: [S, 2] points of the unit square.
      ink_width: [] or [S] standard deviation of the brush, as a fraction of the image.
      size: (H, W) pixels.

    Returns:
      [H, W], not bounded by 1; denser samples give more ink.
    """
    return _splat_forward(curve, ink_width, size)[0]


def _splat_forward(curve, ink_width, size):
    chex.assert_shape(curve, (None, 2))
    chex.assert_rank(ink_width, {0, 1})
    from_columns, from_rows = _offsets(curve, ink_width, size)
    # exp(-(dx² + dy²) / 2 w²) is a product of a factor of the column and one of the row, so the sum over
    # samples is one matrix product [H, S] @ [S, W].
    columns, rows = jnp.exp(-0.5 * from_columns**2), jnp.exp(-0.5 * from_rows**2)
    turned = lax.optimization_barrier(rows.T)  # is written down: a product with a turned factor is slower
    return _matmul(turned, columns), (curve, ink_width, columns, rows)


def _splat_backward(size, saved, cotangent):
    curve, ink_width, columns, rows = saved
    # d/dx_s of a pixel is its value times -(x_s - x) / w²: again one product a side, no [S, H, W] arrays.
    # Sums over pixels are products with ones, which compilers make faster than sums.
    from_columns, from_rows = _offsets(curve, ink_width, size)
    by_column = _matmul(rows, cotangent) * columns * from_columns
    by_row = _matmul(columns, cotangent.T) * rows * from_rows
    sums = lambda pixels: _matmul(pixels, jnp.ones(pixels.shape[1], pixels.dtype))  # [S, N] -> [S]
    d_curve = -jnp.stack([sums(by_column), sums(by_row)], axis=1) / _a_row_each(ink_width)
    d_width = sums(by_column * from_columns) + sums(by_row * from_rows)
    return d_curve, (d_width if ink_width.ndim else d_width.sum()) / ink_width


splat.defvjp(_splat_forward, _splat_backward)


def soft_distance_slopes(
    curve: Array, ink_width: Array, weights: tuple[np.ndarray, np.ndarray], size: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """`soft_distance` and its slopes in all numbers that a stroke is made of.

    They are what Gauss-Newton steps take (method.md 5.3). A slope is a matrix product as well. That in
    a point is the one in the samples, times their weights of the point, so the slopes in all points stand
    side by side in two products.

    Args:
      curve: [S, 2] samples in the unit square, weighted sums of P points.
      ink_width: [S] standard deviation of the brush, as a fraction of the image.
      weights: [S, P] of the points in the samples, and [S, M] of M numbers in their logarithmic widths.
      size: (H, W) pixels.

    Returns:
      [H, W] nearness, [P, 2, H, W] slopes in (x, y) of the points, and [M, H, W] in the numbers.
    """
    of_points, of_width = weights
    half, (height, width) = ink_width / 2, size
    from_columns, from_rows = _offsets(curve, half, size)
    columns, rows = jnp.exp(-0.5 * from_columns**2), jnp.exp(-0.5 * from_rows**2)
    from_rows, rows = from_rows.T, rows.T

    def along_columns(changed: Array, share: np.ndarray) -> Array:  # [S, W], [S, N] -> [N, H, W]
        side_by_side = (share[:, :, None] * changed[:, None]).reshape(len(curve), -1)
        return _matmul(rows, side_by_side).reshape(height, -1, width).transpose(1, 0, 2)

    def along_rows(changed: Array, share: np.ndarray) -> Array:  # [H, S], [S, N] -> [N, H, W]
        one_below_other = (share.T[:, None] * changed).reshape(-1, len(curve))
        return _matmul(one_below_other, columns).reshape(-1, height, width)

    by_x = along_columns(columns * from_columns / -half[:, None], of_points)
    by_y = along_rows(rows * from_rows / -half, of_points)
    by_width = along_columns(columns * from_columns**2, of_width) + along_rows(rows * from_rows**2, of_width)
    narrow = _matmul(rows, columns) + _TINY
    nearness = jnp.sqrt(jnp.sqrt(narrow))
    root_slope = nearness / (4 * narrow)
    return nearness, root_slope * jnp.stack([by_x, by_y], axis=1), root_slope * by_width


def _offsets(curve: Array, ink_width: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """[S, W] and [S, H] from each pixel column and row to each sample, in brush widths."""
    rows, columns = (geometry.brush_pixels(length).astype(curve.dtype) for length in size)
    per_width = _a_row_each(1 / ink_width)
    scaled = curve * per_width
    return scaled[:, :1] - per_width * columns[None], scaled[:, 1:] - per_width * rows[None]


def _a_row_each(values: Array) -> Array:
    """[S, 1] of [S] values; one value for all as it is."""
    return values[:, None] if values.ndim else values


def soft_distance(curve: Array, ink_width: Array, size: tuple[int, int]) -> Array:
    """exp(-d^2 / 2 w^2) of the soft distance d from every pixel to the curve: a brush of even width.

    With narrower Gaussians of standard deviation w/2, Σ_s exp(-d_s^2 / 2 (w/2)^2) raised to the power 1/4.
    As long as samples lie closer than about w/2, ink varies with the curve's speed to the power 1/4 only: it
    is (√(2π) w / 2δ)^(1/4) times that of the true distance where samples lie δ apart.

    Args:
      curve: [S, 2] points of the unit square.
      ink_width: [] or [S] standard deviation of the brush, as a fraction of the image.
      size: (H, W) pixels.

    Returns:
      [H, W], near 1 on the curve and 0 away from it; up to S^(1/4) where all samples fall together.
    """
    narrow = splat(curve, ink_width / 2, size)
    # The difference makes a pixel without ink exactly 0.
    return _fourth_root(narrow) - _fourth_root(jnp.zeros((), narrow.dtype))


@jax.custom_jvp
def _fourth_root(image: Array) -> Array:
    """Two square roots are faster than a power, and its slope needs one division."""
    return jnp.sqrt(jnp.sqrt(image + _TINY))


@_fourth_root.defjvp
def _fourth_root_slope(primals, tangents):
    (image,), (change,) = primals, tangents
    root = _fourth_root(image)
    return root, change * (root / (4 * (image + _TINY)))


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def distance(curve: Array, ink_width: Array, size: tuple[int, int]) -> Array:
    """exp(-d^2 / 2 w^2) of the true distance d from every pixel to the polyline (method.md 3.9).

    Where the width varies, d is still the distance to the nearest point. The gradient holds the foot of every
    pixel, its nearest point, at its place along its segment. That is exact wherever one point alone is
    nearest and the width is even, since d does not change at first order as the foot slides.

    Args:
      curve: [S, 2] corners of the polyline in the unit square, at least 2; they may coincide.
      ink_width: [] or [S] standard deviation of the brush, as a fraction of the image; between two corners
        it changes evenly.
      size: (H, W) pixels.

    Returns:
      [H, W], 1 on the curve and 0 away from it, however dense the samples.
    """
    return _distance_forward(curve, ink_width, size)[0]


def _distance_forward(curve, ink_width, size):
    chex.assert_shape(curve, (None, 2))
    chex.assert_rank(ink_width, {0, 1})
    square, place = _nearest(curve, size)
    width = _at_place(ink_width[:, None], place)[..., 0] if ink_width.ndim else ink_width
    near = jnp.exp(square * (-0.5 / width**2))
    return near, (curve, ink_width, square, place, near)


def _distance_backward(size, saved, cotangent):
    curve, ink_width, square, place, near = saved
    # The gradient of d² = |pixel - foot|² in the foot is -2 (pixel - foot), spread over both ends of the
    # foot's segment by the linear interpolation of `_at_place`.
    if ink_width.ndim:
        width, to_ends = jax.vjp(lambda values: _at_place(values[:, None], place)[..., 0], ink_width)
    else:
        width, to_ends = ink_width, lambda slopes: (slopes.sum(),)
    pull = cotangent * near * (1 / width**2)
    foot, backward = jax.vjp(lambda curve: _at_place(curve, place), curve)
    pixel = jnp.stack(jnp.broadcast_arrays(*_pixels(curve, size)), axis=-1)
    (d_curve,) = backward(pull[..., None] * (pixel - foot))
    return d_curve, *to_ends(pull * square / width)


distance.defvjp(_distance_forward, _distance_backward)


def _nearest(curve: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """[H, W] squared distance to the foot, and the foot's place, counted in segments from the start.

    A loop keeps the nearest so far, some segments a pass: an argmin over all of them is slow to run, and
    without a loop a compiler computes the whole search again for every use of the place.
    """
    columns, rows = _pixels(curve, size)
    last = len(curve) - 1
    corners = jnp.pad(curve, ((0, -last % _SEGMENTS_A_PASS), (0, 0)), mode="edge")

    def visit(nearest, segment):
        square, place = nearest
        index, start, edge = segment
        found, fraction = _nearest_on_segment(columns - start[0], rows - start[1], edge)
        return (jnp.minimum(found, square), jnp.where(found < square, index + fraction, place)), None

    segments = (jnp.arange(len(corners) - 1, dtype=curve.dtype), corners[:-1], corners[1:] - corners[:-1])
    none_yet = (jnp.full(size, jnp.inf, curve.dtype), jnp.zeros(size, curve.dtype))
    (square, place), _ = lax.scan(visit, none_yet, segments, unroll=_SEGMENTS_A_PASS)
    return square, jnp.minimum(place, last)


def _nearest_on_segment(x: Array, y: Array, edge: Array) -> tuple[Array, Array]:
    """[H, W] squared distance from pixels to a segment, and the fraction of it that lies before the foot.

    Pixels are at x [1, W], y [H, 1] from the segment's start; `edge` [2] leads from there to its end.
    """
    slope = edge / ((edge**2).sum() + _LEAST_SQUARE)
    fraction = jnp.clip(x * slope[0] + y * slope[1], 0, 1)
    return (x - fraction * edge[0]) ** 2 + (y - fraction * edge[1]) ** 2, fraction


def _at_place(values: Array, place: Array) -> Array:
    """[H, W, n] values at [H, W] places, counted in segments from the start, of [S, n] at the corners."""
    segment = jnp.minimum(place.astype(jnp.int32), len(values) - 2)
    fraction, size = (place - segment)[..., None], values.shape[1]
    ends = jnp.concatenate([values[:-1], values[1:]], axis=1)[segment]  # one look-up, so one scatter backward
    return (1 - fraction) * ends[..., :size] + fraction * ends[..., size:]


def _pixels(curve: Array, size: tuple[int, int]) -> tuple[Array, Array]:
    """[1, W] place of every column of pixels and [H, 1] of every row, in the curve's precision."""
    rows, columns = (jnp.asarray(geometry.brush_pixels(length), curve.dtype) for length in size)
    return columns[None], rows[:, None]
