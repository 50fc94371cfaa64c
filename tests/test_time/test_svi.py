"""Optimised posteriors: a better bound of the same image, and still a bound."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
import scipy.stats

from dood_jax import geometry
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.model.drawing import prior_log_probs, replay
from dood_jax.model.families import CANVAS_SLOPE, INK_SLOPE, INK_WIDTH
from dood_jax.objectives import iwae
from dood_jax.objectives.elbo import elbo
from dood_jax.rendering import compositing
from dood_jax.test_time import svi
from dood_jax.types import StrokeLatents


@pytest.fixture(scope="module")
def drawings(draw, lively, images, keys):
    return draw(lively, images, keys)


def replayed(config, params, strokes, brush):
    """The ink of given strokes, and their log-probabilities under the prior."""
    found = replay(config, params, strokes, brush)
    return found.ink, prior_log_probs(config, params, found.contexts, strokes, brush)


def test_replaying_a_drawing_gives_its_ink_and_its_prior(tiny, lively, drawings):
    """`draw` takes log-probabilities of strokes as it finds them; `replay` is told them."""
    again = functools.partial(replayed, tiny, lively)
    ink, prior = jax.jit(jax.vmap(again))(drawings.strokes, drawings.brush)
    assert 0 < drawings.strokes.presence.mean() < 1
    np.testing.assert_allclose(ink, drawings.ink, atol=1e-5)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-3)
    jax.tree_util.tree_map(close, prior, drawings.prior)


@pytest.fixture(scope="module")
def posteriors(tiny, lively, images, drawings, keys):
    optimize = functools.partial(svi.optimize_posterior, tiny, lively, num_steps=60)
    return jax.device_get(jax.jit(jax.vmap(optimize))(images, drawings.strokes, drawings.brush, keys))


@pytest.mark.slow
def test_the_bound_rises_and_the_strokes_are_counted_as_before(
    tiny, lively, images, drawings, posteriors, keys
):
    canvases = compositing.composite(drawings.ink.sum(1), drawings.brush.canvas_slope[:, None, None])
    errors = np.abs(images - canvases).sum((1, 2))
    weigh = functools.partial(iwae.log_weights, tiny, lively, num_particles=8)
    before = jax.jit(jax.vmap(weigh))(images, keys)
    weigh = functools.partial(svi.optimized_log_weights, tiny, lively, num_particles=8)
    after = jax.jit(jax.vmap(weigh))(images, posteriors, keys)
    rise = after.elbo("map").mean(1) - before.elbo("map").mean(1)
    assert np.mean(rise) > 20
    assert np.mean(after.l1) < np.mean(errors)
    np.testing.assert_array_equal(posteriors.presence, drawings.strokes.presence)
    np.testing.assert_array_equal(after.strokes, np.repeat(posteriors.presence.sum(1)[:, None], 8, 1))


def test_brushes_stay_in_range_and_strokes_that_are_not_drawn_stay_put(posteriors, drawings):
    for brush, (low, high) in zip(
        posteriors.gaussians.brush[:3], (INK_WIDTH, INK_SLOPE, CANVAS_SLOPE), strict=True
    ):
        assert np.all((brush >= np.float32(low)) & (brush <= np.float32(high)))
    absent = posteriors.presence == 0
    assert absent.any()
    placed = jax.vmap(geometry.place_strokes)(drawings.strokes.layout, drawings.strokes.control_points)
    np.testing.assert_allclose(posteriors.gaussians.points.mean[absent], placed[absent], atol=1e-5)


def in_frames(layout: np.ndarray, points: np.ndarray) -> np.ndarray:
    """[T, P, 2] points of the canvas in their strokes' frames, by complex numbers."""
    x, y, scale, angle = np.float64(layout).T[:, :, None]
    framed = ((2 * points[..., 0] - 1 - x) + 1j * (2 * points[..., 1] - 1 - y)) * np.exp(-1j * angle) / scale
    return np.float32((np.stack([framed.real, framed.imag], -1) + 1) / 2)


def test_a_certain_posterior_weighs_a_drawing_by_its_joint_density(tiny, lively, images, posteriors):
    """With hardly any width the particles are the mean drawing; the density of q is SciPy's."""
    posterior = jax.tree_util.tree_map(lambda leaf: leaf[0], posteriors)
    posterior = posterior._replace(presence=np.array([1, 1, 0], np.float32))
    width = 1e-6
    narrow = lambda gaussian: Gaussian(gaussian.mean, np.full_like(gaussian.mean, width))
    gaussians = posterior.gaussians
    gaussians = gaussians._replace(layout=narrow(gaussians.layout), points=narrow(gaussians.points))
    posterior = posterior._replace(gaussians=gaussians)
    image = images[0]
    weigh = functools.partial(svi.optimized_log_weights, tiny, lively, num_particles=64)
    found = jax.jit(weigh)(image, posterior, jax.random.key(3))
    layout = gaussians.layout.mean
    strokes = StrokeLatents(posterior.presence, layout, in_frames(layout, gaussians.points.mean))
    _, prior = jax.device_get(jax.jit(functools.partial(replayed, tiny, lively))(strokes, gaussians.brush))
    log_prior = (prior.on[0] + prior.on[1] + prior.off[2]) + sum(
        prior.layout[k] + prior.control_points[k] for k in range(2)
    )
    numbers = 2 * (4 + 2 * tiny.num_points)
    seen_larger = -2 * tiny.num_points * np.log(layout[:2, 2]).sum()  # in frames smaller than the canvas
    entropy = numbers * scipy.stats.norm(0, width).entropy() + seen_larger
    assert np.mean(found.log_ratio) == pytest.approx(
        float(log_prior) + entropy, abs=4 * np.sqrt(numbers / 128)
    )


def test_elbo_of_a_drawing_and_its_weight_agree(tiny, lively, images, keys, drawings):
    """`weights_of` against the bound of the same drawing, under both scales."""
    drawing = jax.tree_util.tree_map(lambda leaf: leaf[2], drawings)
    canvas = compositing.composite(drawing.ink.sum(0), drawing.brush.canvas_slope)
    found = iwae.log_weights_of(tiny, lively, images[2], canvas, elbo(drawing, 0.0), 3.0)
    for scale in ("map", "canvas"):
        model = dataclasses.replace(tiny, likelihood_scale=scale)
        likelihood = iwae.log_likelihood(model, lively, images[2], canvas)
        assert float(found.elbo(scale)) == pytest.approx(float(elbo(drawing, likelihood)), rel=1e-5)
    assert float(found.elbo("map")) != pytest.approx(float(found.elbo("canvas")), rel=1e-3)
