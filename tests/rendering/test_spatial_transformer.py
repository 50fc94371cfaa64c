"""Bilinear windows against SciPy's interpolation with zeros outside the image."""

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from oracles import LAYOUT, RAMP, SIZE, assert_close_to_largest, matrix_of

from dood_jax import geometry
from dood_jax.rendering import brushes, spatial_transformer

glimpse = jax.jit(spatial_transformer.glimpse, static_argnames="size")
warp = jax.jit(spatial_transformer.warp, static_argnames="size")
IDENTITY = jnp.array([(1.0, 0, 0), (0, 1, 0)])
LAYOUTS = [(0.2, -0.3, 0.5, 0.4), (-0.8, 0.8, 1.0, 0.7), (0.1, 0.2, 2.5, -2.0), (3.0, 0, 0.4, 0)]


def random_images(*shape):
    return np.random.default_rng(1).uniform(0, 1, shape).astype(np.float32)


def warp_by(name):
    """One golden image warped by a layout's matrix or its inverse."""

    def of_one(image, layout):
        matrix = geometry.layout_to_matrix(layout)
        return warp(image[None], geometry.invert(matrix) if name == "placed" else matrix, SIZE)[0]

    return jax.vmap(of_one)


def test_published_glimpse_of_the_ramp():
    image = glimpse(RAMP[None], jnp.asarray(LAYOUT), SIZE)[0]
    corners = [image[0, 0], image[49, 49], image[25, 25]]
    np.testing.assert_allclose(corners, [0.031087, 0.678432, 0.361366], atol=2e-6)


def test_published_placing_of_the_ramp():
    placed = warp(RAMP[None], geometry.invert(geometry.layout_to_matrix(LAYOUT)), SIZE)[0]
    pixels = [placed[17, 30], placed[25, 25], placed[0, 0]]
    np.testing.assert_allclose(pixels, [0.485323, 0.856754, 0], atol=3e-6)


@pytest.mark.parametrize("name", ["glimpse", "placed"])
def test_golden_warps_and_their_gradients(golden, name):
    def weigh(image, layout):
        warped = warp_by(name)(image, layout)
        return (golden["warp/cotangent"] * warped).sum(), warped

    inputs = jnp.asarray(golden["warp/picture"]), jnp.asarray(golden["warp/layout"])
    (d_image, d_layout), warped = jax.jit(jax.grad(weigh, argnums=(0, 1), has_aux=True))(*inputs)
    assert_close_to_largest(warped, golden[f"warp/{name}"], 4e-5)
    assert_close_to_largest(d_image, golden[f"warp/{name}_d_picture"], 1.5e-4)
    assert_close_to_largest(d_layout, golden[f"warp/{name}_d_layout"], 1.5e-4)


@pytest.mark.parametrize("size", [(50, 50), (25, 25), (9, 14)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_warp_reads_every_channel_bilinearly_at_any_size(layout, size):
    images = random_images(2, 20, 31)
    matrix = matrix_of(layout)
    expected = np.stack([oracles.warp(image, matrix, size) for image in images])
    np.testing.assert_allclose(warp(images, jnp.asarray(matrix, jnp.float32), size), expected, atol=4e-5)


def test_identity_returns_the_image():
    images = random_images(3, 20, 31)
    np.testing.assert_allclose(warp(images, IDENTITY, (20, 31)), images, atol=1e-5)


def test_window_beside_the_image_is_blank_and_has_no_gradient():
    aside = IDENTITY.at[0, 2].set(2.5)
    images = random_images(1, 20, 20)
    np.testing.assert_array_equal(warp(images, aside, (20, 20)), 0)
    np.testing.assert_array_equal(jax.grad(lambda m: warp(images, m, (20, 20)).sum())(aside), 0)


def test_gradient_to_the_image_is_the_weight_of_each_pixel():
    matrix = matrix_of((0.2, -0.1, 0.9, 0.3))
    read = jax.jacobian(lambda image: warp(image[None], jnp.asarray(matrix, jnp.float32), (3, 2))[0])
    weights = read(jnp.asarray(random_images(4, 5))).reshape(3, 2, 20)
    expected = [oracles.warp(pixel.reshape(4, 5), matrix, (3, 2)) for pixel in np.eye(20)]
    np.testing.assert_allclose(weights, np.moveaxis(expected, 0, -1), atol=1e-5)


def test_gradient_to_the_shift_is_the_slope_of_the_image():
    def reading(layout):
        return glimpse(RAMP[None], layout, (5, 5)).mean()

    gradient = jax.grad(reading)(jnp.array([0.1, -0.2, 0.3, 0.2]))
    np.testing.assert_allclose(gradient[:2], [49 / 2 / 2500, 49 / 2 * 50 / 2500], rtol=1e-4)


def test_glimpse_passes_gradient_to_the_layout_only():
    def reading(images, layout):
        return glimpse(images, layout, (25, 25)).sum()

    d_images, d_layout = jax.grad(reading, argnums=(0, 1))(
        jnp.asarray(random_images(2, 50, 50)), jnp.asarray(LAYOUT)
    )
    np.testing.assert_array_equal(d_images, 0)
    assert (np.abs(d_layout) > 1).all()


@pytest.mark.parametrize("layout", LAYOUTS[:2])
def test_placed_image_of_a_dot_lies_within_a_pixel_of_the_placed_dot(layout):
    matrix = geometry.layout_to_matrix(jnp.asarray(layout, jnp.float32))
    dot = jnp.array([[0.55, 0.45]])
    image = warp(brushes.splat(dot, jnp.float32(0.03), SIZE)[None], geometry.invert(matrix), SIZE)[0]
    rows, columns = (geometry.brush_pixels(n) for n in SIZE)
    centre = np.array([(image.sum(0) * columns).sum(), (image.sum(1) * rows).sum()]) / image.sum()
    np.testing.assert_allclose(centre, geometry.place_points(matrix, dot)[0], atol=1 / 50)


def test_images_without_a_channel_axis_are_refused():
    with pytest.raises(AssertionError):
        warp(jnp.zeros(SIZE), IDENTITY, SIZE)
