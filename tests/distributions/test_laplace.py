"""The observation model against SciPy and the published sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close
from scipy import stats

from dood_jax.distributions import pixels
from dood_jax.model.networks import bounded

log_prob = jax.jit(pixels.laplace_log_prob)


def random_image(*shape):
    return np.random.default_rng(sum(shape)).uniform(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("canvas_axes", [(), (3,), (2, 3)])
def test_log_prob_sums_the_pixels_of_every_canvas(canvas_axes):
    image, canvas = random_image(9, 7), random_image(*canvas_axes, 9, 7)
    scale = 0.01 + random_image(9, 7)
    actual = log_prob(image, canvas, scale)
    assert actual.shape == canvas_axes
    np.testing.assert_allclose(actual, stats.laplace.logpdf(image, canvas, scale).sum((-2, -1)), rtol=1e-5)


def test_every_canvas_may_have_its_own_scale():
    image, canvas, scale = random_image(6, 6), random_image(3, 6, 6), 0.1 + random_image(3, 6, 6)
    expected = stats.laplace.logpdf(image, canvas, scale).sum((-2, -1))
    np.testing.assert_allclose(log_prob(image, canvas, scale), expected, rtol=1e-5)


def test_faithful_canvas_has_a_positive_log_prob():
    image = random_image(50, 50)
    expected = -2500 * np.log(2 * 0.01)
    np.testing.assert_allclose(log_prob(image, image, jnp.float32(0.01)), expected, rtol=1e-6)


def test_gradient_to_the_canvas_points_to_the_image():
    image, scale = random_image(9, 7), 0.1 + random_image(9, 7)
    canvas = np.roll(image, 1)
    gradient = jax.grad(log_prob, argnums=1)(jnp.asarray(image), jnp.asarray(canvas), scale)
    np.testing.assert_allclose(gradient, np.sign(image - canvas) / scale, rtol=1e-5)


def test_golden_likelihoods_under_the_map(golden):
    scale = bounded(golden["likelihood/raw_scale"], 0.01, 1.0)
    assert_close(scale, golden["likelihood/scale"], 1e-5)
    of_each = jax.vmap(log_prob, in_axes=(0, 0, None))
    assert_close(
        of_each(golden["likelihood/image"], golden["likelihood/canvas"], scale),
        golden["likelihood/laplace"],
        1e-5,
    )
