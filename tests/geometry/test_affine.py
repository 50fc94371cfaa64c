"""Layouts as affine maps against NumPy products of a shift, a scale and a turn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import LAYOUT, assert_close, matrix_of

from dood_jax import geometry

LAYOUTS = [
    (0.2, -0.3, 0.5, 0.4),
    (0, 0, 1, 0),
    (-0.8, 0.7, 0.25, -0.78),
    (0.1, 0.5, 1.3, 2.9),
    (0, 0.6, 2, -3),
]


def as_float32(values):
    return jnp.asarray(values, jnp.float32)


def random_points(*shape):
    return np.random.default_rng(0).uniform(-1, 1, (*shape, 2)).astype(np.float32)


def homogeneous(matrix):
    return np.concatenate([np.asarray(matrix, float), [[0, 0, 1]]])


def test_published_layout_gives_published_matrix():
    expected = [(0.46053, -0.194709, 0.2), (0.194709, 0.46053, -0.3)]
    np.testing.assert_allclose(geometry.layout_to_matrix(LAYOUT), expected, atol=1e-6)


@pytest.mark.parametrize("layout", [*LAYOUTS, (0.3, -0.2, -0.7, 0.5)])
def test_layout_turns_then_scales_then_shifts(layout):
    np.testing.assert_allclose(geometry.layout_to_matrix(as_float32(layout)), matrix_of(layout), atol=1e-6)


def test_positive_angle_turns_right_to_down():
    quarter = geometry.layout_to_matrix(as_float32([0, 0, 1, np.pi / 2]))
    np.testing.assert_allclose(geometry.transform(quarter, as_float32([1, 0])), [0, 1], atol=1e-6)


def test_golden_matrices_inverses_and_moved_points(golden):
    matrix = jax.jit(jax.vmap(geometry.layout_to_matrix))(golden["affine/layout"])
    assert_close(matrix, golden["affine/matrix"], 1e-5)
    assert_close(jax.jit(jax.vmap(geometry.invert))(matrix), golden["affine/inverse"], 1e-5)
    moved = jax.jit(jax.vmap(geometry.place_points))(matrix, golden["affine/points"])
    assert_close(moved, golden["affine/moved"], 1e-5)


@pytest.mark.parametrize("matrix", [[(2, 1, 0.3), (-0.5, 0.7, -2)], [(0, 1, 5), (3, 0, 1)]])
def test_invert_is_the_inverse_of_any_affine_map(matrix):
    expected = np.linalg.inv(homogeneous(matrix))[:2]
    np.testing.assert_allclose(geometry.invert(as_float32(matrix)), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layout", [*LAYOUTS, (0.3, -0.2, -0.7, 0.5)])
def test_inverse_brings_points_back(layout):
    matrix, points = geometry.layout_to_matrix(as_float32(layout)), random_points(7)
    back = geometry.transform(geometry.invert(matrix), geometry.transform(matrix, points))
    np.testing.assert_allclose(back, points, atol=5e-6)


def test_singular_map_has_no_finite_inverse():
    flat = geometry.layout_to_matrix(as_float32([0.1, 0.2, 0, 0.3]))
    assert not np.isfinite(geometry.invert(flat)).any()


def test_strokes_are_placed_by_their_layouts_and_found_in_their_frames_again():
    layouts, points = as_float32(LAYOUTS), random_points(len(LAYOUTS), 5)
    placed = geometry.place_strokes(layouts, points)
    for one, layout, given in zip(placed, layouts, points, strict=True):
        wanted = geometry.place_points(geometry.layout_to_matrix(layout), given)
        np.testing.assert_allclose(one, wanted, atol=1e-6)
    np.testing.assert_allclose(geometry.in_stroke_frames(layouts, placed), points, atol=1e-5)
    identity = np.broadcast_to(geometry.IDENTITY_LAYOUT, layouts.shape)
    np.testing.assert_allclose(geometry.place_strokes(identity, points), points, atol=1e-6)


def test_transform_moves_points_with_any_leading_axes():
    points = random_points(3, 4)
    matrix = matrix_of(LAYOUT)
    expected = points @ matrix[:, :2].T + matrix[:, 2]
    np.testing.assert_allclose(geometry.transform(as_float32(matrix), points), expected, atol=1e-6)


def test_place_points_acts_about_the_centre_of_the_unit_square():
    matrix = geometry.layout_to_matrix(as_float32([0.4, -0.2, 0.5, 0]))
    placed = geometry.place_points(matrix, as_float32([(0.5, 0.5), (0, 0), (1, 0)]))
    np.testing.assert_allclose(placed, [(0.7, 0.4), (0.45, 0.15), (0.95, 0.15)], atol=1e-6)


def test_layout_of_a_wrong_shape_is_refused():
    with pytest.raises(AssertionError):
        geometry.layout_to_matrix(jnp.zeros((2, 4)))
