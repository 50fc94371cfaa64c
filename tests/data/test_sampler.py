"""Examples are chosen by seed, step and place in the global batch, and by nothing else."""

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.data import sampler
from dood_jax.data.synthetic import random_drawing


def key_numbers(seed, step, indices) -> np.ndarray:
    keys = sampler.example_keys(seed, step, jnp.asarray(indices))
    return np.asarray(jax.random.key_data(keys))


def test_a_key_depends_on_its_own_index_alone():
    whole = key_numbers(3, 17, np.arange(12))
    np.testing.assert_array_equal(key_numbers(3, 17, np.arange(4, 8)), whole[4:8])
    np.testing.assert_array_equal(key_numbers(3, 17, [11, 0, 5]), whole[[11, 0, 5]])


def test_a_traced_step_gives_the_same_keys():
    traced = jax.jit(lambda step: jax.random.key_data(sampler.example_keys(3, step, jnp.arange(4))))
    np.testing.assert_array_equal(traced(17), key_numbers(3, 17, np.arange(4)))


def test_seed_step_and_index_each_give_new_keys():
    keys = [key_numbers(seed, step, np.arange(6)) for seed in range(3) for step in range(4)]
    assert len(np.unique(np.concatenate(keys), axis=0)) == 3 * 4 * 6


def test_resident_pictures_are_chosen_evenly_and_scaled():
    images = jnp.broadcast_to(jnp.array([0, 51, 255], jnp.uint8)[:, None, None], (3, 2, 2))
    keys = jax.random.split(jax.random.key(0), 3000)
    picked = np.asarray(jax.vmap(sampler.pick_resident, in_axes=(None, 0))(images, keys))
    assert picked.dtype == np.float32
    values, counts = np.unique(picked[:, 0, 0], return_counts=True)
    np.testing.assert_allclose(values, [0, 0.2, 1], rtol=1e-6)
    assert np.all(np.abs(counts - 1000) < 4 * np.sqrt(3000 * 2 / 9))


def test_a_picked_picture_is_whole():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4)).astype(np.uint8)
    for seed in range(8):
        picked = np.asarray(sampler.pick_resident(images, jax.random.key(seed)))
        assert any(np.allclose(picked * 255, image, atol=1e-3) for image in images)


def test_synthetic_pictures_are_random_drawings_of_the_blank_size():
    blank = np.zeros((1, 20, 20), np.uint8)
    both = jax.jit(lambda key: (sampler.pick_synthetic(blank, key), random_drawing(key, 20).image))
    picked, drawn = both(jax.random.key(4))
    np.testing.assert_allclose(picked, drawn, atol=1e-6)
    assert drawn.max() > 0.5
