"""The range map against SciPy's logistic function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from dood_jax.model.networks import bounded

RAW = np.linspace(-12, 12, 41, dtype=np.float32)


@pytest.mark.parametrize(("low", "high"), [(0.01, 1.0), (-0.8, 0.8), (0.1, 1.5)])
def test_range_map_is_a_scaled_logistic_function(low, high):
    np.testing.assert_allclose(bounded(RAW, low, high), low + (high - low) * expit(RAW), atol=1e-6)


def test_extreme_numbers_reach_the_ends_and_stay_finite():
    np.testing.assert_allclose(bounded(jnp.array([-1e6, 1e6]), -0.2, 1.2), [-0.2, 1.2], atol=1e-6)


def test_every_entry_has_its_own_range():
    low, high = np.array([-0.8, 0.25], np.float32), np.array([0.8, 1.0], np.float32)
    raw = np.array([[0, 0], [-1e3, 1e3]], np.float32)
    np.testing.assert_allclose(bounded(raw, low, high), [[0, 0.625], [-0.8, 1]], atol=1e-6)


def test_gradient_is_that_of_the_logistic_function_and_finite_at_the_ends():
    raw = np.concatenate([RAW, np.float32([-1e4, 1e4])])
    gradient = jax.vmap(jax.grad(lambda raw: bounded(raw, 0.25, 1.0)))(raw)
    np.testing.assert_allclose(gradient, 0.75 * expit(raw) * expit(-raw), rtol=1e-4, atol=1e-7)
