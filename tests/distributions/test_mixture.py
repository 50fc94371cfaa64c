"""Mixtures of diagonal Gaussians against SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp, softmax

from dood_jax.distributions.gaussian import (
    CorrelatedGaussian,
    CorrelatedMixture,
    Gaussian,
    Mixture,
    mixture_noise,
)

log_prob = jax.jit(Mixture.log_prob)

LAYOUT, STROKE = (6, 4), (5, 6, 2)  # one event; one for each of five points


def random_mixture(shape):
    random = np.random.default_rng(6)
    arrays = random.normal(size=shape[:-1]), random.normal(size=shape), random.uniform(0.1, 0.6, shape)
    return Mixture(*(jnp.asarray(array, jnp.float32) for array in arrays))


def random_value(shape):
    return np.random.default_rng(7).normal(size=(*shape[:-2], shape[-1])).astype(np.float32)


def component_log_probs(mixed, value):
    """[..., M] log of weight times density, in float64."""
    logits, mean, scale = (np.asarray(array, float) for array in mixed)
    log_weights = logits - logsumexp(logits, axis=-1, keepdims=True)
    return log_weights + stats.norm.logpdf(value[..., None, :], mean, scale).sum(-1)


def samples_of(mixed, count):
    keys = jax.random.split(jax.random.key(8), count)
    shape = (*mixed.mean.shape[:-2], mixed.mean.shape[-1])
    return np.asarray(jax.jit(jax.vmap(lambda key: mixed.sample(mixture_noise(key, shape))))(keys))


@pytest.mark.parametrize("shape", [LAYOUT, STROKE])
def test_log_prob_is_the_log_of_the_weighted_densities_summed_over_points(shape):
    mixed, value = random_mixture(shape), random_value(shape)
    expected = logsumexp(component_log_probs(mixed, value), axis=-1).sum()
    actual = log_prob(mixed, value)
    assert actual.shape == ()
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [LAYOUT, STROKE])
def test_gradient_pulls_every_component_by_its_responsibility(shape):
    mixed, value = random_mixture(shape), random_value(shape)
    responsibility = softmax(component_log_probs(mixed, value), axis=-1)
    pull = responsibility[..., None] * (value[..., None, :] - mixed.mean) / mixed.scale**2
    gradient = jax.jit(jax.grad(log_prob))(mixed, value)
    np.testing.assert_allclose(gradient.mean, pull, rtol=1e-4, atol=1e-4)
    weights = softmax(np.asarray(mixed.logits, float), axis=-1)
    np.testing.assert_allclose(gradient.logits, responsibility - weights, rtol=1e-4, atol=1e-5)


def test_mixture_of_one_component_is_a_gaussian():
    mixed, value = random_mixture((1, 4)), random_value((1, 4))
    expected = Gaussian(mixed.mean[0], mixed.scale[0]).log_prob(value)
    np.testing.assert_allclose(log_prob(mixed, value), expected, rtol=1e-6)


def test_only_differences_of_logits_count():
    mixed, value = random_mixture(LAYOUT), random_value(LAYOUT)
    shifted = mixed._replace(logits=mixed.logits + 30)
    np.testing.assert_allclose(log_prob(shifted, value), log_prob(mixed, value), rtol=1e-5, atol=1e-5)


def test_far_value_has_a_finite_log_prob_and_gradient():
    mixed, value = random_mixture(LAYOUT), np.full(4, 1e3, np.float32)
    expected = logsumexp(component_log_probs(mixed, value))
    actual, gradient = jax.jit(jax.value_and_grad(log_prob))(mixed, value)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in gradient)


def test_samples_follow_the_mixture():
    mixed = random_mixture(STROKE)
    samples = samples_of(mixed, 4000)
    weights, mean, scale = softmax(np.asarray(mixed.logits, float), axis=-1), mixed.mean, mixed.scale
    assert samples.shape == (4000, 5, 2)
    for point in range(5):
        for axis in range(2):
            parts = mean[point, :, axis], scale[point, :, axis]
            entries = samples[:, point, axis]
            expected = stats.norm.cdf(entries[:, None], *parts) @ weights[point]
            assert stats.kstest(expected, stats.uniform.cdf).pvalue > 1e-3


def test_axes_of_a_point_share_a_component_and_points_do_not():
    """Two far components, at (-9, -9) and (9, 9), for two points."""
    mean = jnp.broadcast_to(jnp.array([[-9.0, -9.0], [9.0, 9.0]]), (2, 2, 2))
    mixed = Mixture(jnp.zeros((2, 2)), mean, jnp.full((2, 2, 2), 0.1))
    sides = samples_of(mixed, 2000) > 0
    np.testing.assert_array_equal(sides[:, :, 0], sides[:, :, 1])
    assert abs(np.corrcoef(sides[:, 0, 0], sides[:, 1, 0])[0, 1]) < 0.09  # four standard errors


@pytest.mark.parametrize("family", [Mixture, CorrelatedMixture])
def test_a_temperature_raises_weights_to_its_inverse(family):
    """And leaves components where they are; at 1 nothing changes."""
    weights = np.array([0.6, 0.3, 0.1])
    components = CorrelatedGaussian(jnp.ones((3, 2)), jnp.ones((3, 2)), jnp.ones(3))
    given = (
        Mixture(jnp.log(weights), *components[:2])
        if family is Mixture
        else CorrelatedMixture(jnp.log(weights), components)
    )
    sharp = given.narrowed(jnp.ones(2), 0.5)
    np.testing.assert_allclose(softmax(sharp.logits), weights**2 / (weights**2).sum(), rtol=1e-5)
    np.testing.assert_array_equal(given.narrowed(jnp.ones(2)).logits, given.logits)
