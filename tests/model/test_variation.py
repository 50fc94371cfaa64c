"""Generated, completed and varied drawings of one model."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax import geometry
from dood_jax.model import dood
from dood_jax.model.drawing import render
from dood_jax.model.families import brush_limits
from dood_jax.model.prior import PUBLISHED, Spread
from dood_jax.model.sampling import extend, noise_of_strokes, sample, state_after
from dood_jax.model.variation import SMALL_NOISE, TokenRanges, TypeNoise, complete, exemplar
from dood_jax.types import BrushParams, StrokeLatents

BRUSH = BrushParams(jnp.float32(0.03), jnp.float32(0.4), jnp.float32(0.6))
STILL = TokenRanges(0.0, 0.0, 0.0, 0.0)
NOTHING = Spread(0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def certain(tiny):
    """A model of one component that never stops: without spread it always draws the same."""
    config = dataclasses.replace(tiny, components=1)
    shapes = jax.eval_shape(functools.partial(dood.init, config), jax.random.key(3))
    random = np.random.default_rng(0)
    params = jax.tree_util.tree_map(lambda leaf: 0.3 * random.normal(size=leaf.shape).astype("f"), shapes)
    params["prior_presence"]["out"]["bias"] = np.full(1, 40, np.float32)
    return config, params


@pytest.fixture(scope="module")
def drawn():
    """Three strokes of five points, of which two are drawn."""
    random = np.random.default_rng(2)
    layout = random.uniform([-0.2, -0.2, 0.4, -0.5], [0.2, 0.2, 0.7, 0.5], (3, 4)).astype(np.float32)
    points = random.uniform(0.1, 0.9, (3, 5, 2)).astype(np.float32)
    strokes = StrokeLatents(np.float32([1, 1, 0]), layout, points)
    brushes = BrushParams(np.float32([0.03, 0.02, 0.01]), np.float32([0.4, 0.5, 0.6]), np.float32(0.7))
    return strokes, brushes


def test_without_spread_only_means_of_components_are_drawn(tiny, params):
    keys = jax.random.split(jax.random.key(0), 64)
    sample_all = jax.jit(
        lambda spread: jax.vmap(lambda key: sample(tiny, params, BRUSH, key, 1, spread)[0])(keys)
    )
    count = lambda spread: len(np.unique(np.round(sample_all(spread).layout[:, 0], 5), axis=0))
    assert count(NOTHING) <= tiny.components
    assert count(Spread()) == 64
    points = lambda spread: sample_all(spread).control_points[:, 0]
    assert points(PUBLISHED).std() < points(Spread()).std()


def test_a_drawing_goes_on_from_its_state_as_if_it_had_never_stopped(certain):
    config, params = certain
    key = jax.random.key(5)
    whole = jax.jit(lambda: sample(config, params, BRUSH, key, 4, NOTHING)[0])()
    assert whole.presence.all() and np.abs(np.diff(whole.layout, axis=0)).min() > 0
    brushes = BrushParams(jnp.full(4, BRUSH.ink_width), jnp.full(4, BRUSH.ink_slope), BRUSH.canvas_slope)

    @jax.jit
    def rest():
        state = state_after(config, params, whole, brushes, 3)
        return extend(config, params, state, BRUSH, noise_of_strokes(config, key, 1), NOTHING)[0]

    np.testing.assert_allclose(rest().layout, whole.layout[3:], atol=1e-5)
    np.testing.assert_allclose(rest().control_points, whole.control_points[3:], atol=1e-4)


@pytest.fixture(scope="module")
def completed(tiny, lively):
    """(drawing, strokes kept, key) -> completion with two more strokes at most."""
    return jax.jit(lambda drawn, count, key: complete(tiny, lively, *drawn, count, key, 2))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_completion_keeps_strokes_and_adds_others_with_the_first_brush(completed, drawn, count):
    strokes, brushes = drawn
    added = []
    for seed in range(12):
        found, found_brushes = completed(drawn, count, jax.random.key(seed))
        assert found.layout.shape == (5, 4)
        np.testing.assert_array_equal(found.layout[:count], strokes.layout[:count])
        np.testing.assert_array_equal(found.control_points[:count], strokes.control_points[:count])
        np.testing.assert_array_equal(found_brushes.ink_width[:count], brushes.ink_width[:count])
        np.testing.assert_array_equal(found_brushes.ink_width[count : count + 2], brushes.ink_width[0])
        assert np.all(np.diff(found.presence) <= 0) and found.presence[:count].all()
        assert found.presence[count + 2 :].sum() == 0
        added.append(int(found.presence.sum()) - count)
    assert 2 in added and len(set(added)) > 1


def test_without_noise_an_exemplar_is_the_drawing(tiny, drawn):
    vary = lambda *drawn: exemplar(tiny, *drawn, jax.random.key(0), SMALL_NOISE.times(0))
    strokes, brushes = jax.jit(vary)(*drawn)
    canvas = jax.jit(functools.partial(render, tiny, {}))
    np.testing.assert_allclose(canvas(strokes, brushes), canvas(*drawn), atol=1e-4)


def test_a_brush_that_was_sampled_beyond_the_limits_of_the_heads_stays(tiny, drawn):
    strokes, _ = drawn
    taper = np.float32([[2.0, 0.0], [0.0, -2.0], [0.0, 0.0]])
    brushes = BrushParams(np.float32([0.15, 0.02, 0.001]), np.float32([0.4, 2, 0.6]), np.float32(3), taper)
    config = dataclasses.replace(tiny, prior="autoregressive")
    vary = lambda *drawn: exemplar(config, *drawn, jax.random.key(0), SMALL_NOISE.times(0))
    jax.tree_util.tree_map(np.testing.assert_array_equal, jax.jit(vary)(strokes, brushes)[1], brushes)


def many(
    config, drawn, noise: TypeNoise, fix_rotation_units: bool = False
) -> tuple[StrokeLatents, BrushParams]:
    keys = jax.random.split(jax.random.key(1), 3000)
    vary = lambda key: exemplar(config, *drawn, key, noise, fix_rotation_units)
    return jax.device_get(jax.jit(jax.vmap(vary))(keys))


def test_noise_moves_points_between_the_ends_by_its_deviation(tiny, drawn):
    noise = TypeNoise(middle=0.1, inner=0.02, token=STILL)
    moved = many(tiny, drawn, noise)[0].control_points
    for stroke in range(3):
        matrix = geometry.layout_to_matrix(drawn[0].layout[stroke])
        unmoved = geometry.place_points(matrix, drawn[0].control_points[stroke])
        change = (moved[:, stroke] - unmoved) / drawn[0].layout[stroke, 2]
        wanted = np.array([0, 0.02, 0.1, 0.02, 0])
        np.testing.assert_allclose(change.std(0).max(1), wanted, rtol=0.05, atol=1e-6)
        np.testing.assert_allclose(change.mean(0), 0, atol=0.01)


def test_a_token_is_one_affine_map_of_all_strokes(tiny, drawn):
    noise = TypeNoise(middle=0.0, inner=0.0)
    moved = many(tiny, drawn, noise)[0].control_points.reshape(3000, 15, 2)
    place = jax.vmap(lambda layout, one: geometry.place_points(geometry.layout_to_matrix(layout), one))
    unmoved = np.asarray(place(*(jnp.asarray(part) for part in drawn[0][1:]))).reshape(15, 2)
    with_one = np.concatenate([unmoved, np.ones((15, 1))], 1)
    for one in moved[:20]:
        fitted, residue, *_ = np.linalg.lstsq(with_one, one, rcond=None)
        assert residue.max() < 1e-8
        assert np.abs(fitted[:2] - np.eye(2)).max() < 0.1 + 0.1 * np.pi + 0.05
    assert np.abs(moved - unmoved).max() > 0.05


def test_brushes_move_together_and_stay_in_their_range(tiny, drawn):
    noise = TypeNoise(0.0, 0.0, 0.001, 0.05, 0.6, STILL)
    brushes = many(tiny, drawn, noise)[1]
    assert brushes.ink_width[:, 1].std() == pytest.approx(0.001, rel=0.05)
    change = brushes.ink_width - drawn[1].ink_width
    np.testing.assert_allclose(change[:, 0], change[:, 1], atol=1e-6)
    low, high = brush_limits(tiny).canvas_slope
    assert brushes.canvas_slope.min() == pytest.approx(low) and brushes.canvas_slope.max() == pytest.approx(
        high
    )
