"""Canvases on the grid that an image was recorded on, by PIL's enlargement and NumPy's least squares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import enlarged_by_pil
from PIL import Image

from dood_jax.rendering.source_grid import onto_source_grid_of, to_source_grid, was_enlarged

NATIVE, SIZE = 6, 10


def nearest_by_least_squares(canvas: np.ndarray, native: int, limit=lambda pixels: pixels) -> np.ndarray:
    """What PIL enlarges each lone pixel to spans the enlarged images; the canvas, projected on them.

    The pixels of the small image may be limited before they are enlarged.
    """
    columns = []
    for lit in range(native**2):
        small = np.zeros(native**2, np.float32)
        small[lit] = 1
        large = Image.fromarray(small.reshape(native, native)).resize(canvas.shape, Image.Resampling.BILINEAR)
        columns.append(np.asarray(large, float).ravel())
    span = np.stack(columns, 1)
    weights, *_ = np.linalg.lstsq(span, canvas.ravel(), rcond=None)
    return (span @ limit(weights)).reshape(canvas.shape)


@pytest.mark.parametrize("native", [14, 28, 40])
def test_an_enlarged_image_is_known_in_spite_of_rounding(native):
    assert was_enlarged(native, jnp.asarray(enlarged_by_pil(native, 50)))
    assert not was_enlarged(native, jnp.asarray(enlarged_by_pil(48, 50)))


def test_a_blank_image_may_have_been_enlarged_and_a_reduced_one_was_not():
    assert was_enlarged(28, jnp.zeros((50, 50)))
    reduced = enlarged_by_pil(105, 50)
    assert not was_enlarged(28, jnp.asarray(reduced))


@pytest.mark.parametrize("seed", range(3))
def test_a_canvas_becomes_the_nearest_enlarged_image(seed):
    image, canvas = enlarged_by_pil(NATIVE, SIZE), np.random.default_rng(seed).uniform(0, 1, (SIZE, SIZE))
    found = to_source_grid(NATIVE, jnp.asarray(image), jnp.asarray(canvas, jnp.float32))
    np.testing.assert_allclose(found, np.clip(nearest_by_least_squares(canvas, NATIVE), 0, 1), atol=2e-6)
    assert np.abs(found - canvas).max() > 0.1


def test_the_image_itself_stays_and_so_do_several_canvases_each_on_its_own():
    image = jnp.asarray(enlarged_by_pil(NATIVE, SIZE))
    canvases = jnp.stack([image, 1 - image, jnp.zeros_like(image)])
    found = to_source_grid(NATIVE, image, canvases)
    np.testing.assert_allclose(found, canvases, atol=3 / 255)
    for canvas, alone in zip(canvases, found, strict=True):
        np.testing.assert_allclose(to_source_grid(NATIVE, image, canvas), alone, atol=1e-6)


@pytest.mark.parametrize("native", [0, SIZE, SIZE + 3])
def test_without_a_smaller_grid_canvases_stay(native):
    image, canvas = jnp.asarray(enlarged_by_pil(NATIVE, SIZE)), jnp.asarray(enlarged_by_pil(SIZE, SIZE, 1))
    np.testing.assert_array_equal(to_source_grid(native, image, canvas), canvas)


def test_canvases_stay_beside_an_image_that_was_not_enlarged_and_blank_ones_always():
    sharp, canvas = jnp.asarray(enlarged_by_pil(SIZE, SIZE)), jnp.asarray(enlarged_by_pil(SIZE, SIZE, 1))
    np.testing.assert_array_equal(to_source_grid(NATIVE, sharp, canvas), canvas)
    blank = jnp.zeros((1, 1))
    np.testing.assert_array_equal(
        to_source_grid(NATIVE, jnp.asarray(enlarged_by_pil(NATIVE, SIZE)), blank), blank
    )


def test_the_gradient_is_projected_as_the_canvas_is_unless_it_is_clipped():
    image, random = jnp.asarray(enlarged_by_pil(NATIVE, SIZE)), np.random.default_rng(2)
    weights, grey = random.normal(size=(SIZE, SIZE)), random.uniform(0.4, 0.6, (SIZE, SIZE))
    weigh = lambda canvas: (to_source_grid(NATIVE, image, canvas) * weights).sum()
    slopes = jax.grad(weigh)(jnp.asarray(grey, jnp.float32))
    np.testing.assert_allclose(slopes, nearest_by_least_squares(weights, NATIVE), atol=1e-5)
    assert not jax.grad(weigh)(jnp.full((SIZE, SIZE), 2.0)).any()


def test_an_image_recorded_anew_is_an_enlarged_one_of_pixels_from_white_to_black():
    image, sharp = enlarged_by_pil(NATIVE, SIZE), np.random.default_rng(5).uniform(-0.2, 1.2, (SIZE, SIZE))
    found = onto_source_grid_of(NATIVE, jnp.asarray(image), jnp.asarray(sharp, jnp.float32))
    clip = lambda pixels: np.clip(pixels, 0, 1)
    np.testing.assert_allclose(found, nearest_by_least_squares(sharp, NATIVE, clip), atol=1e-5)
    assert was_enlarged(NATIVE, found)


def test_recorded_anew_an_enlarged_image_stays_and_so_does_any_beside_one_that_was_not_enlarged():
    image, sharp = jnp.asarray(enlarged_by_pil(NATIVE, SIZE)), jnp.asarray(enlarged_by_pil(SIZE, SIZE, 1))
    np.testing.assert_allclose(onto_source_grid_of(NATIVE, image, image), image, atol=3 / 255)
    np.testing.assert_array_equal(onto_source_grid_of(NATIVE, sharp, image), image)
    np.testing.assert_array_equal(onto_source_grid_of(0, image, sharp), sharp)
