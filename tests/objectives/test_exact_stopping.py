"""The exact objective against the sum over stopping times, written out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax.model.drawing import first_pass
from dood_jax.objectives import exact_stopping
from dood_jax.objectives.elbo import elbo, log_likelihood
from dood_jax.objectives.exact_stopping import PrefixTerms

BETA = 4.0


@pytest.fixture(scope="module")
def drawings(draw, lively, images, keys):
    """Eight drawings of three strokes, all bits on."""
    return draw(lively, images, keys, hold_presence=True)


@pytest.fixture(scope="module")
def terms(tiny, lively, images, drawings) -> PrefixTerms:
    """Their prefix terms, [8, 4] each."""
    of_one = functools.partial(exact_stopping.prefix_terms, tiny, lively)
    return jax.device_get(jax.jit(jax.vmap(of_one))(images, drawings))


def random_terms() -> PrefixTerms:
    """Terms of one image with four strokes; log q and log p are those of real stop processes."""
    random = np.random.default_rng(3)
    on_q, on_p = random.uniform(0.2, 0.9, (2, 4))
    return PrefixTerms(
        log_likelihood=jnp.asarray(random.normal(-50, 20, 5), jnp.float32),
        kl=jnp.asarray(random.normal(10, 5, 5), jnp.float32),
        log_q=jnp.asarray(np.log(stopping_probabilities(on_q)), jnp.float32),
        log_p=jnp.asarray(np.log(stopping_probabilities(on_p)), jnp.float32),
    )


def stopping_probabilities(on) -> list:
    """q(k) for k = 0..T, multiplied out, of the probabilities of going on."""
    going_on, probabilities = 1.0, []
    for prob in on:
        probabilities.append(going_on * (1 - prob))
        going_on = going_on * prob
    return [*probabilities, going_on]


def truncate(drawing, count: int):
    """The drawing stopped after `count` strokes: bits and ink set by hand."""
    bits = (np.arange(drawing.strokes.presence.shape[0]) < count).astype(np.float32)
    strokes = drawing.strokes._replace(presence=bits)
    return drawing._replace(strokes=strokes, ink=drawing.ink * bits[:, None, None])


def final_canvas(drawing) -> np.ndarray:
    return np.tanh(drawing.ink.sum(0) / drawing.brush.canvas_slope)


def test_expected_elbo_is_the_sum_over_stopping_times_of_sampled_elbos(tiny, lively, images, drawings, terms):
    for i in range(2):
        drawing = jax.tree_util.tree_map(lambda leaf, i=i: leaf[i], drawings)
        total = 0.0
        for count, prob in enumerate(stopping_probabilities(np.exp(np.float64(drawing.posterior.on)))):
            stopped = truncate(drawing, count)
            likelihood = log_likelihood(tiny, lively, images[i], final_canvas(stopped))
            total += prob * float(elbo(stopped, likelihood))
        one = jax.tree_util.tree_map(lambda leaf, i=i: leaf[i], terms)
        np.testing.assert_allclose(exact_stopping.expected_elbo(one), total, rtol=1e-5)


def test_a_sampled_drawing_has_the_terms_of_its_stopping_time(
    tiny, lively, draw, images, keys, drawings, terms
):
    sampled = draw(lively, images, keys)
    counts = sampled.strokes.presence.sum(1).astype(int)
    assert {0, 3} < set(counts), "the keys must show drawings stopped at once, later and never"
    for i, count in enumerate(counts):
        drawing = jax.tree_util.tree_map(lambda leaf, i=i: leaf[i], sampled)
        likelihood = log_likelihood(tiny, lively, images[i], final_canvas(drawing))
        one = jax.tree_util.tree_map(lambda leaf, i=i, k=count: leaf[i, k], terms)
        expected = one.log_likelihood - one.kl + one.log_p - one.log_q
        np.testing.assert_allclose(elbo(drawing, likelihood), expected, rtol=1e-5)


def test_stopping_after_no_stroke_has_the_blank_canvas_and_no_kl(tiny, lively, images, terms):
    blank = np.zeros_like(images[0])
    for i in range(2):
        expected = log_likelihood(tiny, lively, images[i], blank)
        np.testing.assert_allclose(terms.log_likelihood[i, 0], expected, rtol=1e-6)
        assert terms.kl[i, 0] == 0


def test_surrogate_gradient_in_the_presence_network_is_that_of_the_enumerated_objective(
    tiny, lively, images, keys
):
    """E_q[log p_k / beta - KL_k + log p(k) - log q(k)] with the strokes as drawn."""

    def of_presence(network):
        """The logs of the probabilities of going on, and the terms."""
        mixed = {**lively, "posterior_presence": network}
        drawing = first_pass(tiny, mixed, images[0], keys[0], hold_presence=True)
        return drawing.posterior.on, exact_stopping.prefix_terms(tiny, mixed, images[0], drawing)

    def enumerated(on, fixed):
        total = 0.0
        for k, prob in enumerate(stopping_probabilities(jnp.exp(on))):
            gain = fixed.log_likelihood[k] / BETA - fixed.kl[k] + fixed.log_p[k]
            total += prob * (gain - jnp.log(prob))
        return total

    @jax.jit
    def gradients(network):
        """Both objectives' gradients in what they are made of, carried on to the network."""
        (on, terms), carry_on = jax.vjp(of_presence, network)
        zeros = jax.tree_util.tree_map(jnp.zeros_like, (on, terms))
        surrogate = zeros[0], jax.grad(exact_stopping.surrogate)(terms, 0.0, BETA)
        written_out = jax.grad(enumerated)(on, terms), zeros[1]
        both = jax.tree_util.tree_map(lambda *leaves: jnp.stack(leaves), surrogate, written_out)
        return jax.vmap(carry_on)(both)[0]

    both = gradients(lively["posterior_presence"])
    found, wanted = (jax.tree_util.tree_map(lambda leaf, k=k: leaf[k], both) for k in (0, 1))
    assert np.abs(wanted["out"]["bias"]).min() > 0.1
    for name in ("kernel", "bias"):
        scale = np.abs(wanted["out"][name]).max()
        np.testing.assert_allclose(found["out"][name], wanted["out"][name], rtol=1e-4, atol=1e-5 * scale)
        scale = np.abs(wanted["Dense_0"][name]).max()
        np.testing.assert_allclose(
            found["Dense_0"][name], wanted["Dense_0"][name], rtol=1e-4, atol=1e-5 * scale
        )


