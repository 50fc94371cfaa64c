"""NVIL: golden objectives, and its gradient against the sum over all sequences of bits."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close

from dood_jax.config.model import ModelConfig
from dood_jax.config.resolving import PRESETS
from dood_jax.model import dood
from dood_jax.model.drawing import draw, draw_from_noise
from dood_jax.model.recognition import stroke_noise
from dood_jax.objectives import exact_stopping, iwae, nvil

BETA = 4.0
SMALL = {"num_strokes": 3, "image_size": 20, "curve_samples": 12, "features": 16, "components": 3}


@pytest.mark.parametrize("group", ["objective1", "objective3"])
def test_golden_losses_of_three_calls(golden, group):
    arrays = {name.split("/")[1]: value for name, value in golden.items() if name.startswith(f"{group}/")}
    divergence = sum(arrays[f"logq_{z}"] - arrays[f"logp_{z}"] for z in ("on", "layout", "stroke"))
    inputs = arrays["loglik"], divergence, arrays["logq_on"], arrays["baseline"], arrays["mask"]
    assemble = functools.partial(nvil.assemble, beta=BETA)
    terms = jax.vmap(jax.vmap(jax.vmap(assemble)))(*inputs)
    assert_close(terms.cost, arrays["R"], 1e-5)
    moments = nvil.fresh_moments()
    for call in range(3):
        one = jax.tree_util.tree_map(lambda leaf, call=call: leaf[call], terms)
        signals, _ = nvil.normalise(moments, nvil.signal(one), one.mask)
        loss, (losses, moments) = nvil.batch_loss(one, moments)
        assert_close(signals, arrays["S"][call], 1e-5)
        assert_close(losses.total, arrays["loss_particle"][call], 1e-5)
        assert_close(iwae.log_mean_exp(one.elbo), arrays["elbo_image"][call], 1e-5)
        np.testing.assert_allclose(loss, arrays["loss_image"][call].mean(), rtol=1e-5)
        np.testing.assert_allclose(
            moments[:2], [arrays[f"signal_{m}"][call] for m in ("mean", "var")], rtol=1e-5
        )


@pytest.fixture(scope="module", params=["fast", "published"])
def small(request) -> tuple[ModelConfig, dict]:
    """A model of three strokes of either preset, with parameters that leave no output constant."""
    config = ModelConfig(
        preset=request.param, unroll=1, **{**PRESETS[request.param].get("model", {}), **SMALL}
    )
    init = lambda key: {**dood.init(config, key), **nvil.init_baseline(config, key)}
    params = jax.device_get(jax.jit(init)(jax.random.key(0)))
    random = np.random.default_rng(0)
    moved = jax.tree_util.tree_map(
        lambda leaf: leaf + 0.1 * random.normal(size=leaf.shape).astype(np.float32), params
    )
    moved["posterior_presence"]["out"]["bias"] = np.full(1, 0.5, np.float32)
    moved["baseline"]["out"]["kernel"] = 300 * moved["baseline"]["out"]["kernel"]
    return config, moved


def with_presence(params: dict, network: dict) -> dict:
    return {**params, "posterior_presence": network}


@pytest.fixture(scope="module")
def gradients(small, images):
    """Whether there is a final stop -> two programs of (presence network, beta, weight of its terms).

    The first gives the gradient of the loss of every stopping time, its signal not normalised, with the
    probability, the bits and the baseline of that time; the second the gradient of E_q[Σ d - log p / β].
    """

    @functools.cache
    def programs(final_stop: bool):
        config, params = dataclasses.replace(small[0], final_stop=final_stop), small[1]
        count, image = config.num_strokes, images[0]
        noise_keys = jax.random.split(jax.random.key(5), count)
        noise = jax.vmap(lambda key: stroke_noise(key, config.num_points))(noise_keys)

        def expected_cost(network, beta, presence_weight):
            whole = with_presence(params, network)
            drawing = draw_from_noise(config, whole, image, noise, hold_presence=True)
            prefixes = exact_stopping.prefix_terms(config, whole, image, drawing)
            divergence = prefixes.kl + presence_weight * (prefixes.log_q - prefixes.log_p)
            return (jnp.exp(prefixes.log_q) * (divergence - prefixes.log_likelihood / beta)).sum()

        def sampled_loss(network, beta, presence_weight, strokes):
            whole = with_presence(params, network)
            forced = noise._replace(presence=jnp.where(jnp.arange(count) < strokes, -1.0, 2.0))
            drawing = draw_from_noise(config, whole, image, forced)
            terms = nvil.terms(config, whole, image, drawing, beta, presence_weight)
            loss = nvil.losses(terms, nvil.signal(terms)).reinforce
            return loss, (jnp.exp(terms.log_q_presence.sum()), drawing.strokes.presence, terms.value)

        of_one = jax.grad(sampled_loss, has_aux=True)
        each = jax.vmap(of_one, in_axes=(None, None, None, 0))
        sampled = lambda *given: each(*given, jnp.arange(count + 1))
        return jax.jit(sampled), jax.jit(jax.grad(expected_cost))

    return programs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("beta", "presence_weight", "final_stop"),
    [(BETA, 1.0, False), (1.0, BETA, False), pytest.param(BETA, 1.0, True, marks=pytest.mark.slow)],
)
def test_gradient_is_that_of_the_expected_cost_over_all_sequences_of_bits(
    small, gradients, beta, presence_weight, final_stop
):
    """Their probabilities and costs are written out for every stopping time."""
    network, count = small[1]["posterior_presence"], small[0].num_strokes
    sampled, expected = gradients(final_stop)
    found, (probabilities, bits, values) = sampled(network, beta, presence_weight)
    np.testing.assert_array_equal(bits.sum(1), np.arange(count + 1))
    np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-5)
    assert probabilities.min() > 0.01 and np.abs(values[-1]).min() > 1, "the test must have something to see"
    averaged = jax.tree_util.tree_map(lambda leaf: jnp.tensordot(probabilities, leaf, 1), found)
    exact = expected(network, beta, presence_weight)
    for found, wanted in zip(*map(jax.tree_util.tree_leaves, (averaged, exact)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3 * np.abs(wanted).max())


def random_terms(shape: tuple[int, ...]) -> nvil.Terms:
    random = np.random.default_rng(1)
    mask = (random.uniform(size=shape) < 0.7).astype(np.float32)
    draw = lambda *axes: random.normal(0, 5, axes).astype(np.float32)
    cost, value, log_q = (mask * draw(*shape) for _ in range(3))
    return nvil.Terms(draw(*shape[:-1]), draw(*shape[:-1]), log_q, cost, value, mask)


def test_moments_are_those_of_the_whole_batch_on_any_number_of_devices():
    terms = random_terms((1, 4, 3))
    moments = nvil.Moments(jnp.float32(2), jnp.float32(30), jnp.int32(5))
    signals, after = nvil.normalise(moments, nvil.signal(terms), terms.mask)
    parts = nvil.signal(terms).reshape(2, 1, 2, 3), terms.mask.reshape(2, 1, 2, 3)
    split = jax.pmap(functools.partial(nvil.normalise, axis_name="d"), "d", in_axes=(None, 0, 0))
    signals_split, after_split = split(moments, *parts)
    np.testing.assert_allclose(signals_split.reshape(1, 4, 3), signals, rtol=1e-5)
    for one, other in zip(after, after_split, strict=True):
        np.testing.assert_allclose(other, np.broadcast_to(one, 2), rtol=1e-5)


@pytest.mark.slow
def test_baseline_learns_from_the_cost_and_nothing_else_does(small, images, keys):
    config, params = small

    def loss(params):
        drawing = draw(config, params, images[0], keys[0])
        terms = nvil.terms(config, params, images[0], drawing, BETA)
        return nvil.losses(terms, nvil.signal(terms)).baseline

    gradient = jax.jit(jax.grad(loss))(params)
    for name, network in gradient.items():
        learns = any(np.any(leaf != 0) for leaf in jax.tree_util.tree_leaves(network))
        assert learns == (name in ("baseline", "baseline_rnn")), name
