"""Iterative inference: an untrained corrector changes nothing, and iterations end in a posterior."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from jax import lax

from dood_jax import geometry
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.model import ModelConfig
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.errors import BadInput
from dood_jax.inference import batching, bounds, infer
from dood_jax.model import dood, iterative_inference
from dood_jax.model.dood import bind
from dood_jax.model.drawing import draw as draw_one
from dood_jax.model.drawing import first_pass, iterate, sample_iterated
from dood_jax.model.families import CANVAS_SLOPE, INK_SLOPE, INK_WIDTH, brush_of
from dood_jax.model.iterative_inference import IteratedPosterior, first_inference_state, sample
from dood_jax.objectives import iwae
from dood_jax.objectives.elbo import elbo, log_likelihood
from dood_jax.rendering import compositing
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.types import BrushParams, Start

ITERATIONS = 2


@pytest.fixture(scope="module")
def config(tiny) -> ModelConfig:
    return dataclasses.replace(tiny, iterations=ITERATIONS)


@pytest.fixture(scope="module")
def untrained(config, lively) -> dict:
    """The lively model with a corrector that has learned nothing."""
    fresh = jax.device_get(jax.jit(lambda key: dood.init(config, key)["corrector"])(jax.random.key(0)))
    return {**lively, "corrector": fresh}


@pytest.fixture(scope="module")
def lively_corrector(untrained) -> dict:
    """The lively model with a corrector that moves strokes."""
    out = untrained["corrector"]["out"]
    kernel = 0.2 * jax.random.normal(jax.random.key(3), out["kernel"].shape)
    return {
        **untrained,
        "corrector": {**untrained["corrector"], "out": {**out, "kernel": np.asarray(kernel)}},
    }


@pytest.fixture(scope="module")
def first(draw, lively, images, keys):
    return draw(lively, images, keys)


def iterated(config, params, image, first, key):
    """A drawing after the iterations of the config, which start from another."""
    posterior = iterate(config, params, image, first.strokes, first.brush, config.iterations)
    start = Start(first.strokes, first.brush, first.posterior)
    return sample_iterated(config, params, start, posterior, key)


def posterior_of(config, params, image, strokes, brush, warmup=0):
    return iterate(config, params, image, strokes, brush, config.iterations, warmup)


@pytest.fixture(scope="module")
def first_of(config):
    """(params, [8, H, W] images, [8] keys) -> drawings before the iterations."""
    one = functools.partial(draw_one, config, iterations=0)
    return jax.jit(jax.vmap(one, in_axes=(None, 0, 0)))


@pytest.fixture(scope="module")
def refine(config):
    """(params, [8, H, W] images, strokes, brushes) -> posteriors after the iterations."""
    return jax.jit(jax.vmap(functools.partial(posterior_of, config), in_axes=(None, 0, 0, 0)))


@pytest.fixture(scope="module")
def again(config):
    """(params, [8, H, W] images, drawings, [8] keys) -> the drawings after the iterations."""
    return jax.jit(jax.vmap(functools.partial(iterated, config), in_axes=(None, 0, 0, 0)))


def canvas_of(drawing) -> np.ndarray:
    return np.asarray(compositing.composite(drawing.ink.sum(0), drawing.brush.canvas_slope))


def canvases_of(drawing) -> np.ndarray:
    ink = np.asarray(drawing.ink).sum(1)
    return np.asarray(compositing.composite(ink, drawing.brush.canvas_slope[:, None, None]))


def test_an_untrained_corrector_leaves_points_and_brushes_where_they_are(
    untrained, images, first, refine, again, keys
):
    posterior = refine(untrained, images, first.strokes, first.brush)
    np.testing.assert_allclose(posterior.layout.mean, first.strokes.layout, atol=1e-6)
    for found, wanted in zip(posterior.brush[:3], first.brush[:3], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-2)
    second = again(untrained, images, first, keys)
    np.testing.assert_array_equal(second.strokes.presence, first.strokes.presence)
    assert 0 < first.strokes.presence.mean() < 1
    drawn = first.strokes.presence > 0
    assert np.abs(second.strokes.layout - first.strokes.layout)[drawn].mean() > 0.03  # sampled anew, but
    np.testing.assert_allclose(canvases_of(second), canvases_of(first), atol=0.35)  # points stay
    assert np.abs(canvases_of(second) - canvases_of(first)).mean() < 0.01


@pytest.mark.slow
def test_draw_iterates_from_its_first_pass(config, untrained, lively, first_of, again, images, keys, draw):
    """The first pass has its own key; without iterations it is all."""
    keys_first, keys_again = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    first = first_of(untrained, images, keys_first)
    wanted = again(untrained, images, first, keys_again)
    found = jax.jit(jax.vmap(functools.partial(draw_one, config), (None, 0, 0)))(untrained, images, keys)
    for ours, theirs in zip(*map(jax.tree_util.tree_leaves, (found, wanted)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    same = draw(lively, images, keys_first)
    np.testing.assert_array_equal(first.strokes.control_points, same.strokes.control_points)


@pytest.mark.slow
def test_iterations_learn_to_draw_better(config, untrained, images, first, keys):
    """Their bound rises over a few steps of Adam that move nothing but the corrector."""

    def bound(corrector, key):
        params = {**untrained, "corrector": corrector}
        keys = jax.random.split(key, len(images))
        drawing = jax.vmap(functools.partial(iterated, config, params))(images, first, keys)
        canvas = compositing.composite(drawing.ink.sum(1), drawing.brush.canvas_slope[:, None, None])
        likelihood = jax.vmap(functools.partial(log_likelihood, config, params))(images, canvas)
        return jax.vmap(elbo)(drawing, likelihood).mean()

    adam = optax.adam(1e-3)

    @jax.jit
    def step(corrector, state, key):
        value, gradient = jax.value_and_grad(lambda corrector: -bound(corrector, key))(corrector)
        updates, state = adam.update(gradient, state)
        return optax.apply_updates(corrector, updates), state, -value

    corrector, state, bounds = untrained["corrector"], adam.init(untrained["corrector"]), []
    for k in range(60):
        corrector, state, value = step(corrector, state, jax.random.key(k))
        bounds.append(value)
    assert np.mean(bounds[-5:]) > np.mean(bounds[:5]) + 20


@pytest.mark.slow
def test_nothing_teaches_the_first_pass(config, untrained, images, keys):
    """Gradient goes to the corrector and the prior, not to what the drawing began with."""

    def value(params):
        first = first_pass(config, params, images[0], keys[0], hold_presence=True)
        drawing = iterated(config, params, images[0], first, keys[1])
        return drawing.ink.sum() + elbo(drawing, 0.0)

    gradient = jax.jit(jax.grad(value))(untrained)
    largest = {
        name: max(float(np.abs(leaf).max()) for leaf in jax.tree_util.tree_leaves(network))
        for name, network in gradient.items()
    }
    for name in ("corrector", "prior_layout", "prior_stroke", "prior_presence"):
        assert largest[name] > 0, name
    for name in ("posterior_presence", "posterior_layout", "posterior_stroke", "brush", "image_encoder"):
        assert largest[name] == 0, name


@pytest.mark.slow
def test_warmup_iterations_draw_on_but_teach_nothing(config, lively_corrector, images, first):
    """So many iterations in a row end in one place; the gradient is that of the last ones alone."""
    image, strokes, brush = jax.tree_util.tree_map(lambda leaf: leaf[0], (images, first.strokes, first.brush))
    in_all = dataclasses.replace(config, iterations=ITERATIONS + 3)
    wanted = jax.jit(functools.partial(posterior_of, in_all))(lively_corrector, image, strokes, brush)
    found = jax.jit(functools.partial(posterior_of, config))(
        lively_corrector, image, strokes, brush, jnp.asarray(3)
    )
    for ours, theirs in zip(*map(jax.tree_util.tree_leaves, (found, wanted)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
    assert (
        np.abs(found.points.mean - geometry.place_strokes(strokes.layout, strokes.control_points)).max()
        > 0.01
    )

    def last_iterations(params):
        state = first_inference_state(config, strokes, brush)
        for k in range(3 + ITERATIONS):
            state = lax.stop_gradient(state) if k <= 3 else state
            state, *_ = bind(config, params).iterate(image, strokes, state)
        return (state.points**2).sum()

    def with_warmup(params):
        return (posterior_of(config, params, image, strokes, brush, 3).points.mean ** 2).sum()

    slopes = [
        jax.jit(jax.grad(value))(lively_corrector)["corrector"] for value in (with_warmup, last_iterations)
    ]
    for ours, theirs in zip(*map(jax.tree_util.tree_leaves, slopes), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    assert max(np.abs(leaf).max() for leaf in jax.tree_util.tree_leaves(slopes[0])) > 0.01


def test_iterations_settle_slower_and_slower_and_end_with_the_nearest_drawing(
    config, lively_corrector, images, first
):
    """A loop by hand keeps a part of each late change, and NumPy picks the least error."""
    parts = {3: [1, 1, 1], 5: [1, 1, 1, 1, 0.3], 8: [1, 1, 1, 1, 1, 1, 0.65, 0.3]}
    whole = jnp.broadcast_to(geometry.IDENTITY_LAYOUT, (3, 4))

    def by_hand(image, strokes, brush):
        model, ends = bind(config, lively_corrector), {}
        for number, kept in parts.items():
            state, ends[number] = first_inference_state(config, strokes, brush), []
            for part in kept:
                full, change, _ = model.iterate(image, strokes, state)
                mix = lambda old, new, part=part: old + part * (new - old)
                raw_brush = jax.tree_util.tree_map(mix, state.raw_brush, full.raw_brush)
                state = full._replace(points=mix(state.points, full.points), raw_brush=raw_brush)
                placed = strokes._replace(layout=whole, control_points=state.points)
                canvas = model.finished_canvas(placed, brush_of(config, state.raw_brush))
                ends[number].append(
                    (canvas, iterative_inference.posterior_of(config, strokes, state, change))
                )
        return ends

    settled = lambda *given: {
        number: iterate(config, lively_corrector, *given, number, settle=True) for number in parts
    }
    given = images, first.strokes, first.brush
    found, ends = (jax.device_get(jax.jit(jax.vmap(form))(*given)) for form in (settled, by_hand))
    off = lambda canvas: (np.abs(images - canvas) + 2 * (images - canvas) ** 2).sum((1, 2))
    for number, passed in ends.items():
        errors = np.stack([off(canvas) for canvas, _ in passed])
        assert (np.diff(errors, axis=0) > 0).any() and (np.diff(errors, axis=0) < 0).any()
        best, each = errors.argmin(0), np.arange(len(images))
        expected = jax.tree_util.tree_map(
            lambda *of, best=best, each=each: np.stack(of)[best, each], *(after for _, after in passed)
        )
        jax.tree_util.tree_map(
            functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4), found[number], expected
        )


@pytest.mark.parametrize("split", [(1, 6), (2, 4)])
def test_drawings_by_stroke_count_are_those_of_one_program(
    config, lively_corrector, first_of, again, images, keys, monkeypatch, split
):
    """Only strokes that are drawn go through the iterations, and batches are small; nothing else changes."""
    num_devices, in_cache = split
    monkeypatch.setattr(batching, "_STROKES_IN_CACHE", in_cache)
    group = DeviceGroup(tuple(jax.local_devices()[:num_devices]))
    sketch = infer.infer(config, lively_corrector, images, keys, infer.Effort(), group)
    keys_first, keys_again = jnp.moveaxis(
        jax.vmap(lambda key: jax.random.split(jax.random.split(key, 1)[0]))(keys), 1, 0
    )
    wanted = jax.device_get(
        again(lively_corrector, images, first_of(lively_corrector, images, keys_first), keys_again)
    )
    drawn = wanted.strokes.presence > 0
    assert set(drawn.sum(1)) >= {1, 3}
    np.testing.assert_array_equal(sketch.strokes.presence, wanted.strokes.presence)
    for ours, theirs in zip(sketch.strokes, wanted.strokes, strict=True):
        np.testing.assert_allclose(ours[drawn], theirs[drawn], atol=1e-4)
    np.testing.assert_allclose(sketch.canvases[:, -1], canvases_of(wanted), atol=1e-3)
    np.testing.assert_array_equal(sketch.canvases.shape, (8, 3, 20, 20))


@pytest.mark.slow
@pytest.mark.parametrize("samples_per_posterior", [1, 3])
def test_weights_by_stroke_count_are_those_of_one_program(
    config, lively_corrector, images, keys, samples_per_posterior
):
    settings = EvaluationConfig(num_particles=3, samples_per_posterior=samples_per_posterior)
    found = bounds.bound(config, lively_corrector, images, keys, settings, DeviceGroup.local())
    weigh = functools.partial(
        iwae.log_weights,
        config,
        lively_corrector,
        num_particles=3,
        samples_per_posterior=samples_per_posterior,
    )
    wanted = jax.device_get(jax.jit(jax.vmap(weigh))(images, keys))
    assert len(np.unique(wanted.strokes)) > 1
    np.testing.assert_allclose(found.strokes, wanted.strokes.mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.l1, wanted.l1.mean(1), rtol=1e-3)
    np.testing.assert_allclose(found.elbo, wanted.elbo("map").mean(1), rtol=1e-3)


@pytest.mark.slow
def test_several_samples_of_one_posterior_weigh_as_one_by_one(
    config, lively_corrector, first_of, again, images, keys
):
    weigh = functools.partial(
        iwae.log_weights, config, lively_corrector, num_particles=6, samples_per_posterior=3
    )
    found = jax.device_get(jax.jit(weigh)(images[0], keys[0]))
    image = np.broadcast_to(images[0], images.shape)
    wanted = []
    for key in jax.random.split(keys[0], 2):
        key_first, key_again = jax.random.split(key)
        first = first_of(lively_corrector, image, jnp.broadcast_to(key_first, 8))
        samples = jax.random.split(key_again, 3)
        found_again = again(lively_corrector, image, first, samples[np.arange(8) % 3])
        wanted += [jax.tree_util.tree_map(lambda leaf, k=k: leaf[k], found_again) for k in range(3)]
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
    posterior = IteratedPosterior(
        Gaussian(jnp.float32(layout), jnp.float32(layout_width)),
        Gaussian(jnp.float32(points), jnp.float32(point_width)),
        BrushParams(0.0, 0.0, 0.0),
    )
    keys = jax.random.split(jax.random.key(0), 500)
    sample_one = jax.jit(jax.vmap(functools.partial(sample, posterior, jnp.ones(count))))
    strokes, _, log_layout, log_points, _ = jax.device_get(sample_one(keys))
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


def test_brushes_stay_in_range_however_far_they_are_pushed(untrained, images, first, refine):
    pushed = jax.tree_util.tree_map(np.array, untrained)
    pushed["corrector"]["out"]["bias"] += 50
    brush = refine(pushed, images, first.strokes, first.brush).brush
    for value, (low, high) in zip(brush[:3], (INK_WIDTH, INK_SLOPE, CANVAS_SLOPE), strict=True):
        assert np.all((value >= low - 1e-6) & (value <= high + 1e-6))


def test_models_that_place_images_do_not_iterate():
    with pytest.raises(BadInput, match=r"model\.iterations=1 needs model\.placement='points'"):
        ModelConfig(iterations=1, placement="glimpse")
