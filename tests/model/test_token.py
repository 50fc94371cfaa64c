"""Tokens: golden vectors, the published self-check, and a product of elementary maps."""

import jax
import numpy as np
import pytest
from oracles import STROKE, assert_close

from dood_jax import geometry
from dood_jax.model.variation import EXEMPLAR, ONE_SHOT, token_matrix, token_params

PARAMS = np.float32([0.1, 0.2, 1.1, 0.9, 0.3, 0.2, -0.1])


@pytest.mark.parametrize(
    ("name", "ranges"),
    [("exemplar", EXEMPLAR), ("oneshot", ONE_SHOT)],
    ids=["exemplar", "one-shot"],
)
def test_golden_params(golden, name, ranges):
    found = jax.vmap(lambda raw: token_params(raw, ranges))(golden["token/raw"])
    assert_close(found, golden[f"token/params_{name}"], 1e-5)


def test_golden_matrices_and_moved_points(golden):
    matrices = jax.vmap(token_matrix)(golden["token/params"])
    assert_close(matrices, golden["token/matrix"], 1e-5)
    assert_close(
        jax.vmap(geometry.place_points)(matrices, golden["token/points"]), golden["token/moved"], 1e-5
    )


def test_published_stroke_goes_where_it_is_said_to_go():
    moved = geometry.place_points(token_matrix(PARAMS), STROKE)
    np.testing.assert_allclose(moved[0], [0.118345, 0.641696], atol=2e-6)
    np.testing.assert_allclose(moved[-1], [0.999193, 0.64835], atol=2e-6)


@pytest.mark.parametrize("turned", [False, True])
def test_a_map_scales_then_turns_then_shears_then_shifts(turned):
    shift_x, shift_y, scale_x, scale_y, angle, shear_x, shear_y = np.float64(PARAMS)
    angle = angle if turned else np.deg2rad(angle)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    along_x, along_y = np.array([[1, shear_x], [0, 1]]), np.array([[1, 0], [shear_y, 1]])
    product = along_x @ along_y @ turn @ np.diag([scale_x, scale_y])
    found = token_matrix(PARAMS, turned)
    np.testing.assert_allclose(found, np.column_stack([product, [shift_x, shift_y]]), atol=1e-6)


@pytest.mark.parametrize("ranges", [EXEMPLAR, ONE_SHOT])
def test_raw_zeros_leave_a_drawing_unmoved(ranges):
    matrix = token_matrix(token_params(np.zeros(7, np.float32), ranges))
    np.testing.assert_allclose(matrix, [[1, 0, 0], [0, 1, 0]], atol=1e-6)
