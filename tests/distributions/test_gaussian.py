"""Diagonal Gaussians over one event against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from dood_jax.distributions.gaussian import Gaussian

log_prob = jax.jit(Gaussian.log_prob)


@jax.jit
def sample_and_log_prob(distribution, key):
    noise = jax.random.normal(key, distribution.mean.shape)
    return distribution.sample_and_log_prob(noise)


SHAPES = [(4,), (5, 2)]


def random_gaussian(shape):
    random = np.random.default_rng(2)
    mean, scale = random.normal(size=shape), random.uniform(0.01, 0.5, shape)
    return Gaussian(jnp.asarray(mean, jnp.float32), jnp.asarray(scale, jnp.float32))


def samples_of(distribution, count):
    keys = jax.random.split(jax.random.key(4), count)
    return jax.jit(jax.vmap(lambda key: sample_and_log_prob(distribution, key)))(keys)


@pytest.mark.parametrize("shape", SHAPES)
def test_log_prob_sums_the_densities_of_all_entries(shape):
    distribution = random_gaussian(shape)
    value = np.random.default_rng(5).normal(size=shape).astype(np.float32)
    actual = log_prob(distribution, value)
    assert actual.shape == ()
    np.testing.assert_allclose(actual, stats.norm.logpdf(value, *distribution).sum(), rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_sample_comes_with_its_own_log_prob(shape):
    distribution = random_gaussian(shape)
    samples, log_probs = samples_of(distribution, 10)
    assert samples.shape == (10, *shape)
    expected = stats.norm.logpdf(samples, *distribution).reshape(10, -1).sum(1)
    np.testing.assert_allclose(log_probs, expected, rtol=1e-4, atol=1e-4)


def test_samples_are_standard_normal_and_independent_once_whitened():
    distribution = random_gaussian((4,))
    whitened = (np.asarray(samples_of(distribution, 4000)[0]) - distribution.mean) / distribution.scale
    for entry in whitened.T:
        assert stats.kstest(entry, stats.norm.cdf).pvalue > 1e-3
    np.testing.assert_allclose(np.corrcoef(whitened.T), np.eye(4), atol=0.06)  # four standard errors


def test_sample_is_reparametrised():
    distribution, key = random_gaussian((5, 2)), jax.random.key(0)

    def total(distribution):
        return sample_and_log_prob(distribution, key)[0].sum()

    sample, _ = sample_and_log_prob(distribution, key)
    gradient = jax.jit(jax.grad(total))(distribution)
    np.testing.assert_allclose(gradient.mean, 1, rtol=1e-6)
    noise = (sample - distribution.mean) / distribution.scale
    np.testing.assert_allclose(gradient.scale, noise, rtol=1e-4, atol=1e-4)
