"""Brushes against direct sums in NumPy, true distances to the curve, and the published numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from oracles import SIZE, STROKE, WIDTH, assert_close_to_largest, de_casteljau

from dood_jax import geometry
from dood_jax.rendering import brushes, compositing

splat = jax.jit(brushes.splat, static_argnums=2)
soft_distance = jax.jit(brushes.soft_distance, static_argnums=2)
distance = jax.jit(brushes.distance, static_argnums=2)
curve_of = jax.jit(geometry.bezier_curve, static_argnums=1)

BRUSHES = [
    pytest.param(splat, id="splat"),
    pytest.param(soft_distance, id="soft_distance"),
    pytest.param(distance, id="distance"),
]
DIRECT = {
    splat: oracles.splat,
    soft_distance: lambda curve, width, size: oracles.splat(curve, width / 2, size) ** 0.25,
    distance: oracles.distance,
}
BENT = {
    "arc": [(0.2, 0.7), (0.5, 0.1), (0.8, 0.7)],
    "hook": [(0.2, 0.2), (0.8, 0.1), (0.5, 0.5), (0.2, 0.9), (0.8, 0.8)],
    "wave": STROKE,
}
SPEEDING = [(0.1, 0.5), (0.1, 0.5), (0.1, 0.5), (0.9, 0.5)]  # x = 0.1 + 0.8 (1 - u)^3
ALONG = (25, slice(8, 43))  # the pixels of its row with x from 0.16 to 0.84


def splat_points(points, width, size=SIZE, num_samples=100):
    return splat(curve_of(points, num_samples), width, size)


def soft_points(points, width, size=SIZE, num_samples=64):
    curve = curve_of(jnp.asarray(points, jnp.float32), num_samples)
    return np.asarray(soft_distance(curve, jnp.float32(width), size))


@functools.cache
def ink_and_gradients(brush):
    """A jitted function of curve and width."""
    return jax.jit(jax.value_and_grad(lambda curve, width: brush(curve, width, SIZE).sum(), argnums=(0, 1)))


@functools.cache
def nearest(name):
    """Distance [H, W] to a bent curve, and the curve parameter and speed at the nearest place."""
    u = np.linspace(0, 1, 2001)
    curve = de_casteljau(BENT[name], u)
    squares = oracles.squared_distances(curve, SIZE)
    where = squares.argmin(0)
    speed = np.linalg.norm(np.gradient(curve, u, axis=0), axis=1)
    return np.sqrt(squares.min(0)), u[where], speed[where]


def test_published_stroke_gives_published_splat():
    image = splat_points(STROKE, WIDTH)
    np.testing.assert_allclose(image[25, 5], 2.35346, atol=1e-5)
    np.testing.assert_allclose(image[26, 26], 3.136867, atol=1e-5)
    np.testing.assert_allclose(image[29, 44], 3.68851, atol=1e-5)
    np.testing.assert_allclose(image.max(), 6.1966, atol=1e-4)
    np.testing.assert_allclose(image.sum(), 628.3185, atol=2e-3)


@pytest.mark.parametrize(("size", "num_samples"), [((50, 50), 100), ((40, 80), 64)])
def test_sample_well_inside_the_frame_adds_the_area_of_its_gaussian(size, num_samples):
    width = 0.025
    expected = num_samples * 2 * np.pi * (size[0] * width) * (size[1] * width)
    image = splat_points(STROKE, jnp.float32(width), size, num_samples)
    np.testing.assert_allclose(image.sum(), expected, rtol=1e-5)


def test_golden_splats_and_their_gradients(golden):
    def weigh(points, width):
        raw = jax.vmap(splat_points)(points, width)
        return (golden["raster/cotangent"] * raw).sum(), raw

    inputs = jnp.asarray(golden["raster/points"]), jnp.asarray(golden["raster/rho"])
    (d_points, d_width), raw = jax.jit(jax.grad(weigh, argnums=(0, 1), has_aux=True))(*inputs)
    assert_close_to_largest(raw, golden["raster/raw"], 3e-5)
    assert_close_to_largest(d_points, golden["raster/d_points"], 1.5e-4)
    assert_close_to_largest(d_width, golden["raster/d_rho"], 1.5e-4)


def test_tapering_splat_is_the_sum_of_gaussians_of_their_own_widths():
    u = np.linspace(0, 1, 40)
    curve, widths = de_casteljau(STROKE, u), np.float32(0.01 + 0.03 * u)
    wanted = sum(oracles.splat(curve[[i]], width, SIZE) for i, width in enumerate(widths))
    assert_close_to_largest(splat(curve_of(STROKE, 40), widths, SIZE), wanted, 3e-5)
    wanted = sum(oracles.splat(curve[[i]], width / 2, SIZE) for i, width in enumerate(widths)) ** 0.25
    assert_close_to_largest(soft_distance(curve_of(STROKE, 40), widths, SIZE), wanted, 3e-5)


def test_a_tapering_line_has_the_width_of_its_nearest_point_and_its_slope():
    """Distance to a straight line of 40 pixels, whose width grows evenly from its first end to its last."""
    curve = jnp.stack([jnp.linspace(0.1, 0.9, 9), jnp.full(9, 0.5)], axis=1)
    widths = jnp.linspace(0.02, 0.06, 9)
    x, y = np.meshgrid(np.arange(50) / 50, np.arange(50) / 50)
    of_foot = 0.02 + 0.04 * (np.clip(x, 0.1, 0.9) - 0.1) / 0.8
    squares = (x - np.clip(x, 0.1, 0.9)) ** 2 + (y - 0.5) ** 2
    wanted = np.exp(-squares / (2 * of_foot**2))
    np.testing.assert_allclose(distance(curve, widths, SIZE), wanted, atol=1e-5)
    slope = jax.jit(jax.grad(lambda scale: brushes.distance(curve, scale * widths, SIZE).sum()))(1.0)
    assert slope == pytest.approx((wanted * squares / of_foot**2).sum(), rel=1e-4)


@pytest.mark.parametrize("num_points", [2, 3, 7])
@pytest.mark.parametrize("size", [(28, 28), (37, 64)])
@pytest.mark.parametrize("brush", BRUSHES)
def test_brush_is_its_direct_form_at_any_degree_and_size(brush, size, num_points):
    points = np.random.default_rng(num_points).uniform(0, 1, (num_points, 2)).astype(np.float32)
    curve = de_casteljau(points, np.linspace(0, 1, 40))
    image = brush(curve_of(jnp.asarray(points), 40), jnp.float32(0.03), size)
    assert image.shape == size
    assert_close_to_largest(image, DIRECT[brush](curve, 0.03, size), 3e-5)


@pytest.mark.parametrize("brush", BRUSHES)
def test_direction_of_a_stroke_does_not_show(brush):
    there, back = (brush(curve_of(points, 50), WIDTH, SIZE) for points in (STROKE, STROKE[::-1]))
    assert_close_to_largest(there, back, 1e-5)


@pytest.mark.parametrize("offset", [0.0, 0.9, 3.0, 1e4])
@pytest.mark.parametrize("width", [0.005, 0.04])
@pytest.mark.parametrize("brush", BRUSHES)
def test_image_and_gradients_are_finite_wherever_the_curve_lies(brush, width, offset):
    for points in (STROKE + offset, np.full((5, 2), 0.4 + offset, np.float32)):
        curve = curve_of(jnp.asarray(points), 64)
        total, gradients = ink_and_gradients(brush)(curve, jnp.float32(width))
        assert np.isfinite(total)
        assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("brush", BRUSHES)
def test_curve_far_outside_the_frame_leaves_no_mark(brush):
    image = brush(curve_of(STROKE + np.float32(3), 64), WIDTH, SIZE)
    np.testing.assert_allclose(image, 0, atol=1e-9)


@pytest.mark.parametrize("brush", BRUSHES)
def test_curve_of_a_wrong_shape_is_refused(brush):
    with pytest.raises(AssertionError):
        brush(jnp.zeros((2, 64, 2)), jnp.float32(0.02), SIZE)


@pytest.mark.parametrize("name", BENT)
def test_soft_distance_marks_like_the_true_distance(name):
    """Samples lie 0.5 to 1.9 pen widths apart: the fourth root of their density is 0.9 to 1.27."""
    width = 0.02
    distance, u, _ = nearest(name)
    away_from_the_ends = (u > 0.1) & (u < 0.9)
    expected = np.exp(-(distance**2) / (2 * width**2))
    error = np.abs(soft_points(BENT[name], width) - expected)[away_from_the_ends]
    assert error.max() < 0.3  # measured 0.27, 0.18, 0.19


@pytest.mark.parametrize("width", [0.02, 0.03, 0.04])
@pytest.mark.parametrize("name", BENT)
def test_soft_distance_is_the_true_distance_but_for_the_fourth_root_of_the_density(name, width):
    """Neighbouring samples δ apart add up to √(2π) (w/2) / δ Gaussians; what remains is curvature."""
    distance, u, speed = nearest(name)
    away_from_the_ends = (u > 0.1) & (u < 0.9)
    density = (np.sqrt(2 * np.pi) * width / 2 / (speed / 63)) ** 0.25
    expected = np.exp(-(distance**2) / (2 * width**2)) * density
    error = np.abs(soft_points(BENT[name], width) - expected)[away_from_the_ends]
    assert error.max() < 0.06  # measured 0.045 at most, where the bent stroke is wide


def test_soft_distance_to_a_line_of_even_samples_is_exact():
    line = [(-0.5, 0.31), (1.5, 0.31)]
    rows = np.arange(50) / 50
    density = (np.sqrt(2 * np.pi) * 0.02 / (2 / 199)) ** 0.25
    expected = np.exp(-((rows - 0.31) ** 2) / (2 * 0.04**2)) * density
    image = soft_points(line, 0.04, num_samples=200)
    np.testing.assert_allclose(image, np.broadcast_to(expected[:, None], SIZE), atol=2e-5)


def test_soft_distance_is_even_along_a_curve_of_very_uneven_speed_where_splat_is_not():
    """The speed grows more than fivefold along the stretch looked at, where true distance gives ink 1."""
    curve = curve_of(jnp.array(SPEEDING), 64)
    width, slope = jnp.float32(0.04), jnp.float32(0.5)
    uneven = compositing.squash(compositing.max_normalise(splat(curve, width, SIZE)), slope)[ALONG]
    even = compositing.squash_to_one(soft_distance(curve, width, SIZE), slope)[ALONG]
    assert uneven.max() > 4 * uneven.min()  # measured 4.5
    np.testing.assert_allclose(even, 1, atol=0.05)  # measured 0.035


def test_marks_vary_with_the_speed_for_splat_and_with_its_fourth_root_for_soft_distance():
    curve = curve_of(jnp.array(SPEEDING), 64)
    marks, soft_marks = (brush(curve, jnp.float32(0.04), SIZE)[ALONG] for brush in (splat, soft_distance))
    slow, fast = 2.4 * np.cbrt((np.array([0.16, 0.84]) - 0.1) / 0.8) ** 2
    assert marks.max() / marks.min() > fast / slow > 5
    np.testing.assert_allclose(soft_marks.max() / soft_marks.min(), (fast / slow) ** 0.25, rtol=0.05)


@pytest.mark.parametrize("num_samples", [2, 9, 40])
def test_distance_to_a_straight_line_is_exact_however_dense_its_samples(num_samples):
    """Along and across the line: beyond its ends the image is round."""
    ends = np.array([(0.2, 0.7), (0.8, 0.4)])
    x, y = np.meshgrid(np.arange(50) / 50, np.arange(50) / 50)
    length = np.hypot(0.6, 0.3)
    along = ((x - 0.2) * 0.6 - (y - 0.7) * 0.3) / length
    across = ((x - 0.2) * 0.3 + (y - 0.7) * 0.6) / length
    beyond = np.maximum(0, np.maximum(-along, along - length))
    expected = np.exp(-(beyond**2 + across**2) / (2 * 0.04**2))
    curve = jnp.asarray(np.linspace(*ends, num_samples), jnp.float32)
    np.testing.assert_allclose(distance(curve, jnp.float32(0.04), SIZE), expected, atol=1e-5)


@pytest.mark.parametrize("num_samples", [2, 64])
def test_distance_to_a_dot_is_a_gaussian_with_its_gradients(num_samples):
    """A dot is made of segments of no length; all together they move it."""
    x, y = np.meshgrid(np.arange(50) / 50 - 0.43, np.arange(50) / 50 - 0.21)
    near = np.exp(-(x**2 + y**2) / (2 * 0.04**2))
    weights = np.random.default_rng(0).normal(size=SIZE)
    curve = jnp.tile(jnp.array([[0.43, 0.21]]), (num_samples, 1))
    image, backward = jax.vjp(lambda *inputs: distance(*inputs, SIZE), curve, jnp.float32(0.04))
    d_curve, d_width = backward(jnp.asarray(weights, jnp.float32))
    np.testing.assert_allclose(image, near, atol=1e-5)
    moved = [(weights * near * offset).sum() / 0.04**2 for offset in (x, y)]
    np.testing.assert_allclose(d_curve.sum(0), moved, rtol=1e-4)
    np.testing.assert_allclose(d_width, (weights * near * (x**2 + y**2)).sum() / 0.04**3, rtol=1e-4)


def test_segments_of_no_length_change_neither_the_image_of_distance_nor_its_gradients():
    curve = curve_of(STROKE, 20)
    total, (d_curve, d_width) = ink_and_gradients(distance)(curve, WIDTH)
    repeated = jnp.repeat(curve, 3, axis=0)
    same_total, (d_repeated, same_d_width) = ink_and_gradients(distance)(repeated, WIDTH)
    np.testing.assert_allclose(same_total, total, rtol=1e-5)
    np.testing.assert_allclose(same_d_width, d_width, rtol=1e-5)
    assert_close_to_largest(d_repeated.reshape(20, 3, 2).sum(1), d_curve, 1e-4)


def test_distance_of_many_strokes_is_that_of_each():
    curves = jax.vmap(lambda shift: curve_of(STROKE + shift, 33))(jnp.linspace(-0.5, 0.5, 4))
    widths = jnp.array([0.005, 0.01, 0.02, 0.04])
    together = jax.vmap(ink_and_gradients(distance))(curves, widths)
    each = [ink_and_gradients(distance)(*stroke) for stroke in zip(curves, widths, strict=True)]
    each = jax.tree_util.tree_map(lambda *leaves: np.stack(leaves), *each)
    jax.tree_util.tree_map(lambda a, b: assert_close_to_largest(a, b, 1e-5), together, each)


@pytest.mark.parametrize("name", BENT)
def test_distance_to_the_polyline_is_that_to_the_curve_but_for_its_chords(name):
    """Chords leave the curve by 0.0002 of the image at most."""
    width = 0.02
    far, _, _ = nearest(name)
    curve = curve_of(jnp.asarray(BENT[name], jnp.float32), 64)
    error = np.abs(distance(curve, jnp.float32(width), SIZE) - np.exp(-(far**2) / (2 * width**2)))
    assert error.max() < 0.01  # measured 0.006


def test_distance_is_even_whatever_the_speed():
    curve = curve_of(jnp.array(SPEEDING), 64)
    np.testing.assert_allclose(distance(curve, jnp.float32(0.04), SIZE)[ALONG], 1, atol=1e-5)
