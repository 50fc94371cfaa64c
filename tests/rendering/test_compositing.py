"""Marks to ink to canvas, by formula and by the published images of both placements."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import LAYOUT, SIZE, SLOPE, STROKE, WIDTH, assert_close, assert_close_to_largest

from dood_jax import geometry
from dood_jax.rendering import brushes, compositing, spatial_transformer


def ink_of_moved_points(points, layout, width, slope, bit):
    """MT's raw, normalised and finished image of one stroke (method.md 9.1, 3.10)."""
    placed = geometry.place_points(geometry.layout_to_matrix(layout), points)
    raw = brushes.splat(geometry.bezier_curve(placed, 100), width, SIZE) * bit
    normalised = compositing.max_normalise(raw)
    return {"raw": raw, "normalised": normalised, "ink": compositing.squash(normalised, slope)}


def ink_of_moved_image(points, layout, width, slope, bit):
    """M's raw, placed, normalised and finished image of one stroke (method.md 3.10)."""
    raw = brushes.splat(geometry.bezier_curve(points, 100), width, SIZE) * bit
    placing = geometry.invert(geometry.layout_to_matrix(layout))
    placed = spatial_transformer.warp(raw[None], placing, SIZE)[0]
    normalised = compositing.max_normalise(placed)
    ink = compositing.squash(normalised, slope)
    return {"raw": raw, "placed": placed, "normalised": normalised, "ink": ink}


PLACEMENTS = {"MT": ink_of_moved_points, "M": ink_of_moved_image}


def random_ink(*shape):
    return jnp.asarray(np.random.default_rng(0).uniform(0, 1, shape), jnp.float32)


def test_published_stroke_gives_published_ink_when_its_points_are_moved():
    ink = jax.jit(ink_of_moved_points)(STROKE, LAYOUT, WIDTH, SLOPE, 1)["ink"]
    np.testing.assert_allclose(ink.sum(), 69.3188, atol=2e-4)
    np.testing.assert_allclose(ink[17, 30], 0.958631, atol=2e-6)


def test_published_stroke_gives_published_ink_and_canvas_when_its_image_is_moved():
    ink = jax.jit(ink_of_moved_image)(STROKE, LAYOUT, WIDTH, SLOPE, 1)["ink"]
    np.testing.assert_allclose(ink.sum(), 36.231, atol=1e-3)
    np.testing.assert_allclose(ink[17, 30], 0.86172, atol=1e-5)
    np.testing.assert_allclose(compositing.composite(ink, 0.6).sum(), 42.152, atol=1e-3)


@pytest.mark.parametrize("model", PLACEMENTS)
def test_golden_ink_and_its_gradients(golden, model):
    names = ("points", "layout", "rho", "kappa")

    def weigh(inputs):
        images = jax.vmap(PLACEMENTS[model])(*inputs, golden["ink/bit"])
        return (golden["ink/cotangent"] * images["ink"]).sum(), images

    inputs = [jnp.asarray(golden[f"ink/{name}"]) for name in names]
    gradients, images = jax.jit(jax.grad(weigh, has_aux=True))(inputs)
    for name, image in images.items():
        assert_close_to_largest(image, golden[f"ink/{model}_{name}"], 1e-4)
    for name, gradient in zip(names, gradients, strict=True):
        assert_close_to_largest(gradient, golden[f"ink/{model}_d_{name}"], 1.5e-4)


def test_golden_canvases(golden):
    sums = jax.vmap(compositing.running_sum)(golden["composite/ink"])
    canvases = compositing.composite(sums, golden["composite/gamma"][:, :1, None, None])
    assert_close(canvases, golden["composite/canvas"], 1e-5)


