"""Brushes against direct sums in NumPy, true distances to the curve, and the published numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from oracles import SIZE, STROKE, WIDTH, assert_close_to_largest, de_casteljau

from dood_jax.geometry import bezier
from dood_jax.rendering import brushes, compositing

BRUSHES = [brushes.splat, brushes.soft_distance]
ARC = [(0.2, 0.7), (0.5, 0.1), (0.8, 0.7)]
HOOK = [(0.2, 0.2), (0.8, 0.1), (0.5, 0.5), (0.2, 0.9), (0.8, 0.8)]
SPEEDING = [(0.1, 0.5), (0.1, 0.5), (0.1, 0.5), (0.9, 0.5)]  # x = 0.1 + 0.8 u^3


def splat_points(points, width, size=SIZE, num_samples=100):
    return brushes.splat(bezier.curve(points, num_samples), width, size)


def soft_points(points, width, size=SIZE, num_samples=64):
    curve = bezier.curve(jnp.asarray(points, jnp.float32), num_samples)
    return np.asarray(brushes.soft_distance(curve, jnp.float32(width), size))


def nearest(points, size=SIZE):
    """Distance [H, W] to the curve, and the curve parameter and speed at the nearest place."""
    u = np.linspace(0, 1, 2001)
    curve = de_casteljau(points, u)
    squares = oracles.squared_distances(curve, size)
    where = squares.argmin(0)
    speed = np.linalg.norm(np.gradient(curve, u, axis=0), axis=1)
    return np.sqrt(squares.min(0)), u[where], speed[where]


def test_published_stroke_gives_published_splat():
    picture = splat_points(STROKE, WIDTH)
    np.testing.assert_allclose(picture[25, 5], 2.35346, atol=1e-5)
    np.testing.assert_allclose(picture[26, 26], 3.136867, atol=1e-5)
    np.testing.assert_allclose(picture[29, 44], 3.68851, atol=1e-5)
    np.testing.assert_allclose(picture.max(), 6.1966, atol=1e-4)
    np.testing.assert_allclose(picture.sum(), 628.3185, atol=2e-3)


@pytest.mark.parametrize(("size", "num_samples"), [((50, 50), 100), ((40, 80), 64)])
def test_sample_well_inside_the_frame_adds_the_area_of_its_gaussian(size, num_samples):
    width = 0.025
    expected = num_samples * 2 * np.pi * (size[0] * width) * (size[1] * width)
    picture = splat_points(STROKE, jnp.float32(width), size, num_samples)
    np.testing.assert_allclose(picture.sum(), expected, rtol=1e-5)


def test_golden_splats_and_their_gradients(golden):
    points, width = jnp.asarray(golden["raster/points"]), jnp.asarray(golden["raster/rho"])
    raw, pull_back = jax.vjp(jax.vmap(splat_points), points, width)
    assert_close_to_largest(raw, golden["raster/raw"], 3e-5)
    d_points, d_width = pull_back(jnp.asarray(golden["raster/cotangent"]))
    assert_close_to_largest(d_points, golden["raster/d_points"], 1.5e-4)
    assert_close_to_largest(d_width, golden["raster/d_rho"], 1.5e-4)


@pytest.mark.parametrize("num_points", [2, 3, 7])
@pytest.mark.parametrize("size", [(50, 50), (28, 28), (37, 64)])
@pytest.mark.parametrize("brush", BRUSHES)
def test_brush_is_its_direct_sum_at_any_degree_and_size(brush, size, num_points):
    points = np.random.default_rng(num_points).uniform(0, 1, (num_points, 2)).astype(np.float32)
    curve = de_casteljau(points, np.linspace(0, 1, 40))
    if brush is brushes.splat:
        expected = oracles.splat(curve, 0.03, size)
    else:
        expected = oracles.splat(curve, 0.015, size) ** 0.25
    picture = brush(bezier.curve(jnp.asarray(points), 40), jnp.float32(0.03), size)
    assert picture.shape == size
    assert_close_to_largest(picture, expected, 3e-5)


@pytest.mark.parametrize("brush", BRUSHES)
def test_direction_of_a_stroke_does_not_show(brush):
    there, back = (brush(bezier.curve(points, 50), WIDTH, SIZE) for points in (STROKE, STROKE[::-1]))
    assert_close_to_largest(there, back, 1e-5)


@pytest.mark.parametrize("offset", [0.0, 0.9, 3.0, 1e4])
@pytest.mark.parametrize("width", [0.005, 0.04])
@pytest.mark.parametrize("brush", BRUSHES)
def test_picture_and_gradients_are_finite_wherever_the_curve_lies(brush, width, offset):
    def ink(curve, width):
        return brush(curve, width, SIZE).sum()

    for points in (STROKE + offset, np.full((5, 2), 0.4 + offset, np.float32)):
        curve = bezier.curve(jnp.asarray(points), 64)
        total, gradients = jax.value_and_grad(ink, argnums=(0, 1))(curve, jnp.float32(width))
        assert np.isfinite(total)
        assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("brush", BRUSHES)
def test_curve_far_outside_the_frame_leaves_no_mark(brush):
    picture = brush(bezier.curve(STROKE + np.float32(3), 64), WIDTH, SIZE)
    np.testing.assert_allclose(picture, 0, atol=1e-9)


@pytest.mark.parametrize("brush", BRUSHES)
def test_curve_of_a_wrong_shape_is_refused(brush):
    with pytest.raises(AssertionError):
        brush(jnp.zeros((2, 64, 2)), jnp.float32(0.02), SIZE)


@pytest.mark.parametrize("points", [ARC, HOOK, STROKE])
def test_soft_distance_marks_like_the_true_distance(points):
    """Samples lie 0.6 to 1.9 pen widths apart, so that the fourth root of their density is near 1."""
    width = 0.02
    distance, u, _ = nearest(points)
    away_from_the_ends = (u > 0.1) & (u < 0.9)
    expected = np.exp(-(distance**2) / (2 * width**2))
    error = np.abs(soft_points(points, width) - expected)[away_from_the_ends]
    assert error.max() < 0.3  # measured 0.27, 0.18, 0.19


@pytest.mark.parametrize("width", [0.02, 0.03, 0.04])
@pytest.mark.parametrize("points", [ARC, HOOK, STROKE])
def test_soft_distance_is_the_true_distance_but_for_the_fourth_root_of_the_density(points, width):
    """Neighbouring samples δ apart add up to √(2π) (w/2) / δ Gaussians; what remains is curvature."""
    distance, u, speed = nearest(points)
    away_from_the_ends = (u > 0.1) & (u < 0.9)
    density = (np.sqrt(2 * np.pi) * width / 2 / (speed / 63)) ** 0.25
    expected = np.exp(-(distance**2) / (2 * width**2)) * density
    error = np.abs(soft_points(points, width) - expected)[away_from_the_ends]
    assert error.max() < 0.06  # measured 0.045 at most, where the bent stroke is wide


def test_soft_distance_to_a_line_of_even_samples_is_exact():
    line = [(-0.5, 0.31), (1.5, 0.31)]
    rows = np.arange(50) / 50
    density = (np.sqrt(2 * np.pi) * 0.02 / (2 / 199)) ** 0.25
    expected = np.exp(-((rows - 0.31) ** 2) / (2 * 0.04**2)) * density
    picture = soft_points(line, 0.04, num_samples=200)
    np.testing.assert_allclose(picture, np.broadcast_to(expected[:, None], SIZE), atol=2e-5)


def test_soft_distance_is_even_along_a_curve_of_very_uneven_speed_where_splat_is_not():
    """The speed grows more than fivefold along the stretch looked at, where true distance gives ink 1."""
    curve = bezier.curve(jnp.array(SPEEDING), 64)
    width, slope = jnp.float32(0.04), jnp.float32(0.5)
    splat = compositing.squash(compositing.max_normalise(brushes.splat(curve, width, SIZE)), slope)
    soft = compositing.squash_to_one(brushes.soft_distance(curve, width, SIZE), slope)
    along = (25, slice(8, 43))  # x from 0.16 to 0.84
    assert splat[along].max() > 4 * splat[along].min()  # measured 4.5
    np.testing.assert_allclose(soft[along], 1, atol=0.05)  # measured 0.035


def test_soft_distance_varies_with_the_fourth_root_of_what_splat_varies_with():
    curve = bezier.curve(jnp.array(SPEEDING), 64)
    along = (25, slice(8, 43))
    splat = brushes.splat(curve, jnp.float32(0.04), SIZE)[along]
    soft = brushes.soft_distance(curve, jnp.float32(0.04), SIZE)[along]
    speeds = 2.4 * np.cbrt((np.array([0.16, 0.84]) - 0.1) / 0.8) ** 2
    expected = (speeds[1] / speeds[0]) ** 0.25
    np.testing.assert_allclose(soft.max() / soft.min(), expected, rtol=0.05)
    assert splat.max() / splat.min() > 5
