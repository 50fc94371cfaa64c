"""Canvases on the grid that a picture was recorded on, by PIL's enlargement and NumPy's least squares."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from dood_jax.rendering.recording import as_recorded, was_enlarged

NATIVE, SIZE = 6, 10


def by_pil(native: int, size: int, seed: int = 0) -> np.ndarray:
    """A picture of `native` pixels a side, enlarged, as the sets hold them: 0..1 in 256 levels."""
    small = np.random.default_rng(seed).integers(0, 256, (native, native)).astype(np.uint8)
    large = Image.fromarray(small).resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(large, np.float32) / 255


def nearest_by_least_squares(canvas: np.ndarray, native: int) -> np.ndarray:
    """What PIL enlarges each lone pixel to spans the enlarged pictures; the canvas, projected on them."""
    columns = []
    for lit in range(native**2):
        small = np.zeros(native**2, np.float32)
        small[lit] = 1
        large = Image.fromarray(small.reshape(native, native)).resize(canvas.shape, Image.Resampling.BILINEAR)
        columns.append(np.asarray(large, float).ravel())
    span = np.stack(columns, 1)
    weights, *_ = np.linalg.lstsq(span, canvas.ravel(), rcond=None)
    return (span @ weights).reshape(canvas.shape)


@pytest.mark.parametrize("native", [14, 28, 40])
def test_an_enlarged_picture_is_known_in_spite_of_rounding(native):
    assert was_enlarged(native, jnp.asarray(by_pil(native, 50)))
    assert not was_enlarged(native, jnp.asarray(by_pil(48, 50)))


def test_a_blank_picture_may_have_been_enlarged_and_a_reduced_one_was_not():
    assert was_enlarged(28, jnp.zeros((50, 50)))
    reduced = by_pil(105, 50)
    assert not was_enlarged(28, jnp.asarray(reduced))


@pytest.mark.parametrize("seed", range(3))
def test_a_canvas_becomes_the_nearest_enlarged_picture(seed):
    image, canvas = by_pil(NATIVE, SIZE), np.random.default_rng(seed).uniform(0, 1, (SIZE, SIZE))
    found = as_recorded(NATIVE, jnp.asarray(image), jnp.asarray(canvas, jnp.float32))
    np.testing.assert_allclose(found, np.clip(nearest_by_least_squares(canvas, NATIVE), 0, 1), atol=2e-6)
    assert np.abs(found - canvas).max() > 0.1


def test_the_picture_itself_stays_and_so_do_several_canvases_each_on_its_own():
    image = jnp.asarray(by_pil(NATIVE, SIZE))
    canvases = jnp.stack([image, 1 - image, jnp.zeros_like(image)])
    found = as_recorded(NATIVE, image, canvases)
    np.testing.assert_allclose(found, canvases, atol=3 / 255)
    for canvas, alone in zip(canvases, found, strict=True):
        np.testing.assert_allclose(as_recorded(NATIVE, image, canvas), alone, atol=1e-6)


@pytest.mark.parametrize("native", [0, SIZE, SIZE + 3])
def test_without_a_smaller_grid_canvases_stay(native):
    image, canvas = jnp.asarray(by_pil(NATIVE, SIZE)), jnp.asarray(by_pil(SIZE, SIZE, 1))
    np.testing.assert_array_equal(as_recorded(native, image, canvas), canvas)


def test_canvases_stay_beside_a_picture_that_was_not_enlarged_and_blank_ones_always():
    sharp, canvas = jnp.asarray(by_pil(SIZE, SIZE)), jnp.asarray(by_pil(SIZE, SIZE, 1))
    np.testing.assert_array_equal(as_recorded(NATIVE, sharp, canvas), canvas)
    blank = jnp.zeros((1, 1))
    np.testing.assert_array_equal(as_recorded(NATIVE, jnp.asarray(by_pil(NATIVE, SIZE)), blank), blank)


def test_the_gradient_is_projected_as_the_canvas_is_unless_it_is_clipped():
    image, random = jnp.asarray(by_pil(NATIVE, SIZE)), np.random.default_rng(2)
    weights, grey = random.normal(size=(SIZE, SIZE)), random.uniform(0.4, 0.6, (SIZE, SIZE))
    weigh = lambda canvas: (as_recorded(NATIVE, image, canvas) * weights).sum()
    slopes = jax.grad(weigh)(jnp.asarray(grey, jnp.float32))
    np.testing.assert_allclose(slopes, nearest_by_least_squares(weights, NATIVE), atol=1e-5)
    assert not jax.grad(weigh)(jnp.full((SIZE, SIZE), 2.0)).any()
