"""Published one-shot scores: their start in closed form, their rise, parses without strokes, and mixtures."""

import functools

import jax
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from dood_jax.evaluation.one_shot import tokens
from dood_jax.objectives import elbo, iwae
from dood_jax.rendering import compositing


@pytest.fixture(scope="module")
def drawn(tiny, params):
    """A model, an image of a bar, and a drawing of it with its bound."""
    image = np.zeros((20, 20), np.float32)
    image[8:11, 3:16] = 1
    weigh = jax.jit(functools.partial(iwae.sample_particle, tiny))
    particles = (weigh(params, image, jax.random.key(seed)) for seed in range(20))
    return params, image, next(one for one in particles if one.drawing.strokes.presence.sum() > 1)


@pytest.fixture(scope="module")
def score(tiny, drawn):
    params, image, _ = drawn

    @functools.partial(jax.jit, static_argnums=(2, 3))
    def of(strokes, brush, num_steps, fix_rotation_units):
        return tokens.token_score(tiny, params, image, strokes, brush, num_steps, fix_rotation_units)

    return of


def test_the_score_begins_at_the_type_itself(tiny, drawn, score):
    params, image, particle = drawn
    strokes, brush = particle.drawing.strokes, particle.drawing.brush
    canvas = compositing.composite(particle.drawing.ink.sum(0), brush.canvas_slope)
    of_image = elbo.log_likelihood(tiny, params, image, canvas)
    numbers = strokes.control_points[0].size
    of_token = numbers * -np.log(0.001 * np.sqrt(2 * np.pi))  # a stroke
    assert float(score(strokes, brush, 0, False)) == pytest.approx(float(of_image) + of_token, rel=1e-4)


def test_fitting_raises_the_score(drawn, score):
    strokes, brush = drawn[2].drawing.strokes, drawn[2].drawing.brush
    start = score(strokes, brush, 0, True)
    assert float(score(strokes, brush, 30, True)) > float(start) + 1


def test_a_parse_without_strokes_has_no_chance(drawn, score):
    strokes, brush = drawn[2].drawing.strokes, drawn[2].drawing.brush
    nothing = strokes._replace(presence=np.zeros_like(strokes.presence))
    assert float(score(nothing, brush, 0, False)) == -np.inf


def test_the_joint_is_the_bound_without_the_posterior(tiny, drawn):
    params, image, particle = drawn
    posterior = elbo.masked_log_prob(particle.drawing.posterior, particle.drawing.strokes.presence)
    joint = functools.partial(tokens.log_joint, tiny, params, image)
    found = jax.jit(joint)(particle.drawing.strokes, particle.drawing.brush)
    assert float(found) == pytest.approx(float(particle.elbo + posterior), rel=1e-4)


def test_parses_mix_by_their_weights():
    rng = np.random.default_rng(0)
    scores, weights = rng.normal(size=(2, 4, 12)), 3 * rng.normal(size=(2, 4, 12))
    expected = logsumexp(scores + log_softmax(weights, -1), -1)
    np.testing.assert_allclose(tokens.over_parses(scores, weights), expected, rtol=1e-5)
    scores[..., 1:] = -np.inf
    assert np.isfinite(tokens.over_parses(scores, weights)).all()
