"""Patches and patch encoders against loops in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit

from dood_jax.model.networks import PatchEncoder, patches

FEATURES = 7


def random_images(count, size):
    return np.random.default_rng(size).uniform(0, 1, (count, size, size)).astype(np.float32)


def features_of(encoder, images):
    """Features of [n, H, W] images, each with its own embedding."""
    return encoder.encode(sum(encoder.embed(i, patches(image)) for i, image in enumerate(images)))


@functools.cache
def encoder_and_params(num_images, size):
    encoder = PatchEncoder(num_images, FEATURES)
    init = jax.jit(functools.partial(encoder.init, method=features_of))
    variables = init(jax.random.key(size), random_images(num_images, size))
    spread = np.random.default_rng(0)  # so that no bias is zero
    return encoder, jax.tree.map(
        lambda leaf: leaf + 0.1 * spread.normal(size=leaf.shape), variables["params"]
    )


def numpy_patches(image):
    rows, columns = (n // 5 for n in image.shape)
    cut = [[image[5 * i : 5 * i + 5, 5 * j : 5 * j + 5].ravel() for j in range(columns)] for i in range(rows)]
    return np.array(cut)


def numpy_windows(grid):
    """Windows of 2 x 2 for an even grid, of 3 x 3 that share a row or column for an odd one."""
    side = 2 if len(grid) % 2 == 0 else 3
    starts = range(0, len(grid) - side + 1, 2)
    return np.array([[grid[i : i + side, j : j + side].ravel() for j in starts] for i in starts])


def silu(x):
    return x * expit(x)


def numpy_features(params, images):
    def dense(name, x):
        return x @ np.asarray(params[name]["kernel"], float) + np.asarray(params[name]["bias"])

    embedded = sum(dense(f"embeddings_{i}", numpy_patches(image)) for i, image in enumerate(images))
    merged = dense("merge", numpy_windows(silu(embedded)))
    return silu(dense("out", silu(merged).ravel()))


@pytest.mark.parametrize("shape", [(10, 10), (25, 40), (50, 50)])
def test_patches_are_cut_row_by_row(shape):
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(patches(jnp.asarray(image)), numpy_patches(image))


@pytest.mark.parametrize("size", [20, 25])
@pytest.mark.parametrize("num_images", [1, 2])
def test_encoder_is_its_loop_on_even_and_odd_grids(num_images, size):
    encoder, params = encoder_and_params(num_images, size)
    images = random_images(num_images, size)
    actual = jax.jit(functools.partial(encoder.apply, method=features_of))({"params": params}, images)
    assert actual.shape == (FEATURES,)
    np.testing.assert_allclose(actual, numpy_features(params, images), rtol=1e-4, atol=1e-5)


def test_two_images_are_one_embedding_of_both_patches_side_by_side():
    encoder, params = encoder_and_params(2, 10)
    both = np.stack([numpy_patches(image) for image in random_images(2, 10)])
    kernels = np.concatenate([params[f"embeddings_{i}"]["kernel"] for i in range(2)])
    bias = params["embeddings_0"]["bias"] + params["embeddings_1"]["bias"]
    embedded = sum(encoder.apply({"params": params}, i, both[i], method="embed") for i in range(2))
    expected = np.concatenate(list(both), axis=-1) @ kernels + bias
    np.testing.assert_allclose(embedded, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [20, 25])
def test_every_pixel_of_every_image_reaches_the_features(size):
    encoder, params = encoder_and_params(2, size)

    def total(images):
        return encoder.apply({"params": params}, images, method=features_of).sum()

    gradient = jax.jit(jax.grad(total))(jnp.asarray(random_images(2, size)))
    assert (gradient != 0).all()