def changed_by_slope(x, s):
    """d/ds of tanh(x / s) / tanh(1 / s) and of tanh(x / s), in NumPy."""
    of_ink = -x / s**2 / np.cosh(x / s) ** 2
    of_norm = -1 / s**2 / np.cosh(1 / s) ** 2
    return of_ink / np.tanh(1 / s) - np.tanh(x / s) / np.tanh(1 / s) ** 2 * of_norm, of_ink


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("shape", [(4, 6), (3, 4, 6)])
def test_changes_of_ink_and_canvas_with_their_slope(which, shape):
    squash = (compositing.squash_to_one, compositing.composite)[which]
    image, weights, slope = random_ink(*shape), 1 - 2 * random_ink(*shape)[::-1], jnp.float32(0.6)
    by_slope = changed_by_slope(np.asarray(image, float), 0.6)[which]
    by_image = 1 / 0.6 / np.cosh(np.asarray(image, float) / 0.6) ** 2 / (1, np.tanh(1 / 0.6))[which == 0]
    found = jax.grad(lambda image, slope: (weights * squash(image, slope)).sum(), (0, 1))(image, slope)
    np.testing.assert_allclose(found[0], weights * by_image, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[1], (weights * by_slope).sum(), rtol=1e-4, atol=1e-5)
    forward = jax.jvp(squash, (image, slope), (weights, jnp.float32(0.5)))[1]
    np.testing.assert_allclose(forward, weights * by_image + 0.5 * by_slope, rtol=1e-4, atol=1e-5)


def test_each_stroke_has_the_change_of_its_own_slope():
    images, slopes = random_ink(3, 4, 6), jnp.array([0.3, 0.6, 1.2])
    found = jax.vmap(jax.grad(lambda image, slope: compositing.squash_to_one(image, slope).sum(), 1))(
        images, slopes
    )
    wanted = [
        changed_by_slope(np.asarray(image, float), float(slope))[0].sum()
        for image, slope in zip(images, slopes, strict=True)
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_max_normalise_divides_by_the_largest_pixel():
    image = 7 * random_ink(5, 8)
    expected = np.asarray(image) / np.asarray(image).max()
    np.testing.assert_allclose(compositing.max_normalise(image), expected, rtol=1e-6)


@pytest.mark.parametrize(("peak", "expected"), [(1.01e-4, 1), (1e-4, 1), (0.99e-4, 0.99e-4), (0, 0)])
def test_max_normalise_leaves_faint_images_as_they_are(peak, expected):
    image = jnp.zeros((4, 4)).at[1, 2].set(peak)
    np.testing.assert_allclose(compositing.max_normalise(image).max(), expected, rtol=1e-6)


def test_largest_pixel_carries_no_gradient():
    image, cotangent = 7 * random_ink(5, 8), 3 - random_ink(5, 8)
    gradient = jax.grad(lambda p: (cotangent * compositing.max_normalise(p)).sum())(image)
    np.testing.assert_allclose(gradient, cotangent / image.max(), rtol=1e-6)


def test_blank_image_has_finite_gradients():
    def ink(image, slope):
        return compositing.squash(compositing.max_normalise(image), slope).sum()

    gradients = jax.grad(ink, argnums=(0, 1))(jnp.zeros((4, 4)), jnp.float32(0.1))
    np.testing.assert_allclose(gradients[0], 10, rtol=1e-6)
    assert gradients[1] == 0


@pytest.mark.parametrize("slope", [0.1, 0.5, 0.9])
def test_squashes_are_their_formulas(slope):
    marks = np.linspace(0, 1.5, 20, dtype=np.float32)
    np.testing.assert_allclose(compositing.squash(marks, slope), np.tanh(marks / slope), rtol=1e-5)
    expected = np.tanh(marks / slope) / np.tanh(1 / slope)
    np.testing.assert_allclose(compositing.squash_to_one(marks, slope), expected, rtol=1e-5)


@pytest.mark.parametrize("slope", [0.1, 0.5, 0.9])
def test_squash_to_one_keeps_blank_and_full(slope):
    np.testing.assert_allclose(compositing.squash_to_one(jnp.array([0.0, 1.0]), slope), [0, 1], atol=1e-7)


def test_canvas_after_each_stroke_holds_the_ink_so_far():
    ink = random_ink(4, 5, 6)
    sums = [np.asarray(ink[:t], float).sum(0) for t in (1, 2, 3, 4)]
    np.testing.assert_allclose(
        compositing.composite(compositing.running_sum(ink), 0.7), np.tanh(np.stack(sums) / 0.7), rtol=1e-5
    )


def test_canvas_gives_gradient_to_earlier_ink_only():
    ink = random_ink(4, 5, 6)
    gradient = jax.grad(lambda ink: compositing.composite(compositing.running_sum(ink), 0.7)[1].sum())(ink)
    total = np.asarray(ink[:2], float).sum(0)
    expected = np.stack([1 / np.cosh(total / 0.7) ** 2 / 0.7] * 2)
    np.testing.assert_allclose(gradient[:2], expected, rtol=1e-4)
    np.testing.assert_array_equal(gradient[2:], 0)
