"""The K-particle bound: arithmetic, golden values, and a latent variable that can be summed out."""

import functools
import itertools

import jax
import numpy as np
import pytest

from dood_jax.objectives import iwae

P_Z = np.array([0.4, 0.3, 0.2, 0.08, 0.02])  # prior of a discrete latent
P_X = np.array([0.1, 0.02, 0.3, 0.9, 0.6])  # likelihood of the one datum
Q_Z = np.array([0.3, 0.3, 0.2, 0.1, 0.1])  # a posterior that is a little wrong
LOG_WEIGHTS = np.log(P_Z * P_X / Q_Z)
LOG_EVIDENCE = np.log((P_Z * P_X).sum())


def log_mean_exp(values) -> np.ndarray:
    return np.log(np.mean(np.exp(np.float64(values)), axis=0))


def expected_bound(num_particles: int) -> float:
    """E[log-mean-exp of K log-weights], over all K-tuples of the latent."""
    total = 0.0
    for tuple_ in itertools.product(range(len(Q_Z)), repeat=num_particles):
        chosen = list(tuple_)
        total += Q_Z[chosen].prod() * log_mean_exp(LOG_WEIGHTS[chosen])
    return total


def test_log_mean_exp_is_the_logarithm_of_the_mean():
    values = np.random.default_rng(0).normal(0, 3, (7, 5)).astype(np.float32)
    np.testing.assert_allclose(iwae.log_mean_exp(values), log_mean_exp(values), rtol=1e-5)


def test_log_mean_exp_stands_thousands_of_nats():
    values = np.array([[7000.0], [7001.0], [-9000.0]], np.float32)
    wanted = 7001 + np.log((1 + np.exp(-1)) / 3)
    np.testing.assert_allclose(iwae.log_mean_exp(values), [wanted], rtol=1e-7)


def test_one_particle_is_its_own_bound():
    assert iwae.log_mean_exp(np.array([-12.25], np.float32)) == -12.25


def test_effective_samples_of_equal_weights_is_their_number():
    values = np.full((20, 3), [7000.0, 0.0, -50.0], np.float32)
    np.testing.assert_allclose(iwae.effective_samples(values), 20, rtol=1e-5)


def test_effective_samples_of_one_dominant_weight_is_one():
    values = np.array([500.0, 100.0, -3.0], np.float32)
    np.testing.assert_allclose(iwae.effective_samples(values), 1, rtol=1e-6)


def test_effective_samples_between_the_extremes():
    weights = np.random.default_rng(1).uniform(0.1, 3, (9, 4))
    wanted = weights.sum(0) ** 2 / (weights**2).sum(0)
    found = iwae.effective_samples(np.log(weights).astype(np.float32))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    assert np.all((found > 1) & (found < 9))


@pytest.mark.parametrize("model", ["M", "MT"])
def test_golden_elbo_of_images_is_the_log_mean_exp_over_particles(golden_dir, model):
    with np.load(golden_dir / f"forward_{model}.npz") as arrays:
        particles, images = arrays["elbo"], arrays["elbo_image"]
    np.testing.assert_allclose(iwae.log_mean_exp(particles), images, rtol=1e-6)
    assert np.all(np.abs(particles.mean(0) - images) > 1e-3), "the particles must differ to show anything"


@pytest.mark.parametrize("group", ["objective1", "objective3"])
def test_golden_objective_of_images_is_the_log_mean_exp_over_particles(golden, group):
    terms = {name: golden[f"{group}/{name}"] for name in ("loglik", "elbo_image")}
    latents = ("on", "layout", "stroke")
    prior, posterior = (
        sum(golden[f"{group}/log{which}_{name}"].sum(-1) for name in latents) for which in "pq"
    )
    for call in range(3):
        found = iwae.log_mean_exp((terms["loglik"] + prior - posterior)[call])
        np.testing.assert_allclose(found, terms["elbo_image"][call], rtol=1e-5, atol=1e-3)


def test_bound_in_expectation_lies_below_the_evidence_and_tightens_with_particles():
    bounds = [expected_bound(num_particles) for num_particles in (1, 2, 4)]
    assert bounds[0] < bounds[1] < bounds[2] < LOG_EVIDENCE
    assert LOG_EVIDENCE - bounds[0] > 0.1


@pytest.mark.parametrize("num_particles", [1, 4])
def test_estimates_average_to_their_enumerated_expectation(num_particles):
    random = np.random.default_rng(2)
    chosen = random.choice(len(Q_Z), size=(num_particles, 20_000), p=Q_Z)
    estimates = np.asarray(iwae.log_mean_exp(LOG_WEIGHTS[chosen].astype(np.float32)))
    error = estimates.std() / np.sqrt(estimates.size)
    assert abs(estimates.mean() - expected_bound(num_particles)) < 4 * error


def test_estimate_with_many_particles_converges_to_the_evidence():
    num_particles = 100_000
    chosen = np.random.default_rng(3).choice(len(Q_Z), size=num_particles, p=Q_Z)
    relative = np.exp(LOG_WEIGHTS - LOG_EVIDENCE)
    error = np.sqrt((Q_Z * (relative - 1) ** 2).sum() / num_particles)
    estimate = iwae.log_mean_exp(LOG_WEIGHTS[chosen].astype(np.float32))
    assert abs(estimate - LOG_EVIDENCE) < 4 * error < 0.02


def test_weights_are_those_of_particles_weighed_one_by_one(tiny, lively, images):
    image, key = images[0], jax.random.key(5)
    found = jax.jit(functools.partial(iwae.log_weights, tiny, num_particles=4))(lively, image, key)
    weigh = jax.jit(functools.partial(iwae.sample_particle, tiny))
    particles = [weigh(lively, image, one) for one in jax.random.split(key, 4)]
    np.testing.assert_allclose(found.elbo("map"), [particle.elbo for particle in particles], rtol=1e-5)
    counts = [particle.drawing.strokes.presence.sum() for particle in particles]
    np.testing.assert_array_equal(found.strokes, counts)
    errors = [np.abs(image - particle.canvas).sum() for particle in particles]
    np.testing.assert_allclose(found.l1, errors, rtol=1e-5)
    assert len(set(found.elbo("map").tolist())) > 2
