"""The sampled bound of one drawing against a loop over its strokes (method.md 6, 7)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax.model.drawing import draw_from_noise, prior_log_probs, replay
from dood_jax.model.recognition import stroke_noise
from dood_jax.objectives.elbo import elbo, log_likelihood, masked_log_prob
from dood_jax.objectives.exact_stopping import prefix_terms
from dood_jax.rendering.source_grid import bilinear, through, to_source_grid
from dood_jax.types import Drawing, StrokeLatents, StrokeLogProbs

T = 4


def bits_of(count: int) -> np.ndarray:
    return (np.arange(T) < count).astype(np.float32)


def random_log_probs(seed: int) -> StrokeLogProbs:
    random = np.random.default_rng(seed)
    on = random.uniform(0.1, 0.9, T)
    values = np.log(on), np.log(1 - on), random.normal(3, 2, T), random.normal(-1, 4, T)
    return StrokeLogProbs(*(jnp.asarray(value, jnp.float32) for value in values))


def log_prob_by_loop(log_probs: StrokeLogProbs, count: int) -> float:
    """method.md 6: a factor for every drawn stroke, then one for the stop unless all strokes are drawn."""
    total = 0.0
    for t in range(count):
        total += float(log_probs.on[t] + log_probs.layout[t] + log_probs.control_points[t])
    return total if count == T else total + float(log_probs.off[count])


def drawing_of(count: int) -> Drawing:
    strokes = StrokeLatents(jnp.asarray(bits_of(count)), jnp.zeros((T, 4)), jnp.zeros((T, 5, 2)))
    posterior, prior = random_log_probs(1), random_log_probs(2)
    return Drawing(strokes, brush=None, ink=None, posterior=posterior, prior=prior)


@pytest.mark.parametrize("count", range(T + 1))
def test_masked_log_prob_counts_drawn_strokes_and_the_stop(count):
    log_probs = random_log_probs(0)
    found = masked_log_prob(log_probs, jnp.asarray(bits_of(count)))
    np.testing.assert_allclose(found, log_prob_by_loop(log_probs, count), rtol=1e-5)


def test_a_full_drawing_has_no_stop_factor():
    """No log-probability of "off" enters it, and none of a stroke that is not there."""
    log_probs = random_log_probs(0)
    without_off = log_probs._replace(off=jnp.full(T, -1e9))
    full = jnp.ones(T)
    assert masked_log_prob(without_off, full) == masked_log_prob(log_probs, full)


def test_strokes_after_the_stop_enter_no_term():
    log_probs = random_log_probs(0)
    wild = jax.tree_util.tree_map(lambda value: value.at[2:].set(1e6), log_probs)
    wild = wild._replace(layout=log_probs.layout.at[1:].set(jnp.nan))
    bits = jnp.asarray(bits_of(1))
    assert masked_log_prob(wild, bits) == masked_log_prob(log_probs, bits)


@pytest.mark.slow
@pytest.mark.parametrize("stopping", ["sampled", "exact", "replayed"])
def test_final_stop_makes_the_prior_that_of_a_model_of_one_more_stroke(tiny, lively, images, stopping):
    """A drawing of T strokes, which a model of T + 1 strokes ends by itself."""
    noise = jax.vmap(lambda key: stroke_noise(key, tiny.num_points))(jax.random.split(jax.random.key(3), 3))
    longer = noise._replace(presence=jnp.array([-1.0, -1.0, 2.0]))
    shorter = jax.tree_util.tree_map(lambda leaf: leaf[:2], longer)
    ending = dataclasses.replace(tiny, final_stop=True)

    def log_prior(config, noise):
        hold = stopping == "exact"
        drawing = draw_from_noise(config, lively, images[0], noise, hold_presence=hold)
        if stopping == "exact":
            return prefix_terms(config, lively, images[0], drawing).log_p[2]
        if stopping == "sampled":
            return elbo(drawing, 0.0) + masked_log_prob(drawing.posterior, drawing.strokes.presence)
        replayed = replay(config, lively, drawing.strokes, drawing.brush)
        prior = prior_log_probs(config, lively, replayed.contexts, drawing.strokes, drawing.brush)
        return masked_log_prob(prior, drawing.strokes.presence, replayed.final_stop)

    run = jax.jit(log_prior, static_argnums=0)
    np.testing.assert_allclose(run(ending, shorter), run(tiny, longer), rtol=1e-5)
    assert abs(run(tiny, shorter) - run(tiny, longer)) > 1e-2


@pytest.mark.parametrize("count", range(T + 1))
def test_elbo_is_likelihood_plus_prior_less_posterior(count):
    drawing = drawing_of(count)
    wanted = 12.5 + log_prob_by_loop(drawing.prior, count) - log_prob_by_loop(drawing.posterior, count)
    np.testing.assert_allclose(elbo(drawing, jnp.float32(12.5)), wanted, rtol=1e-5)


def test_log_likelihood_is_the_laplace_density_under_the_map(tiny, lively, images):
    canvases = np.stack([images[1], images[2]])
    scale = 0.01 + 0.99 / (1 + np.exp(-np.float64(lively["likelihood"]["map"])))
    density = -np.abs(images[0] - canvases) / scale - np.log(2 * scale)
    found = log_likelihood(tiny, lively, images[0], jnp.asarray(canvases))
    np.testing.assert_allclose(found, density.sum((1, 2)), rtol=1e-5)


def test_whether_an_image_was_enlarged_costs_one_fair_bit(tiny, lively, images):
    """Of two models of how it was recorded, the bound has the one that holds, at half its probability."""
    either = dataclasses.replace(tiny, source_size=tiny.image_size // 2)
    resize = bilinear(either.source_size, tiny.image_size)
    enlarged = through(images[0][: either.source_size, : either.source_size], [resize, resize])
    canvas = jnp.asarray(images[1])
    held = to_source_grid(either.source_size, enlarged, canvas)
    for image, seen in ((enlarged, held), (jnp.asarray(images[0]), canvas)):
        found = log_likelihood(either, lively, image, canvas)
        apart = [log_likelihood(tiny, lively, image, one) - np.log(2) for one in (held, canvas)]
        np.testing.assert_allclose(found, log_likelihood(tiny, lively, image, seen) - np.log(2), rtol=1e-6)
        assert found <= np.logaddexp(*apart)
