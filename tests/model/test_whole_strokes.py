"""Latent brushes and the prior of whole strokes, against SciPy, integrals and importance sampling."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from dood_jax.distributions.gaussian import Gaussian
from dood_jax.model import autoregressive_prior, brush_latents, dood
from dood_jax.model.drawing import draw, prior_log_probs, replay
from dood_jax.model.families import correlated_mixture
from dood_jax.model.networks import MaskedChain, PairChain
from dood_jax.model.sampling import noise_of_strokes, sample, sample_from_noise
from dood_jax.model.variation import complete_from_noise
from dood_jax.objectives.elbo import masked_log_prob
from dood_jax.types import BrushParams


@pytest.fixture(scope="module")
def config(tiny):
    return dataclasses.replace(tiny, prior="autoregressive", num_points=2, iterations=1)


@pytest.fixture(scope="module")
def params(config):
    """Parameters in which nothing is constant; densities whose means reach far have no gaps."""
    fresh = jax.device_get(jax.jit(functools.partial(dood.init, config))(jax.random.key(0)))
    random = np.random.default_rng(0)
    moved = jax.tree_util.tree_map(lambda x: x + 0.1 * random.normal(size=x.shape).astype(np.float32), fresh)
    near = lambda name: jax.tree_util.tree_map(lambda x: 0.2 * x, fresh[name])
    return {**moved, **{name: near(name) for name in ("prior_first_stroke", "prior_placement")}}


def test_a_pair_of_the_chain_depends_on_the_context_and_earlier_pairs_alone():
    chain, key = PairChain(num_pairs=4, hidden=8, outputs=3, reach=5.0), jax.random.key(0)
    context, pairs = jnp.ones(5), jax.random.normal(key, (4, 2))
    params = chain.init(key, [context], pairs)
    of_pairs = jax.jacobian(lambda pairs: chain.apply(params, [context], pairs))(pairs)
    depends = np.abs(of_pairs).max((1, 3)) > 1e-6
    np.testing.assert_array_equal(depends, np.tril(np.ones((4, 4)), -1) > 0)
    of_context = jax.jacobian(lambda context: chain.apply(params, [context], pairs))(context)
    assert (np.abs(of_context).max((1, 2)) > 1e-6).all()


def test_a_pair_of_a_first_stroke_depends_on_earlier_pairs_alone():
    chain, key = MaskedChain(num_pairs=4, hidden=8, outputs=3, reach=5.0), jax.random.key(0)
    pairs = jax.random.normal(key, (4, 2))
    params = chain.init(key, pairs)
    of_pairs = jax.jacobian(lambda pairs: chain.apply(params, pairs))(pairs)
    depends = np.abs(of_pairs).max((1, 3)) > 1e-6
    np.testing.assert_array_equal(depends, np.tril(np.ones((4, 4)), -1) > 0)


def test_the_mixture_of_a_pair_integrates_to_one():
    raw = jax.random.normal(jax.random.key(1), (18,))
    line = np.linspace(-6, 7, 521)
    grid = np.float32(np.stack(np.meshgrid(line, line), -1).reshape(-1, 2))
    density = np.exp(jax.jit(jax.vmap(correlated_mixture(raw, -0.2, 1.2).log_prob))(grid))
    assert np.float64(density).sum() * (line[1] - line[0]) ** 2 == pytest.approx(1, abs=1e-3)


def test_no_pair_is_all_but_impossible():
    """Whatever the network says, a mixture is at least a ten thousandth of a broad Gaussian (SciPy's)."""
    random = np.random.default_rng(0)
    broad = scipy.stats.multivariate_normal([0.5, 0.5], 0.35**2)
    log_prob = jax.jit(lambda raw, pair: correlated_mixture(raw, -0.2, 1.2).log_prob(pair))
    for size in (1, 100, 1e4):
        raw = np.float32(size * random.normal(size=18))
        for pair in np.float32([[0.5, 0.5], [-0.6, 1.7], [3, -2]]):
            assert log_prob(raw, pair) > np.log(1e-4) + broad.logpdf(pair) - 1e-2
    mixture = correlated_mixture(np.float32(1e4 * random.normal(size=18)), -0.2, 1.2)
    assert np.asarray(mixture.components.scale).max() <= np.float32(0.35)
    assert np.abs(np.asarray(mixture.components.coupling)).max() <= np.float32(0.35)


def test_numbers_out_of_reach_are_seen_at_its_edge():
    pairs = jax.random.normal(jax.random.key(0), (4, 2))
    for chain, context in (
        (PairChain(num_pairs=4, hidden=8, outputs=3, reach=0.5), [[jnp.ones(5)]]),
        (MaskedChain(num_pairs=4, hidden=8, outputs=3, reach=0.5), []),
    ):
        params = chain.init(jax.random.key(1), *context, pairs)
        seen = chain.apply(params, *context, pairs)
        np.testing.assert_array_equal(seen, chain.apply(params, *context, jnp.clip(pairs, -0.5, 0.5)))


def test_sampled_brushes_have_the_density_of_logarithms():
    """That of SciPy's log-normals, but for the slope of the logarithm; a taper is one already."""
    brush = BrushParams(np.float32([0.02, 0.01]), np.float32([0.3, 0.6]), np.float32(0.8), np.zeros((2, 2)))
    raw = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
    posterior = brush_latents.around(brush, raw, np.float32(0.3))
    noise = brush_latents.brush_noise(posterior, jax.random.key(2))
    found, log_probs = jax.jit(brush_latents.sample_all)(posterior, noise)
    widths = np.asarray(posterior.of_stroke.scale)
    of_log = lambda value, width, middle: (
        scipy.stats.lognorm(width, scale=middle).logpdf(value) + np.log(value)
    )
    wanted = of_log(found.ink_width, widths[:, 0], brush.ink_width)
    wanted += of_log(found.ink_slope, widths[:, 1], brush.ink_slope)
    wanted += scipy.stats.norm(0, widths[:, 2:]).logpdf(found.taper).sum(1)
    wanted[0] += of_log(found.canvas_slope, posterior.of_canvas.scale, brush.canvas_slope)
    np.testing.assert_allclose(log_probs, wanted, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("iterations", [0, 1])
def test_given_a_drawing_the_prior_is_what_it_was_when_it_was_drawn(config, params, images, keys, iterations):
    """The brush of strokes included, and the canvas slope with the first."""

    def both(image, key):
        drawn = draw(config, params, image, key, iterations=iterations)
        contexts = replay(config, params, drawn.strokes, drawn.brush).contexts
        return drawn, prior_log_probs(config, params, contexts, drawn.strokes, drawn.brush)

    drawn, again = jax.jit(jax.vmap(both))(images, keys)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-3)
    jax.tree_util.tree_map(close, again, drawn.prior)
    assert np.ptp(drawn.brush.ink_width) > 0 and np.ptp(drawn.brush.taper) > 0
    sums = jax.vmap(masked_log_prob)(drawn.prior, drawn.strokes.presence)
    by_hand = again.of_stroke - again.layout - again.control_points
    np.testing.assert_allclose(by_hand, again.brush, atol=1e-3)
    assert np.isfinite(sums).all()


@pytest.mark.parametrize("which", [0, 1])
def test_sampled_strokes_follow_the_density_that_is_charged_for_them(config, params, which, monkeypatch):
    """E over samples of g / p is 1, for a density g of some of a stroke's numbers that is narrower than p.

    Those are its layout, its points given that, and its brush given both.

    The first stroke has a density of its own, which its layout and the canvas slope belong to. No number is
    clipped here.
    """
    monkeypatch.setattr(autoregressive_prior, "_LARGEST_NUMBER", 100.0)
    num_samples = 20_000

    def one(params, key):
        strokes, brush = sample(config, params, None, key, which + 1)
        contexts = replay(config, params, strokes, brush).contexts
        log_p = prior_log_probs(config, params, contexts, strokes, brush)
        of_brush = brush_latents.stroke_numbers(brush)[which]
        if which == 0:
            of_brush = jnp.append(of_brush, brush_latents.canvas_number(brush))
        numbers = (strokes.layout[which], strokes.control_points[which].ravel(), of_brush)
        return numbers, (log_p.layout[which], log_p.control_points[which], log_p.brush[which])

    of_keys = jax.jit(jax.vmap(one, in_axes=(None, 0)))
    found = jax.device_get(of_keys(params, jax.random.split(jax.random.key(5), num_samples)))
    for values, log_p in zip(*found, strict=True):
        guess = Gaussian(values.mean(0), 0.7 * values.std(0))
        weights = np.exp(jax.vmap(guess.log_prob)(values) - log_p)
        error = weights.std() / np.sqrt(num_samples)
        assert error < 0.1
        assert weights.mean() == pytest.approx(1, abs=4 * error)


def test_a_drawing_that_is_begun_anew_has_the_canvas_slope_of_its_own_first_stroke(config, params):
    noise = noise_of_strokes(config, jax.random.key(3), 2)
    strokes, brush = sample_from_noise(config, params, None, noise)
    old = brush._replace(canvas_slope=jnp.float32(9.0))
    complete = functools.partial(complete_from_noise, config, params, strokes, old)
    _, anew = complete(jnp.int32(0), noise)
    assert anew.canvas_slope == pytest.approx(float(brush.canvas_slope))
    _, kept = complete(jnp.int32(1), noise)
    assert kept.canvas_slope == 9
