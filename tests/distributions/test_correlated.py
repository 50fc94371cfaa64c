"""Gaussians with a coupled first pair, and their mixtures: golden vectors, SciPy, samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close
from scipy import stats

from dood_jax.distributions.gaussian import CorrelatedGaussian, CorrelatedMixture, mixture_noise

PAIR = CorrelatedGaussian(jnp.array([0.2, -0.1]), jnp.array([0.3, 0.2]), jnp.array(0.25))


def covariance_of(one: CorrelatedGaussian) -> np.ndarray:
    """L L^T with L written out."""
    factor = np.diag(np.float64(one.scale))
    factor[1, 0] = one.coupling
    return factor @ factor.T


def drawn(mixture: CorrelatedMixture, keys: jax.Array) -> jax.Array:
    """A sample for each key."""
    mean = mixture.components.mean
    shape = (*mean.shape[:-2], mean.shape[-1])
    return jax.vmap(lambda key: mixture.sample(mixture_noise(key, shape)))(keys)


def test_published_log_density():
    """The self-check of the specification."""
    mean, scale = jnp.array([0, 0, 0.5, 0]), jnp.array([0.1, 0.2, 0.3, 0.4])
    gaussian = CorrelatedGaussian(mean, scale, jnp.array(0.05))
    found = gaussian.log_prob(jnp.array([0.1, -0.1, 0.6, 0.2]))
    np.testing.assert_allclose(found, 1.394727, atol=2e-6)


@pytest.mark.parametrize("group", ["gauss4", "gauss2"])
def test_golden_samples_and_log_densities(golden, group):
    parts = [golden[f"{group}/{name}"] for name in ("mean", "scale", "coupling", "eps", "other")]

    def one(mean, scale, coupling, noise, other):
        gaussian = CorrelatedGaussian(mean, scale, coupling)
        sample, log_density = gaussian.sample_and_log_prob(noise)
        return sample, log_density, gaussian.log_prob(other).sum()

    found = jax.jit(jax.vmap(one))(*parts)
    for value, name in zip(found, ("sample", "logp_sample", "logp_other"), strict=True):
        assert_close(value, golden[f"{group}/{name}"], 1e-5)


def test_log_density_is_that_of_the_covariance():
    values = np.random.default_rng(0).normal(0, 0.5, (20, 2))
    wanted = stats.multivariate_normal(PAIR.mean, covariance_of(PAIR)).logpdf(values)
    np.testing.assert_allclose(PAIR.log_prob(jnp.float32(values)), wanted, rtol=1e-5)


def test_samples_of_a_mixture_have_its_moments():
    """Two components; mean and covariance of the mixture by the law of total variance."""
    means = jnp.array([[0.2, -0.1], [-0.5, 0.4]])
    components = CorrelatedGaussian(means, jnp.array([[0.3, 0.2], [0.1, 0.3]]), jnp.array([0.25, -0.2]))
    weights = np.array([0.7, 0.3])
    mixture = CorrelatedMixture(jnp.log(weights), components)
    keys = jax.random.split(jax.random.key(0), 20000)
    samples = np.asarray(drawn(mixture, keys))
    each = [jax.tree_util.tree_map(lambda leaf, k=k: leaf[k], components) for k in (0, 1)]
    mean = weights @ np.asarray(means)
    apart = [np.outer(one.mean - mean, one.mean - mean) + covariance_of(one) for one in each]
    np.testing.assert_allclose(samples.mean(0), mean, atol=0.01)
    np.testing.assert_allclose(np.cov(samples.T), np.tensordot(weights, apart, 1), atol=0.01)


def test_points_of_a_mixture_choose_their_components_apart():
    """Two points, each in one of two far places: all four pairs occur."""
    mean = jnp.array([[[-9.0, -9.0], [9.0, 9.0]]] * 2)
    mixture = CorrelatedMixture(
        jnp.zeros((2, 2)), CorrelatedGaussian(mean, jnp.full((2, 2, 2), 0.1), jnp.zeros((2, 2)))
    )
    keys = jax.random.split(jax.random.key(1), 400)
    samples = np.asarray(drawn(mixture, keys))
    np.testing.assert_array_equal(samples[..., 0] > 0, samples[..., 1] > 0)
    pairs = (samples[..., 0] > 0) @ np.array([1, 2])
    assert np.bincount(pairs, minlength=4).min() > 60


def test_a_narrowed_mixture_has_covariances_times_the_factors_from_both_sides():
    """Published: the shifts' covariance times 0.01, other variances times 0.7."""
    scale = jnp.array([[0.3, 0.2, 0.5, 0.4]])
    mixture = CorrelatedMixture(jnp.zeros(1), CorrelatedGaussian(jnp.zeros((1, 4)), scale, jnp.array([0.25])))
    factor = jnp.array([0.1, 0.1, 0.7**0.5, 0.7**0.5])
    narrow = mixture.narrowed(factor)
    before, after = (
        covariance_of(jax.tree_util.tree_map(lambda leaf: leaf[0], one.components))
        for one in (mixture, narrow)
    )
    np.testing.assert_allclose(after[:2, :2], 0.01 * before[:2, :2], rtol=1e-5)
    np.testing.assert_allclose(np.diag(after)[2:], 0.7 * np.diag(before)[2:], rtol=1e-5)
    np.testing.assert_array_equal(narrow.logits, mixture.logits)