def test_path_weights_at_floor_one_are_uniform_over_drawn_strokes():
    gradient = jax.grad(exact_stopping.surrogate)(random_terms(), 1.0, BETA)
    np.testing.assert_allclose(gradient.log_likelihood, [0, 0.25, 0.25, 0.25, 0.25])


@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_path_weights_mix_the_posterior_with_the_uniform(floor):
    terms = random_terms()
    gradient = jax.grad(exact_stopping.surrogate)(terms, floor, BETA)
    weight = (1 - floor) * np.exp(terms.log_q) + floor * np.array([0, 0.25, 0.25, 0.25, 0.25])
    np.testing.assert_allclose(gradient.log_likelihood, weight, rtol=1e-6)
    np.testing.assert_allclose(gradient.kl, -weight, rtol=1e-6)
    np.testing.assert_allclose(gradient.log_p, weight, rtol=1e-6)


def test_path_term_sends_no_gradient_through_the_posterior_of_the_stop():
    """The gradient in log q(k) is q (gain - log q - 1), the stopping term's, whatever the floor."""
    terms = random_terms()
    q = np.exp(np.float64(terms.log_q))
    gain = terms.log_likelihood / BETA - terms.kl + terms.log_p
    for floor in (0.0, 0.5, 1.0):
        gradient = jax.grad(exact_stopping.surrogate)(terms, floor, BETA)
        np.testing.assert_allclose(gradient.log_q, q * (gain - terms.log_q - 1), rtol=2e-5)


def test_surrogate_with_beta_one_and_no_floor_has_the_gradient_of_the_expected_elbo():
    """Only then do path and stopping term belong to one function."""
    terms = random_terms()
    found = jax.grad(exact_stopping.surrogate)(terms, 0.0, 1.0)
    wanted = jax.grad(exact_stopping.expected_elbo)(terms)
    for name in terms._fields:
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-5)
