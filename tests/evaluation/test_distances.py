"""Distances between sets of images against SciPy, double loops and cases that are known."""

import numpy as np
import pytest
from scipy import linalg

from dood_jax.evaluation import fid


@pytest.fixture
def sets():
    random = np.random.default_rng(0)
    mixed = random.normal(size=(5, 5))
    return random.normal(size=(60, 5)) @ mixed, random.normal(0.4, 1.3, (50, 5)) @ mixed


def test_the_frechet_distance_is_that_of_the_matrix_square_root(sets):
    one, other = sets
    between = one.mean(0) - other.mean(0)
    sigma, sigma_other = np.cov(one.T), np.cov(other.T)
    root = linalg.sqrtm(sigma @ sigma_other).real
    wanted = between @ between + np.trace(sigma + sigma_other - 2 * root)
    assert fid.frechet_distance(one, other) == pytest.approx(wanted, rel=1e-6)


def test_the_frechet_distance_of_one_number_is_known():
    values = np.array([[-1.0], [1.0]])  # deviation √2
    assert fid.frechet_distance(values, 3 * values + 5) == pytest.approx(25 + 2 * (3 - 1) ** 2)


@pytest.mark.parametrize("same", [np.zeros((4, 3)), np.eye(4, 3)])
def test_a_set_is_at_no_distance_from_itself(same):
    assert fid.frechet_distance(same, same) == pytest.approx(0, abs=1e-7)


def test_the_kernel_distance_is_the_double_loop(sets):
    one, other = (each[:8] for each in sets)
    similar = lambda x, y: (x @ y / 5 + 1) ** 3
    within = lambda each: np.mean(
        [similar(x, y) for i, x in enumerate(each) for j, y in enumerate(each) if i != j]
    )
    between = np.mean([similar(x, y) for x in one for y in other])
    assert fid.kernel_distance(one, other) == pytest.approx(within(one) + within(other) - 2 * between)


def test_precision_and_recall_of_known_cases(sets):
    real = sets[0]
    assert fid.precision_and_recall(real, real) == (1, 1)
    assert fid.precision_and_recall(real, real + 1000) == (0, 0)
    collapsed = real[:1] + 1e-6 * np.random.default_rng(1).normal(size=(20, 5))
    precision, recall = fid.precision_and_recall(real, collapsed)
    assert precision == 1 and recall <= 0.1
    half_wild = np.concatenate([real[:30], real[:30] + 1000])
    assert fid.precision_and_recall(real, half_wild)[0] == 0.5


def test_the_nearest_image_is_the_nearest(monkeypatch):
    monkeypatch.setattr(fid, "_NEAREST_BATCH", 7)
    random = np.random.default_rng(0)
    gallery = random.integers(0, 256, (40, 6, 6)).astype(np.uint8)
    asked = random.uniform(size=(9, 6, 6)).astype(np.float32)
    asked[0] = gallery[33] / 255
    every = np.sqrt(((asked[:, None] - gallery[None] / 255) ** 2).sum((2, 3)))
    rows, apart = fid.nearest(asked, gallery)
    np.testing.assert_array_equal(rows, every.argmin(1))
    np.testing.assert_allclose(apart, every.min(1), atol=2e-3)
    assert rows[0] == 33
