"""Further looks: nothing changes before they have learned, and what they give is a posterior."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from dood_jax.model.parts import parts_of
from dood_jax.networks import heads
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.errors import BadInput
from dood_jax.model import dood, second_look
from dood_jax.model.dood import bind
from dood_jax.model.drawing import draw
from dood_jax.model.iterative_inference import IteratedPosterior, first_inference_state, sample
from dood_jax.objectives import iwae
from dood_jax.objectives.elbo import elbo, log_likelihood
from dood_jax.rendering import compositing
from dood_jax.types import BrushParams

LOOKS = 2


@pytest.fixture(scope="module")
def config(tiny) -> ModelConfig:
    return dataclasses.replace(tiny, iterations=LOOKS)


@pytest.fixture(scope="module")
def looking(config, lively) -> dict:
    """The lively model with a corrector that has learned nothing."""
    fresh = jax.device_get(jax.jit(functools.partial(dood.init, config))(jax.random.key(0)))
    return {**lively, "corrector": fresh["corrector"]}


@pytest.fixture(scope="module")
def lively_looks(looking) -> dict:
    """The lively model with a corrector that moves strokes."""
    out = looking["corrector"]["out"]
    kernel = 0.2 * jax.random.normal(jax.random.key(3), out["kernel"].shape)
    return {**looking, "corrector": {**looking["corrector"], "out": {**out, "kernel": np.asarray(kernel)}}}


@pytest.fixture(scope="module")
def first(draw, lively, images, keys):
    return draw(lively, images, keys)


@pytest.fixture(scope="module")
def again(config):
    return jax.jit(jax.vmap(functools.partial(dood.look_again, config), in_axes=(None, 0, 0, 0)))


def canvas_of(drawing) -> np.ndarray:
    return np.asarray(compositing.composite(drawing.ink.sum(0), drawing.brush.canvas_slope))


def canvases_of(drawing) -> np.ndarray:
    ink = np.asarray(drawing.ink).sum(1)
    return np.asarray(compositing.composite(ink, drawing.brush.canvas_slope[:, None, None]))


def test_before_it_has_learned_a_look_leaves_points_and_pens_where_they_are(
    config, looking, images, first, again, keys
):
    correct = jax.jit(jax.vmap(functools.partial(second_look.correct, config, looking)))
    correction = correct(images, first.strokes, first.brush)
    np.testing.assert_allclose(correction.layout.mean, first.strokes.layout, atol=1e-6)
    for found, wanted in zip(correction.brush, first.brush, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-2)
    second = again(looking, images, first, keys)
    np.testing.assert_array_equal(second.strokes.presence, first.strokes.presence)
    assert 0 < first.strokes.presence.mean() < 1
    drawn = first.strokes.presence > 0
    assert np.abs(second.strokes.layout - first.strokes.layout)[drawn].mean() > 0.03  # sampled anew, but
    np.testing.assert_allclose(canvases_of(second), canvases_of(first), atol=0.35)  # points stay
    assert np.abs(canvases_of(second) - canvases_of(first)).mean() < 0.01


def test_draw_looks_again_but_not_where_bits_are_held(config, looking, images, keys):
    """The first look has its own key."""
    params = jax.tree_util.tree_map(jnp.asarray, looking)
    image, key = images[0], keys[0]
    key_first, key_again = jax.random.split(key)
    without = dataclasses.replace(config, iterations=0)
    first = jax.jit(functools.partial(draw, without))(params, image, key_first)
    wanted = jax.jit(functools.partial(dood.look_again, config))(params, image, first, key_again)
    found = jax.jit(functools.partial(draw, config))(params, image, key)
    for ours, theirs in zip(*map(jax.tree_util.tree_leaves, (found, wanted)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    held = jax.jit(functools.partial(draw, config, hold_presence=True))(params, image, key)
    same = jax.jit(functools.partial(draw, without, hold_presence=True))(params, image, key)
    np.testing.assert_array_equal(held.strokes.control_points, same.strokes.control_points)


def test_looks_learn_to_draw_better(config, looking, images, first, keys):
    """Their bound rises over a few steps of Adam that move nothing but the corrector."""

    def bound(corrector, key):
        params = {**looking, "corrector": corrector}
        keys = jax.random.split(key, len(images))
        drawing = jax.vmap(functools.partial(dood.look_again, config, params))(images, first, keys)
        canvas = compositing.composite(drawing.ink.sum(1), drawing.brush.canvas_slope[:, None, None])
        likelihood = jax.vmap(functools.partial(log_likelihood, config, params))(images, canvas)
        return jax.vmap(elbo)(drawing, likelihood).mean()

    adam = optax.adam(1e-3)

    @jax.jit
    def step(corrector, state, key):
        value, gradient = jax.value_and_grad(lambda corrector: -bound(corrector, key))(corrector)
        updates, state = adam.update(gradient, state)
        return optax.apply_updates(corrector, updates), state, -value

    corrector, state, bounds = looking["corrector"], adam.init(looking["corrector"]), []
    for k in range(60):
        corrector, state, value = step(corrector, state, jax.random.key(k))
        bounds.append(value)
    assert np.mean(bounds[-5:]) > np.mean(bounds[:5]) + 20


def test_nothing_teaches_the_first_look(config, looking, images, keys):
    """Gradient goes to the corrector and the prior, not to what the drawing began with."""

    def value(params):
        first = draw(config, params, images[0], keys[0], hold_presence=True)
        drawing = dood.look_again(config, params, images[0], first, keys[1])
        return drawing.ink.sum() + elbo(drawing, 0.0)

    gradient = jax.jit(jax.grad(value))(looking)
    largest = {
        name: max(float(np.abs(leaf).max()) for leaf in jax.tree_util.tree_leaves(network))
        for name, network in gradient.items()
    }
    for name in ("corrector", "prior_layout", "prior_stroke", "prior_presence"):
        assert largest[name] > 0, name
    for name in ("posterior_presence", "posterior_layout", "posterior_stroke", "brush", "image_encoder"):
        assert largest[name] == 0, name


@pytest.mark.slow
def test_looks_before_draw_on_but_teach_nothing(config, lively_looks, images, first):
    """So many looks in a row end in one place; the gradient is that of the last from where they began."""
    image, strokes, brush = jax.tree_util.tree_map(lambda leaf: leaf[0], (images, first.strokes, first.brush))
    in_all = dataclasses.replace(config, iterations=LOOKS + 3)
    wanted = jax.jit(functools.partial(second_look.correct, in_all))(lively_looks, image, strokes, brush)
    found = jax.jit(functools.partial(second_look.correct, config))(
        lively_looks, image, strokes, brush, jnp.asarray(3)
    )
    for ours, theirs in zip(*map(jax.tree_util.tree_leaves, (found, wanted)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert np.abs(found.points.mean - second_look.place(strokes)).max() > 0.01

    def last_looks(params):
        guess = first_inference_state(config, strokes, brush)
        for k in range(3 + LOOKS):
            guess = lax.stop_gradient(guess) if k <= 3 else guess
            guess, _ = second_look.look(parts_of(config), bind(config, params), image, strokes, guess)
        return (guess.points**2).sum()

    def with_before(params):
        return (second_look.correct(config, params, image, strokes, brush, 3).points.mean ** 2).sum()

    slopes = [jax.jit(jax.grad(value))(lively_looks)["corrector"] for value in (with_before, last_looks)]
    for ours, theirs in zip(*map(jax.tree_util.tree_leaves, slopes), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    assert max(np.abs(leaf).max() for leaf in jax.tree_util.tree_leaves(slopes[0])) > 0.01


def test_several_samples_of_one_correction_weigh_as_one_by_one(config, lively_looks, images, keys):
    weigh = functools.partial(
        iwae.log_weights, config, lively_looks, num_particles=6, samples_per_posterior=3
    )
    found = jax.device_get(jax.jit(weigh)(images[0], keys[0]))
    without = dataclasses.replace(config, iterations=0)
    draw_one = jax.jit(functools.partial(draw, without, lively_looks))
    again = jax.jit(functools.partial(dood.look_again, config, lively_looks))
    wanted = []
    for key in jax.random.split(keys[0], 2):
        key_first, key_again = jax.random.split(key)
        first = draw_one(images[0], key_first)
        wanted += [again(images[0], first, key) for key in jax.random.split(key_again, 3)]
    strokes = [drawing.strokes.presence.sum() for drawing in wanted]
    np.testing.assert_array_equal(found.strokes, strokes)
    np.testing.assert_allclose(found.log_ratio, [elbo(one, 0.0) for one in wanted], rtol=1e-3)
    errors = [np.abs(images[0] - canvas).sum() for canvas in map(canvas_of, wanted)]
    np.testing.assert_allclose(found.l1, errors, rtol=1e-3)
    assert len(np.unique(found.log_ratio)) == 6


def test_samples_and_their_densities():
    """Layouts around their mean; control points around the points of the canvas, seen from each layout."""
    random = np.random.default_rng(5)
    count, num_points = 4, 5
    layout = np.array([0.1, -0.2, 0.7, 0.3]) + 0.1 * random.normal(size=(count, 4))
    points = random.uniform(0.2, 0.8, (count, num_points, 2))
    layout_width, point_width = (
        random.uniform(0.05, 0.1, (count, 4)),
        random.uniform(0.003, 0.03, points.shape),
    )
    correction = IteratedPosterior(
        Gaussian(jnp.float32(layout), jnp.float32(layout_width)),
        Gaussian(jnp.float32(points), jnp.float32(point_width)),
        BrushParams(0.0, 0.0, 0.0),
    )
    keys = jax.random.split(jax.random.key(0), 500)
    sample_one = jax.jit(jax.vmap(functools.partial(sample, correction, jnp.ones(count))))
    strokes, log_layout, log_points = jax.device_get(sample_one(keys))
    densities = scipy.stats.norm(layout, layout_width).logpdf(strokes.layout).sum(-1)
    np.testing.assert_allclose(log_layout, densities, rtol=1e-3, atol=1e-2)
    x, y, scale, angle = np.moveaxis(np.float64(strokes.layout), -1, 0)
    turn = np.exp(-1j * angle) / scale  # of the signed square as complex numbers
    signed = (2 * points[..., 0] - 1) + 1j * (2 * points[..., 1] - 1)
    framed = (signed[None] - (x + 1j * y)[..., None]) * turn[..., None]
    means = (np.stack([framed.real, framed.imag], -1) + 1) / 2
    widths = point_width / scale[..., None, None]
    densities = scipy.stats.norm(means, widths).logpdf(strokes.control_points).sum((-2, -1))
    np.testing.assert_allclose(log_points, densities, rtol=1e-3, atol=1e-2)
    deviation = (strokes.control_points - means) / widths
    assert np.abs(deviation.mean(0)).max() < 5 / np.sqrt(len(keys))
    assert np.abs(deviation.std(0) - 1).max() < 0.2
    deviation = (strokes.layout - layout) / layout_width
    assert np.abs(deviation.mean(0)).max() < 5 / np.sqrt(len(keys))


def test_pens_stay_in_range_however_far_they_are_pushed(config, looking, images, first):
    pushed = jax.tree_util.tree_map(np.array, looking)
    pushed["corrector"]["out"]["bias"] += 50
    correct = jax.jit(jax.vmap(functools.partial(second_look.correct, config, pushed)))
    brush = correct(images, first.strokes, first.brush).brush
    for pen, (low, high) in zip(brush, (heads.INK_WIDTH, heads.INK_SLOPE, heads.CANVAS_SLOPE), strict=True):
        assert np.all((pen >= low - 1e-6) & (pen <= high + 1e-6))


def test_models_that_place_images_do_not_look_again():
    with pytest.raises(BadInput, match=r"model\.iterations=1 needs model\.placement='points'"):
        ModelConfig(iterations=1, placement="glimpse")
