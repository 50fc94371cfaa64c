"""Examples are chosen by seed, step and place in the global batch, and by nothing else."""

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.data import example_stream
from dood_jax.data.synthetic import random_drawing


def key_numbers(seed, step, indices) -> np.ndarray:
    keys = example_stream.example_keys(seed, step, jnp.asarray(indices))
    return np.asarray(jax.random.key_data(keys))


def test_a_key_depends_on_its_own_index_alone():
    whole = key_numbers(3, 17, np.arange(12))
    np.testing.assert_array_equal(key_numbers(3, 17, np.arange(4, 8)), whole[4:8])
    np.testing.assert_array_equal(key_numbers(3, 17, [11, 0, 5]), whole[[11, 0, 5]])


def test_a_traced_step_gives_the_same_keys():
    traced = jax.jit(lambda step: jax.random.key_data(example_stream.example_keys(3, step, jnp.arange(4))))
    np.testing.assert_array_equal(traced(17), key_numbers(3, 17, np.arange(4)))


def test_seed_step_and_index_each_give_new_keys():
    keys = [key_numbers(seed, step, np.arange(6)) for seed in range(3) for step in range(4)]
    assert len(np.unique(np.concatenate(keys), axis=0)) == 3 * 4 * 6


def test_a_resident_image_is_the_one_of_its_row_scaled():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4)).astype(np.uint8)
    key = jax.random.key(0)
    picked = jax.vmap(example_stream.sample_example, in_axes=(None, 0, None))(
        jnp.asarray(images), jnp.array([3, 0, 3]), key
    ).image
    assert picked.dtype == np.float32
    np.testing.assert_allclose(picked, images[[3, 0, 3]] / 255, rtol=1e-6)


def test_synthetic_images_are_random_drawings_of_the_blank_size():
    blank = np.zeros((1, 20, 20), np.uint8)
    both = jax.jit(
        lambda key: (example_stream.sample_synthetic(blank, 0, key).image, random_drawing(key, 20).image)
    )
    picked, drawn = both(jax.random.key(4))
    np.testing.assert_allclose(picked, drawn, atol=1e-6)
    assert drawn.max() > 0.5


def test_a_fraction_of_images_is_overlaid_and_the_others_stay_plain():
    images = np.random.default_rng(0).integers(0, 256, (7, 8, 8)).astype(np.uint8)
    pick = jax.jit(jax.vmap(example_stream.overlay_sampler(0.25, 0), in_axes=(None, 0, 0)))
    rows = jnp.arange(2000) % len(images)
    picked = pick(images, rows, jax.random.split(jax.random.key(3), 2000))
    stays = (np.abs(picked.image - images[rows] / 255) < 1e-6).all((1, 2))
    np.testing.assert_array_equal(picked.is_plain, stays)
    assert abs(stays.mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 2000)
