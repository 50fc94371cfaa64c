"""The shuffle is one to one, another under other words, and as even as chance; epochs follow from it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax.data import example_stream
from dood_jax.errors import BadInput


@functools.cache
def whole_shuffle(size: int):
    """Words -> all entries."""
    entry = functools.partial(example_stream.shuffled, grid=example_stream.shuffle_grid(size))
    return jax.jit(lambda words: jax.vmap(lambda place: entry(place, words=words))(jnp.arange(size)))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 97, 100, 7011, 60000])
def test_every_number_comes_once(size):
    for seed in range(3):
        entries = np.asarray(whole_shuffle(size)(example_stream.shuffle_words(jax.random.key(seed))))
        np.testing.assert_array_equal(np.sort(entries), np.arange(size))


def test_all_orders_of_four_are_about_equally_likely():
    words = jax.vmap(example_stream.shuffle_words)(jax.random.split(jax.random.key(0), 12000))
    orders = np.asarray(jax.vmap(whole_shuffle(4))(words))
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    chi_squared = ((counts - 500) ** 2 / 500).sum()
    assert chi_squared < 49.7, "0.1 % of fair shuffles exceed it (23 degrees of freedom)"


def test_neighbours_do_not_stay_together():
    entries = np.asarray(whole_shuffle(60000)(example_stream.shuffle_words(jax.random.key(5)))).astype(int)
    assert abs(np.corrcoef(entries[:-1], entries[1:])[0, 1]) < 4 / np.sqrt(60000)
    assert abs(np.corrcoef(entries, np.arange(60000))[0, 1]) < 4 / np.sqrt(60000)
    assert np.mean(np.abs(np.diff(entries)) == 1) < 1e-3


def rows_of_steps(seed: int, steps: range, batch_size: int, size: int) -> np.ndarray:
    """[S * B] rows in the order in which they are seen."""
    stream = example_stream.make_stream(seed, 0, size, batch_size)
    at_step = jax.jit(lambda step: example_stream.rows(stream, step, jnp.arange(batch_size), batch_size))
    return np.concatenate([np.asarray(at_step(np.int32(step))) for step in steps])


def test_each_epoch_sees_each_image_once_in_an_order_of_its_own():
    """100 does not divide into batches of 8: every second epoch begins inside a batch."""
    seen = rows_of_steps(0, range(50), 8, 100).reshape(4, 100)
    for epoch in seen:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(100))
    for one in range(4):
        for other in range(one):
            assert (seen[one] == seen[other]).mean() < 0.1
    assert (rows_of_steps(1, range(50), 8, 100) == seen.ravel()).mean() < 0.1, "the seed matters"


def test_a_batch_may_be_larger_than_the_set():
    seen = rows_of_steps(0, range(7), 10, 7).reshape(10, 7)
    assert all(sorted(epoch) == list(range(7)) for epoch in seen)


def test_rows_follow_from_the_step_alone_and_not_from_the_split_of_the_batch():
    whole = rows_of_steps(3, range(17, 20), 12, 100)
    np.testing.assert_array_equal(rows_of_steps(3, range(18, 20), 12, 100), whole[12:])
    stream = example_stream.make_stream(3, 0, 100, 12)
    of_part = jax.jit(lambda part: example_stream.rows(stream, np.int32(17), part, 12))
    for part in (np.arange(4), np.arange(4, 8), np.array([11, 0, 5, 8])):
        np.testing.assert_array_equal(of_part(part), whole[part])


def test_places_are_right_after_more_examples_than_32_bits_hold():
    size, batch_size = 92474, 4096
    for step in (0, 92473, 92474, 1_500_000, 2**31 - 1):
        for index in (0, 17, 4095):
            epoch, position = example_stream._epoch_and_position(
                jnp.int32(step), jnp.int32(index), batch_size, np.uint32(size)
            )
            assert divmod(step * batch_size + index, size) == (int(epoch), int(position))


def test_more_images_and_examples_than_places_are_refused():
    with pytest.raises(BadInput, match=r"training\.batch_size=65536 times 65536 images"):
        example_stream.make_stream(0, 0, 65536, 65536)


def test_no_two_purposes_of_a_seed_share_a_key():
    bits = lambda key: tuple(np.asarray(jax.random.key_data(key)).tolist())
    purposes = ("shuffles", "parameters", "evaluation")
    others = [example_stream.purpose_key(3, purpose) for purpose in purposes]
    folded = [jax.random.fold_in(key, i) for key in others for i in range(20)]
    examples = [key for step in range(20) for key in example_stream.example_keys(3, step, jnp.arange(4))]
    everything = [bits(key) for key in [*others, *folded, *examples]]
    assert len(set(everything)) == len(everything)
