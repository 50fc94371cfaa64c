"""Refined posteriors: a better bound of the same picture, and still a bound."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dood_jax.distributions.gaussian import Gaussian
from dood_jax.model import dood
from dood_jax.networks import heads
from dood_jax.objective import importance, refined
from dood_jax.objective.elbo import elbo
from dood_jax.rendering import compositing
from dood_jax.types import BrushParams


@pytest.fixture(scope="module")
def drawings(draw, lively, pictures, keys):
    return draw(lively, pictures, keys)


def test_retracing_a_drawing_gives_its_ink_and_its_prior(tiny, lively, drawings):
    """`draw` weighs strokes as it finds them; `retrace` is told them."""

    def again(strokes, brush):
        found = dood.retrace(tiny, lively, strokes, brush)
        return found.ink, dood.weigh_under_prior(tiny, lively, found.situations, strokes)

    ink, prior = jax.jit(jax.vmap(again))(drawings.strokes, drawings.brush)
    assert 0 < drawings.strokes.presence.mean() < 1
    np.testing.assert_allclose(ink, drawings.ink, atol=1e-5)
    for found, wanted in zip(prior, drawings.prior, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-3)


@pytest.fixture(scope="module")
def posteriors(tiny, lively, pictures, drawings, keys):
    refine = functools.partial(refined.refine_posterior, tiny, lively, num_steps=60)
    return jax.device_get(jax.jit(jax.vmap(refine))(pictures, drawings.strokes, drawings.brush, keys))


def test_the_bound_rises_and_the_strokes_are_counted_as_before(
    tiny, lively, pictures, drawings, posteriors, keys
):
    canvases = compositing.composite(drawings.ink.sum(1), drawings.brush.canvas_slope[:, None, None])
    errors = np.abs(pictures - canvases).sum((1, 2))
    before = jax.vmap(functools.partial(importance.weights, tiny, lively, num_particles=8))(pictures, keys)
    weigh = functools.partial(refined.refined_weights, tiny, lively, num_particles=8)
    after = jax.jit(jax.vmap(weigh))(pictures, posteriors, keys)
    rise = after.elbo("map").mean(1) - before.elbo("map").mean(1)
    assert np.mean(rise) > 20
    assert np.mean(after.l1) < np.mean(errors)
    np.testing.assert_array_equal(posteriors.presence, drawings.strokes.presence)
    np.testing.assert_array_equal(after.strokes, np.repeat(posteriors.presence.sum(1)[:, None], 8, 1))


def test_pens_stay_in_range_and_strokes_that_are_not_drawn_stay_put(posteriors, drawings):
    for pen, (low, high) in zip(
        posteriors.brush, (heads.INK_WIDTH, heads.INK_SLOPE, heads.CANVAS_SLOPE), strict=True
    ):
        assert np.all((pen >= np.float32(low)) & (pen <= np.float32(high)))
    absent = posteriors.presence == 0
    assert absent.any()
    np.testing.assert_allclose(
        posteriors.control_points.mean[absent], drawings.strokes.control_points[absent], atol=1e-5
    )


def test_a_certain_posterior_weighs_a_drawing_by_its_joint_density(tiny, lively, pictures, posteriors):
    """With hardly any width the particles are the mean drawing; the density of q is SciPy's."""
    posterior = jax.tree_util.tree_map(lambda leaf: leaf[0], posteriors)
    posterior = posterior._replace(presence=np.array([1, 1, 0], np.float32))
    width = 1e-6
    narrow = lambda gaussian: Gaussian(gaussian.mean, np.full_like(gaussian.mean, width))
    posterior = posterior._replace(
        layout=narrow(posterior.layout), control_points=narrow(posterior.control_points)
    )
    image = pictures[0]
    found = refined.refined_weights(tiny, lively, image, posterior, jax.random.key(3), 64)
    strokes = dood.StrokeLatents(posterior.presence, posterior.layout.mean, posterior.control_points.mean)
    retraced = dood.retrace(tiny, lively, strokes, posterior.brush)
    prior = dood.weigh_under_prior(tiny, lively, retraced.situations, strokes)
    log_prior = (prior.on[0] + prior.on[1] + prior.off[2]) + sum(
        prior.layout[k] + prior.control_points[k] for k in range(2)
    )
    numbers = 2 * (4 + 2 * tiny.num_points)
    entropy = numbers * scipy.stats.norm(0, width).entropy()
    assert np.mean(found.log_ratio) == pytest.approx(
        float(log_prior) + entropy, abs=4 * np.sqrt(numbers / 128)
    )


def test_weights_without_likelihood_average_to_the_probability_of_the_bits(tiny, lively):
    """E_q[p(z) / q(z)] is p(first stroke on): the importance weights are a proper density ratio."""
    config = dataclasses.replace(tiny, num_strokes=1, num_points=2)
    params = jax.jit(functools.partial(dood.init, config))(jax.random.key(1))
    mean = lambda *shape: jnp.broadcast_to(jnp.float32(0.5), shape)
    posterior = refined.RefinedPosterior(
        presence=jnp.ones(1),
        layout=Gaussian(jnp.array([[0.0, 0.0, 0.6, 0.0]]), jnp.array([[0.8, 0.8, 0.6, 0.8]])),
        control_points=Gaussian(mean(1, 2, 2), jnp.full((1, 2, 2), 0.8)),
        brush=BrushParams(jnp.full(1, 0.03), jnp.full(1, 0.5), jnp.float32(0.9)),
    )
    weigh = jax.jit(functools.partial(refined.refined_weights, config, params, num_particles=1000))
    blank = jnp.zeros((config.image_size, config.image_size))
    ratios = np.concatenate(
        [np.exp(weigh(blank, posterior, jax.random.key(seed)).log_ratio) for seed in range(20)]
    )
    on = jax.jit(functools.partial(dood.draw, config, params, num_strokes=1))(blank, jax.random.key(0))
    wanted, error = float(jnp.exp(on.prior.on[0])), ratios.std() / np.sqrt(len(ratios))
    assert error < 0.1 * wanted
    assert ratios.mean() == pytest.approx(wanted, abs=4 * error)


def test_elbo_of_a_drawing_and_its_weight_agree(tiny, lively, pictures, keys, drawings):
    """`weights_of` against the bound of the same drawing, under both scales."""
    drawing = jax.tree_util.tree_map(lambda leaf: leaf[2], drawings)
    canvas = compositing.composite(drawing.ink.sum(0), drawing.brush.canvas_slope)
    found = importance.weights_of(tiny, lively, pictures[2], canvas, elbo(drawing, 0.0), 3.0)
    for scale in ("map", "canvas"):
        model = dataclasses.replace(tiny, likelihood_scale=scale)
        likelihood = importance.log_likelihood(model, lively, pictures[2], canvas)
        assert float(found.elbo(scale)) == pytest.approx(float(elbo(drawing, likelihood)), rel=1e-5)
    assert float(found.elbo("map")) != pytest.approx(float(found.elbo("canvas")), rel=1e-3)
