"""The stop process against the enumeration of all bits, and single bits against SciPy."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close
from scipy import special

from dood_jax.distributions import presence


@jax.jit
def bernoulli_log_prob(prob, bit):
    """Of a bit, by the clamped probability."""
    on, off = presence.clamped_log_probs(prob)
    return jnp.where(bit > 0, on, off)


log_prob = jax.jit(presence.log_prob)

PROBABILITIES = [0.9, 0.35, 0.7, 0.2]
EPSILON = 2.0**-23


def log_on_off(probabilities):
    probabilities = np.asarray(probabilities)
    return jnp.asarray(np.log(probabilities)), jnp.asarray(np.log1p(-probabilities))


def drawings(probabilities):
    """{presence: probability}: every outcome of T coins, counted up to the first tail."""
    outcomes = {}
    for coins in itertools.product([0, 1], repeat=len(probabilities)):
        chance = math.prod(p if coin else 1 - p for p, coin in zip(probabilities, coins, strict=True))
        bits = tuple(np.cumprod(coins).tolist())
        outcomes[bits] = outcomes.get(bits, 0) + chance
    return outcomes


@pytest.mark.parametrize("num_strokes", [1, 3, 4])
def test_log_prob_of_every_drawing_is_that_of_its_coins(num_strokes):
    probabilities = PROBABILITIES[:num_strokes]
    outcomes = drawings(probabilities)
    assert len(outcomes) == num_strokes + 1
    total = 0
    for bits, chance in outcomes.items():
        log_probs = log_prob(*log_on_off(probabilities), jnp.array(bits, jnp.float32))
        np.testing.assert_allclose(log_probs.sum(), math.log(chance), rtol=1e-5)
        total += np.exp(log_probs.sum())
    np.testing.assert_allclose(total, 1, rtol=1e-6)


@pytest.mark.parametrize("num_strokes", [1, 3, 4])
def test_stopping_log_probs_are_those_of_the_number_of_strokes(num_strokes):
    probabilities = PROBABILITIES[:num_strokes]
    chances = {sum(bits): chance for bits, chance in drawings(probabilities).items()}
    actual = presence.stopping_log_probs(*log_on_off(probabilities))
    expected = np.log([chances[k] for k in range(num_strokes + 1)])
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7)


def test_stop_factor_counts_once_and_is_absent_when_all_strokes_are_drawn():
    on, off = log_on_off(PROBABILITIES)
    stopped = log_prob(on, off, jnp.array([1.0, 0, 0, 0]))
    np.testing.assert_array_equal(stopped, [on[0], off[1], 0, 0])
    np.testing.assert_array_equal(log_prob(on, off, jnp.ones(4)), on)


@pytest.mark.parametrize("num_strokes", [1, 3])
def test_final_stop_is_the_coin_after_the_last_stroke(num_strokes):
    """Drawings of at most T strokes among all outcomes of T + 1 coins."""
    outcomes = drawings(PROBABILITIES[: num_strokes + 1])
    on, off = log_on_off(PROBABILITIES[: num_strokes + 1])
    by_count = presence.stopping_log_probs(on[:-1], off[:-1], off[-1])
    for bits, chance in outcomes.items():
        if not bits[-1]:
            log_probs = log_prob(on[:-1], off[:-1], jnp.array(bits[:-1], jnp.float32), off[-1])
            np.testing.assert_allclose(log_probs.sum(), math.log(chance), rtol=1e-5)
            np.testing.assert_allclose(by_count[sum(bits)], math.log(chance), rtol=1e-5)


def test_steps_after_the_stop_have_no_gradient():
    def total(logits):
        return log_prob(*presence.log_probs(logits), jnp.array([1.0, 0, 0, 0])).sum()

    logits = np.array([0.3, -1.2, 2, 0.1], np.float32)
    expected = [special.expit(-0.3), -special.expit(-1.2), 0, 0]
    np.testing.assert_allclose(jax.jit(jax.grad(total))(logits), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("bits", "mask"), [([1, 1, 1], [1, 1, 1]), ([1, 0, 0], [1, 1, 0]), ([0, 0, 0], [1, 0, 0]), ([1], [1])]
)
def test_mask_keeps_the_steps_up_to_the_first_off(bits, mask):
    np.testing.assert_array_equal(presence.mask_of(jnp.array(bits, jnp.float32)), mask)


def test_log_probs_of_logits_are_exact_in_both_tails():
    logits = np.array([-200, -30, -1, 0, 2, 30, 200], np.float32)
    on, off = presence.log_probs(logits)
    np.testing.assert_allclose(on, special.log_expit(logits.astype(float)), rtol=1e-6, atol=1e-38)
    np.testing.assert_allclose(off, special.log_expit(-logits.astype(float)), rtol=1e-6, atol=1e-38)


def test_golden_bernoulli_log_probs_and_gradients(golden):
    prob, bit = jnp.asarray(golden["bernoulli/prob"]), jnp.asarray(golden["bernoulli/bit"])
    assert_close(bernoulli_log_prob(prob, bit), golden["bernoulli/logp"], 1e-5)
    gradient = jax.jit(jax.grad(lambda prob: bernoulli_log_prob(prob, bit).sum()))(prob)
    assert_close(gradient, golden["bernoulli/d_prob"], 1e-5)


def test_bernoulli_log_prob_is_the_log_of_the_probability():
    prob = np.array([0.001, 0.3, 0.5, 0.98], np.float32)
    np.testing.assert_allclose(bernoulli_log_prob(prob, jnp.ones(4)), np.log(prob), rtol=1e-6)
    np.testing.assert_allclose(bernoulli_log_prob(prob, jnp.zeros(4)), np.log1p(-prob), rtol=1e-6)


@pytest.mark.parametrize(("prob", "bit"), [(0, 1), (1e-9, 1), (1, 0), (1 - EPSILON / 2, 0)])
def test_bernoulli_log_prob_is_clamped_with_gradient_zero(prob, bit):
    value, gradient = jax.value_and_grad(bernoulli_log_prob)(jnp.float32(prob), jnp.float32(bit))
    np.testing.assert_allclose(value, math.log(EPSILON), rtol=1e-6)  # -15.94
    assert gradient == 0
