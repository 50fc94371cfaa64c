"""The field's basis has the covariance of the prior, and knows maps that the prior allows."""

import numpy as np
import pytest

from dood_jax.evaluation.one_shot import registration
from dood_jax.evaluation.one_shot.registration import FieldPrior

NOTHING = FieldPrior(shift=0, linear=0, smooth=0, stroke_shift=0, stroke_linear=0, jitter=0)
CROSS = registration.of_curves([np.array([[0.1, 0.5], [0.9, 0.5]]), np.array([[0.5, 0.2], [0.5, 0.8]])], 20)


def covariance(prior, rank=20):
    basis = registration.basis(CROSS, prior, rank)
    flat = basis.reshape(-1, basis.shape[-1])
    return flat @ flat.T


def test_shifts_alone_move_everything_alike():
    np.testing.assert_allclose(covariance(NOTHING._replace(shift=0.3)), 0.09, rtol=1e-3)


def test_linear_maps_move_points_by_where_they_are():
    ends = CROSS.ends.reshape(-1, 2)
    np.testing.assert_allclose(covariance(NOTHING._replace(linear=0.5)), 0.25 * ends @ ends.T, atol=1e-3)


def test_strokes_move_apart_from_each_other():
    found = covariance(NOTHING._replace(stroke_shift=0.2))
    stroke = CROSS.stroke.repeat(2)
    np.testing.assert_allclose(found, 0.04 * (stroke[:, None] == stroke), atol=1e-4)


def test_a_smooth_field_fades_with_distance():
    found = covariance(NOTHING._replace(smooth=0.3, smooth_reach=0.7))
    ends = CROSS.ends.reshape(-1, 2)
    square = ((ends[:, None] - ends) ** 2).sum(-1)
    np.testing.assert_allclose(found, 0.09 * np.exp(-square / 0.98), atol=2e-3)


def test_jitter_fades_along_the_stroke_and_not_across():
    found = covariance(NOTHING._replace(jitter=0.1, jitter_reach=0.6))
    stroke, place = CROSS.stroke.repeat(2), CROSS.place.reshape(-1)
    square = (place[:, None] - place) ** 2
    expected = 0.01 * np.exp(-square / 0.72) * (stroke[:, None] == stroke)
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_fewer_dimensions_keep_the_most_likely_displacements():
    whole, kept = (np.trace(covariance(FieldPrior(), rank)) for rank in (20, 8))
    assert 0.9 * whole < kept < whole


@pytest.mark.parametrize("curve", [np.full((2, 2), 0.4), np.array([[0.1, 0.1], [0.9, 0.9]])])
def test_dots_and_lines_have_a_field(curve):
    assert np.isfinite(registration.basis(registration.of_curves([curve], 12), FieldPrior(), 28)).all()
