"""The scan over strokes: what it keeps, what it stops, and what it must not depend on."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax.config.model import ModelConfig
from dood_jax.model import dood, networks
from dood_jax.model.drawing import first_pass, render
from dood_jax.model.families import CANVAS_SLOPE, LAYOUT_HIGH, LAYOUT_LOW
from dood_jax.model.networks import bounded
from dood_jax.model.sampling import sample
from dood_jax.rendering import compositing
from dood_jax.types import BrushParams

FAST_KEYS = (
    "image_encoder canvas_encoder glimpse_encoder canvas_glimpse_encoder layout_rnn stroke_rnn"
    " posterior_presence posterior_layout posterior_stroke canvas_slope brush"
    " prior_presence prior_layout prior_stroke likelihood"
)
BRUSH = BrushParams(jnp.float32(0.03), jnp.float32(0.4), jnp.float32(0.6))


@pytest.fixture(scope="module")
def drawings(draw, lively, images, keys):
    """Eight drawings, their stops sampled."""
    return draw(lively, images, keys)


@pytest.fixture(scope="module")
def invented(tiny, params):
    """4,096 drawings sampled from the fresh prior, and the canvases of the first 64."""
    keys = jax.random.split(jax.random.key(11), 4096)
    strokes = jax.device_get(jax.jit(jax.vmap(functools.partial(sample, tiny, params, BRUSH)))(keys))[0]
    first = jax.tree_util.tree_map(lambda leaf: leaf[:64], strokes)
    canvases = jax.jit(jax.vmap(lambda one: render(tiny, {}, one, BRUSH)))(first)
    return strokes, np.asarray(canvases)


def assert_same(one, other, **tolerance) -> None:
    """Equal trees, to rounding."""
    tolerance = {"rtol": 1e-4, "atol": 1e-4, **tolerance}
    jax.tree_util.tree_map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), one, other)


def test_parameter_tree_has_the_documented_keys_and_size():
    shapes = jax.eval_shape(functools.partial(dood.init, ModelConfig()), jax.random.key(0))
    assert set(shapes) == set(FAST_KEYS.split())
    assert networks.count(shapes) <= 2_200_000
    assert {leaf.dtype for leaf in jax.tree_util.tree_leaves(shapes)} == {np.dtype("float32")}


def test_drawing_is_a_function_of_its_key(draw, lively, images, keys, drawings):
    again = draw(lively, images, keys)
    assert_same(drawings, again, rtol=0, atol=0)
    other = draw(lively, images, keys[::-1])
    assert np.abs(other.strokes.layout - drawings.strokes.layout).min() > 0


def test_presence_never_returns_and_stopped_strokes_leave_no_ink(drawings):
    bits = drawings.strokes.presence
    counts = bits.sum(1)
    assert {0.0, 3.0} < set(counts.tolist()), "the keys must show drawings stopped at once, later and never"
    np.testing.assert_array_equal(bits, np.arange(3) < counts[:, None])
    inked = drawings.ink.max((2, 3)) > 0.1
    np.testing.assert_array_equal(inked, bits > 0)
    assert np.all(drawings.ink[bits == 0] == 0)


def test_hold_presence_keeps_every_bit_and_changes_no_stroke_before_the_stop(
    draw, lively, images, keys, drawings
):
    held = draw(lively, images, keys, hold_presence=True)
    assert np.all(held.strokes.presence == 1)
    assert np.all(held.ink.max((2, 3)) > 0.1)
    drawn = drawings.strokes.presence > 0
    np.testing.assert_allclose(held.strokes.layout[drawn], drawings.strokes.layout[drawn], rtol=1e-4)
    np.testing.assert_allclose(held.ink[drawn], drawings.ink[drawn], atol=1e-4)


def test_unrolled_scan_draws_the_same(tiny, lively, images, keys, drawings):
    unrolled = dataclasses.replace(tiny, unroll=3)
    draw_unrolled = jax.jit(jax.vmap(functools.partial(first_pass, unrolled, lively)))
    assert_same(draw_unrolled(images, keys), drawings)


def test_more_strokes_at_test_time_begin_with_those_of_training(draw, lively, images, keys, drawings):
    """A stroke's key depends on the drawing's key and the stroke's place alone."""
    longer = draw(lively, images, keys, num_strokes=5)
    assert longer.ink.shape == (8, 5, 20, 20)
    assert longer.strokes.presence[:, 3:].sum() > 0
    first = jax.tree_util.tree_map(lambda leaf: leaf if leaf.ndim == 1 else leaf[:, :3], longer)
    assert_same(first, drawings)


def test_canvas_slope_is_decided_on_the_blank_canvas(tiny, lively, draw, images, keys):
    drawing = draw(lively, images, keys, hold_presence=True)

    def slope_on(canvas):
        def raw(model):
            observation = model.guidance.observe(model.encode_target(images[0]), canvas)
            return model.recognition.canvas_slope(observation.canvas_slope)[0]

        value = dood.build(tiny).apply({"params": lively}, method=raw)
        return float(bounded(value, *CANVAS_SLOPE))

    found = drawing.brush.canvas_slope[0]
    np.testing.assert_allclose(found, slope_on(np.zeros((20, 20), np.float32)), rtol=1e-5)
    assert abs(found - slope_on(images[1])) > 1e-3


