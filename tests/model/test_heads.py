"""What the raw outputs of the heads mean: splits, ranges and starting values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close
from scipy.special import expit

from dood_jax.config.model import ModelConfig
from dood_jax.model.families import DIAGONAL, LAYOUT_HIGH, LAYOUT_LOW, POINT_HIGH, POINT_LOW, brush_of
from dood_jax.model.networks import Head, bounded
from dood_jax.types import BrushParams

POINTS, COMPONENTS = 5, 3
LOW, HIGH = [-0.8, -0.8, 0.25, -np.pi / 4], [0.8, 0.8, 1, np.pi / 4]


def between(raw, low, high):
    low, high = np.asarray(low), np.asarray(high)
    return low + (high - low) * expit(raw)


def random_raw(count):
    return np.random.default_rng(count).normal(size=count).astype(np.float32)


def numpy_mixture(raw, size, low, high):
    """Logits [M], means and scales [M, size] of M (1 + 2 size) numbers."""
    count = len(raw) // (1 + 2 * size)
    mean = raw[count : count + count * size].reshape(count, size)
    scale = raw[count + count * size :].reshape(count, size)
    return raw[:count], between(mean, low, high), np.log1p(np.exp(scale - 1)) + 0.01


def test_head_is_one_silu_layer_and_a_linear_layer_of_its_joined_inputs():
    inputs = [random_raw(3), random_raw(2)]
    head = Head(hidden=8, outputs=4)
    params = head.init(jax.random.key(0), inputs)["params"]
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)
    hidden = np.concatenate(inputs) @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"]
    expected = (hidden * expit(hidden)) @ params["out"]["kernel"] + params["out"]["bias"]
    np.testing.assert_allclose(
        jax.jit(head.apply)({"params": params}, inputs), expected, rtol=1e-5, atol=1e-6
    )


def test_head_without_output_scale_starts_from_its_bias():
    head = Head(hidden=8, outputs=3, output_scale=0, output_bias=(1, -2, 0.5))
    output, _ = head.init_with_output(jax.random.key(0), [random_raw(3)])
    np.testing.assert_array_equal(output, [1, -2, 0.5])


def test_output_scale_shrinks_the_first_output_weights_only():
    whole, part = (
        Head(hidden=8, outputs=3, output_scale=scale).init(jax.random.key(0), [random_raw(3)])["params"]
        for scale in (1, 0.3)
    )
    np.testing.assert_allclose(part["out"]["kernel"], 0.3 * whole["out"]["kernel"], rtol=1e-6)
    np.testing.assert_array_equal(part["Dense_0"]["kernel"], whole["Dense_0"]["kernel"])


def test_layout_posterior_splits_means_then_scales():
    raw = random_raw(8)
    layout = DIAGONAL.layout_posterior(raw)
    np.testing.assert_allclose(layout.mean, between(np.add(raw[:4], [0, 0, 1, 0]), LOW, HIGH), atol=1e-6)
    np.testing.assert_allclose(layout.scale, between(raw[4:], 0.001, 0.5), atol=1e-6)


def test_raw_zeros_are_a_centred_unturned_layout_of_four_fifths_of_the_canvas():
    np.testing.assert_allclose(DIAGONAL.layout_posterior(jnp.zeros(8)).mean, [0, 0, 0.7983, 0], atol=1e-4)


def test_stroke_posterior_splits_means_then_scales_point_by_point():
    raw = random_raw(4 * POINTS)
    stroke = DIAGONAL.stroke_posterior(raw)
    mean, scale = raw[: 2 * POINTS].reshape(POINTS, 2), raw[2 * POINTS :].reshape(POINTS, 2)
    np.testing.assert_allclose(stroke.mean, between(mean, -0.2, 1.2), atol=1e-6)
    np.testing.assert_allclose(stroke.scale, between(scale, 0.001, 0.5), atol=1e-6)


def test_layout_prior_splits_logits_means_and_scales():
    raw = random_raw(9 * COMPONENTS)
    expected = numpy_mixture(raw, 4, LOW, HIGH)
    for actual, array in zip(DIAGONAL.layout_prior(raw), expected, strict=True):
        np.testing.assert_allclose(actual, array, atol=1e-6)


def test_stroke_prior_splits_point_by_point_then_like_the_layout_prior():
    raw = random_raw(5 * COMPONENTS * POINTS)
    points = [numpy_mixture(part, 2, -0.2, 1.2) for part in np.split(raw, POINTS)]
    for actual, arrays in zip(DIAGONAL.stroke_prior(raw, POINTS), zip(*points, strict=True), strict=True):
        np.testing.assert_allclose(actual, np.stack(arrays), atol=1e-6)


@pytest.mark.parametrize("extreme", [-1e4, 1e4])
def test_extreme_raw_numbers_stay_in_range_with_positive_scales(extreme):
    end = 0 if extreme < 0 else 1
    layout = DIAGONAL.layout_posterior(jnp.full(8, extreme))
    np.testing.assert_allclose(layout.mean, (LOW, HIGH)[end], atol=1e-6)
    np.testing.assert_allclose(layout.scale, (0.001, 0.5)[end], atol=1e-6)
    stroke = DIAGONAL.stroke_posterior(jnp.full(4 * POINTS, extreme))
    np.testing.assert_allclose(stroke.mean, (-0.2, 1.2)[end], atol=1e-6)
    prior = DIAGONAL.layout_prior(jnp.full(9 * COMPONENTS, extreme))
    np.testing.assert_allclose(prior.mean, np.broadcast_to((LOW, HIGH)[end], (COMPONENTS, 4)), atol=1e-6)
    assert (prior.scale >= 0.01).all()


@pytest.mark.parametrize(("placement", "ink_width"), [("points", (0.005, 0.04)), ("glimpse", (0.01, 0.04))])
def test_ranges_of_brushes(placement, ink_width):
    raw = np.float32([-1e4, -1, 0, 2, 1e4])
    found = brush_of(ModelConfig(placement=placement), BrushParams(raw, raw, raw))
    for value, limits in zip(found[:3], (ink_width, (0.1, 0.9), (0.1, 1.5)), strict=True):
        np.testing.assert_allclose(value, between(raw, *limits), atol=1e-6)


@pytest.mark.parametrize(("placement", "name"), [("points", "MT"), ("glimpse", "M")])
def test_golden_brushes(golden, placement, name):
    raw = BrushParams(*golden["head/brush_raw"].T, golden["head/canvas_slope_raw"])
    found = brush_of(ModelConfig(placement=placement), raw)
    assert_close(found.ink_width, golden[f"head/brush_{name}_rho"], 1e-5)
    assert_close(found.ink_slope, golden["head/brush_kappa"], 1e-5)
    assert_close(found.canvas_slope, golden["head/canvas_slope"], 1e-5)


def test_golden_ranges_of_layouts_and_control_points(golden):
    layout = bounded(golden["head/q_layout_raw"][:, :4], LAYOUT_LOW, LAYOUT_HIGH)
    assert_close(layout, golden["head/q_layout_mean"], 1e-5)
    points = bounded(golden["head/q_stroke_raw"][:, :10], POINT_LOW, POINT_HIGH)
    assert_close(points.reshape(-1, 5, 2), golden["head/q_stroke_mean"], 1e-5)
