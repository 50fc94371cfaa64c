"""Bézier curves against repeated interpolation in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import LAYOUT, STROKE, assert_close, de_casteljau

from dood_jax import geometry


def random_points(num_points):
    return np.random.default_rng(num_points).uniform(-0.2, 1.2, (num_points, 2)).astype(np.float32)


@pytest.mark.parametrize("num_points", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("num_samples", [2, 33])
def test_curve_of_any_degree_is_repeated_interpolation(num_points, num_samples):
    points = random_points(num_points)
    expected = de_casteljau(points, np.linspace(0, 1, num_samples))
    np.testing.assert_allclose(geometry.bezier_curve(jnp.asarray(points), num_samples), expected, atol=1e-6)


def test_golden_curves(golden):
    curves = jax.vmap(lambda points: geometry.bezier_curve(points, 100))(golden["raster/points"])
    assert_close(curves, golden["raster/curve"], 1e-5)


def test_curve_runs_from_the_last_control_point_to_the_first():
    curve = geometry.bezier_curve(jnp.asarray(STROKE), 10)
    np.testing.assert_allclose(curve[0], STROKE[-1], atol=1e-7)
    np.testing.assert_allclose(curve[-1], STROKE[0], atol=1e-7)


def test_evenly_spaced_control_points_give_even_steps():
    line = np.linspace((0.1, 0.9), (0.7, 0.2), 6).astype(np.float32)
    expected = np.linspace((0.7, 0.2), (0.1, 0.9), 21)
    np.testing.assert_allclose(geometry.bezier_curve(jnp.asarray(line), 21), expected, atol=1e-6)


def test_moved_control_points_give_the_moved_curve():
    matrix, points = geometry.layout_to_matrix(LAYOUT), random_points(5)
    moved_first = geometry.bezier_curve(geometry.place_points(matrix, points), 30)
    moved_last = geometry.place_points(matrix, geometry.bezier_curve(jnp.asarray(points), 30))
    np.testing.assert_allclose(moved_first, moved_last, atol=1e-6)


@pytest.mark.parametrize("num_points", [2, 5, 7])
def test_basis_is_an_average_of_the_control_points(num_points):
    basis = geometry.bernstein_basis(num_points, 50)
    assert basis.shape == (50, num_points)
    assert (basis >= 0).all()
    np.testing.assert_allclose(basis.sum(1), 1, atol=1e-12)


def test_points_that_are_not_plane_are_refused():
    with pytest.raises(AssertionError):
        geometry.bezier_curve(jnp.zeros((5, 3)), 10)