def test_an_example_does_not_depend_on_its_batch_mates(draw, lively, images, keys, drawings):
    mates = np.concatenate([images[:2], 1 - images[:6]])
    other = draw(lively, mates, jnp.concatenate([keys[:2], keys[:6]]))
    first = functools.partial(jax.tree_util.tree_map, lambda leaf: leaf[:2])
    assert_same(first(other), first(drawings), rtol=1e-6, atol=1e-6)
    assert not np.allclose(other.ink[2:], drawings.ink[2:], atol=1e-2)


def test_rendering_a_drawing_composites_its_ink(tiny, drawings):
    canvases = jax.jit(jax.vmap(functools.partial(render, tiny, {})))(drawings.strokes, drawings.brush)
    summed = np.cumsum(np.float64(drawings.ink), axis=1)
    wanted = np.tanh(summed / drawings.brush.canvas_slope[:, None, None, None])
    np.testing.assert_allclose(canvases, wanted, atol=1e-5)


def test_rendering_at_twice_the_size_is_the_same_image(tiny, drawings):
    """Every brush pixel of the small image, i/20, is one of the large, 2i/40."""
    render_one = functools.partial(render, tiny, {})
    small = jax.jit(jax.vmap(render_one))(drawings.strokes, drawings.brush)
    large = jax.jit(jax.vmap(functools.partial(render_one, image_size=40)))(drawings.strokes, drawings.brush)
    assert large.shape == (8, 3, 40, 40)
    np.testing.assert_allclose(large[..., ::2, ::2], small, atol=1e-4)
    averaged = large.reshape(8, 3, 20, 2, 20, 2).mean((3, 5))
    assert np.abs(averaged - small).mean() < 0.05 * small.max()


def test_networks_see_earlier_ink_without_gradient(tiny, lively, images, keys, draw):
    """Pen and canvas slope reach later strokes only by what is on the canvas."""
    brushes = {name: lively[name] for name in ("brush", "canvas_slope")}

    def draw_with(brushes):
        return first_pass(tiny, {**lively, **brushes}, images[0], keys[0], hold_presence=True)

    def seen(brushes):
        drawing = draw_with(brushes)
        by_networks = (drawing.strokes, drawing.posterior, drawing.prior)
        return sum(leaf.sum() for leaf in jax.tree_util.tree_leaves(by_networks))

    def drawn(brushes):
        drawing = draw_with(brushes)
        return compositing.composite(drawing.ink.sum(0), drawing.brush.canvas_slope).sum()

    through_canvas, through_ink = jax.jit(
        lambda brushes: (jax.grad(seen)(brushes), jax.grad(drawn)(brushes))
    )(brushes)
    assert all(np.all(leaf == 0) for leaf in jax.tree_util.tree_leaves(through_canvas))
    assert all(np.abs(through_ink[name]["out"]["bias"]).min() > 1e-3 for name in brushes)
    for name in brushes:
        moved = jax.tree_util.tree_map(lambda leaf: leaf + 0.1, lively[name])
        before, after = (
            draw({**lively, **change}, images, keys, hold_presence=True) for change in ({}, {name: moved})
        )
        assert np.abs(after.posterior.layout - before.posterior.layout)[:, 0].max() < 1e-5
        assert np.abs(after.posterior.layout - before.posterior.layout)[:, 1:].max() > 1e-3


def test_sampled_drawings_are_well_formed(invented):
    strokes, canvases = invented
    counts = strokes.presence.sum(1)
    np.testing.assert_array_equal(strokes.presence, np.arange(3) < counts[:, None])
    assert strokes.layout.shape == (4096, 3, 4)
    assert strokes.control_points.shape == (4096, 3, 5, 2)
    assert np.isfinite(strokes.layout).all()
    assert np.isfinite(strokes.control_points).all()
    assert canvases.min() >= 0
    assert 0.5 < canvases.max() <= 1
    blank = canvases[counts[:64] == 0]
    assert len(blank) and np.all(blank == 0)


def test_sampled_strokes_keep_to_the_prior_ranges_within_its_spread(invented):
    """Means lie in the published ranges; nothing clips a sample, whose scale starts near 0.32."""
    strokes, _ = invented
    spread = 5 * 0.6
    assert np.all(strokes.layout > LAYOUT_LOW - spread)
    assert np.all(strokes.layout < LAYOUT_HIGH + spread)
    assert np.abs(strokes.layout[..., 2].mean() - 0.625) < 0.15
    assert np.abs(strokes.control_points.mean() - 0.5) < 0.15


def test_sampled_counts_follow_the_prior_of_going_on(invented):
    """At the start every stroke is drawn with probability sigmoid(1), given the one before."""
    strokes, _ = invented
    on = 1 / (1 + np.exp(-1))
    wanted = np.array([1 - on, on * (1 - on), on**2 * (1 - on), on**3])
    found = np.bincount(strokes.presence.sum(1).astype(int), minlength=4) / 4096
    assert np.all(np.abs(found - wanted) < 4 * np.sqrt(wanted * (1 - wanted) / 4096))


def test_sampling_is_a_function_of_the_key_and_takes_more_strokes(tiny, lively):
    sample_one = jax.jit(functools.partial(sample, tiny, lively, BRUSH, num_strokes=5))
    one, again, other = (sample_one(jax.random.key(seed))[0] for seed in (0, 0, 1))
    assert_same(one, again, rtol=0, atol=0)
    assert one.layout.shape == (5, 4)
    assert np.abs(one.layout - other.layout).min() > 0
