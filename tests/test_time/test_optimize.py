"""Test-time optimisation moves strokes towards an image whose strokes are known, and nothing else."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax.inference import infer
from dood_jax.model import dood
from dood_jax.model.drawing import render
from dood_jax.rendering.source_grid import bilinear, through, to_source_grid
from dood_jax.test_time.optimize import optimize_strokes
from dood_jax.types import BrushParams, Sketch, StrokeLatents

COUNTS = np.array([1, 3, 0, 2, 3])  # strokes of each drawing


@pytest.fixture(scope="module")
def true_sketch(tiny) -> Sketch:
    """Five drawings of random strokes in various layouts."""
    random = np.random.default_rng(4)
    number, strokes = len(COUNTS), tiny.num_strokes
    layout = random.uniform([-0.3, -0.3, 0.6, -0.5], [0.3, 0.3, 0.9, 0.5], (number, strokes, 4))
    drawn = StrokeLatents(
        presence=(np.arange(strokes) < COUNTS[:, None]).astype(np.float32),
        layout=layout.astype(np.float32),
        control_points=random.uniform(0.1, 0.9, (number, strokes, tiny.num_points, 2)).astype(np.float32),
    )
    brushes = (np.full((number, strokes), value, np.float32) for value in (0.03, 0.5))
    return with_canvases(tiny, drawn, BrushParams(*brushes, np.full(number, 0.9, np.float32)))


def with_canvases(model, strokes, brush, params=None) -> Sketch:
    draw = jax.jit(jax.vmap(lambda strokes, brush: render(model, params or {}, strokes, brush)))
    return Sketch(strokes, brush, np.asarray(draw(strokes, brush)))


@pytest.fixture(scope="module")
def shaken(tiny, true_sketch) -> Sketch:
    """The drawings with every control point a little off."""
    points = true_sketch.strokes.control_points
    noise = 0.04 * np.random.default_rng(5).standard_normal(points.shape).astype(np.float32)
    strokes = true_sketch.strokes._replace(control_points=points + noise)
    return with_canvases(tiny, strokes, true_sketch.brush)


@pytest.fixture(scope="module")
def images(true_sketch):
    return true_sketch.canvases[:, -1]


@pytest.fixture(scope="module")
def optimized(tiny, images, shaken) -> Sketch:
    return infer.optimize(tiny, {}, images, shaken, 100, 4)


def errors(images, sketch) -> np.ndarray:
    return np.abs(images - sketch.canvases[:, -1]).sum((1, 2))


def test_shaken_strokes_find_their_way_back(images, shaken, optimized):
    before, after = errors(images, shaken), errors(images, optimized)
    drawn = COUNTS > 0
    assert (before[drawn] > 5).all()
    assert (after[drawn] < 0.35 * before[drawn]).all()
    assert after[~drawn] == before[~drawn] == 0


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["curve", "neural"])
def test_strokes_whose_images_are_placed_find_their_way_back_in_their_own_frames(
    tiny, keys, true_sketch, shaken, decoder
):
    placing = dataclasses.replace(tiny, placement="glimpse", brush="splat", decoder=decoder)
    params = dood.init(placing, keys[0]) if decoder == "neural" else {}
    true, off = (
        with_canvases(placing, sketch.strokes, sketch.brush, params) for sketch in (true_sketch, shaken)
    )
    images = true.canvases[:, -1]
    optimized = infer.optimize(placing, params, images, off, 100, 4)
    before, after = errors(images, off), errors(images, optimized)
    assert (after[COUNTS > 0] < 0.5 * before[COUNTS > 0]).all()
    np.testing.assert_array_equal(optimized.strokes.layout, off.strokes.layout)


def test_canvases_are_those_of_the_strokes(tiny, optimized):
    again = with_canvases(tiny, optimized.strokes, optimized.brush)
    np.testing.assert_allclose(optimized.canvases, again.canvases, atol=1e-4)


def test_layouts_presence_and_absent_strokes_stay(shaken, optimized):
    np.testing.assert_array_equal(optimized.strokes.layout, shaken.strokes.layout)
    np.testing.assert_array_equal(optimized.strokes.presence, shaken.strokes.presence)
    absent = shaken.strokes.presence == 0
    old, new = shaken.strokes.control_points, optimized.strokes.control_points
    np.testing.assert_array_equal(new[absent], old[absent])
    assert (new[~absent] != old[~absent]).any()


def test_a_drawing_is_optimized_by_itself(tiny, images, shaken, optimized):
    one = jax.tree_util.tree_map(lambda leaf: leaf[3:4], shaken)
    alone = infer.optimize(tiny, {}, images[3:4], one, 100, 4)
    np.testing.assert_allclose(alone.canvases[0], optimized.canvases[3], atol=2e-3)


def test_one_step_goes_against_the_sign_of_the_gradient_at_the_stated_rates(tiny, images, shaken):
    """Adam's first step is the rate times the sign; the gradient is the loss's, by differences."""
    strokes, brush = (
        jax.tree_util.tree_map(lambda leaf: leaf[1], part) for part in (shaken.strokes, shaken.brush)
    )
    identity = strokes._replace(layout=np.tile(np.float32([0, 0, 1, 0]), (tiny.num_strokes, 1)))

    @jax.jit
    def loss(strokes, brush):
        error = jnp.abs(images[1] - render(tiny, {}, strokes, brush)[-1])
        return (error + 2 * error**2).sum()

    moved, brushes = optimize_strokes(tiny, {}, images[1], identity, brush, 1)
    for index in ((0, 0, 0), (1, 2, 1), (2, 4, 0)):
        step = np.zeros_like(identity.control_points)
        step[index] = 1e-3
        up, down = (
            loss(identity._replace(control_points=identity.control_points + sign * step), brush)
            for sign in (1, -1)
        )
        change = moved.control_points[index] - identity.control_points[index]
        np.testing.assert_allclose(change, -4e-3 * np.sign(up - down), rtol=1e-3)
    for name, rate in (("ink_width", 8e-4), ("ink_slope", 4e-3)):
        np.testing.assert_allclose(np.abs(getattr(brushes, name) - getattr(brush, name)), rate, rtol=1e-2)


@pytest.mark.parametrize("most", [(0.04, 0.9, 1.5), (0.15, 2.0, 3.0)])
def test_brushes_stay_within_what_the_heads_can_give_or_where_they_were(tiny, images, shaken, most):
    """A wider brush would cover more of an image that is all ink."""
    start = BrushParams(*(jnp.full_like(one, value) for one, value in zip(shaken.brush, most, strict=False)))
    of_one = jax.tree_util.tree_map(lambda leaf: leaf[1], (shaken.strokes, start))
    _, brushes = optimize_strokes(tiny, {}, jnp.ones_like(images[1]), *of_one, 2)
    for one, limit in zip(brushes, most, strict=False):
        assert (one <= np.float32(limit)).all() and (one > 0.9 * limit).all()


def test_of_enlarged_images_the_grid_is_known_and_strokes_come_closer(tiny, images, shaken):
    half = tiny.image_size // 2
    resize = [bilinear(tiny.image_size, half)] * 2 + [bilinear(half, tiny.image_size)] * 2
    enlarged = np.asarray(through(jnp.asarray(images), resize))
    knowing = dataclasses.replace(tiny, source_size=half)
    hold = jax.vmap(functools.partial(to_source_grid, half))

    error = lambda canvases: np.abs(enlarged - canvases)[COUNTS > 0].sum((1, 2))
    known, unknown = (infer.optimize(model, {}, enlarged, shaken, 100, 4) for model in (knowing, tiny))
    held = error(hold(enlarged, known.canvases[:, -1]))
    assert (held < 0.7 * error(unknown.canvases[:, -1])).all()
    assert (held < error(hold(enlarged, unknown.canvases[:, -1]))).all()
