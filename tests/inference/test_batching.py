"""Images in batches: every one is computed, in its place, with no more strokes than its batch has."""

import time

import jax
import numpy as np
import pytest

from dood_jax.inference import batching


def echo(params, images, keys):
    """What a compiled function sees, as results."""
    assert len(images) == len(keys)
    batch = np.full(len(images), len(images))
    return {"sum": params + images.sum((1, 2)), "key": jax.random.key_data(keys), "batch": batch}


@pytest.mark.parametrize(
    ("count", "batch_size", "num_devices", "size"),
    [
        (7, 3, 1, 3),
        (9, 3, 2, 4),
        (7, 9, 1, 9),
        (9, 9, 2, 10),
        (6, 3, 1, 3),
        (1, 4, 2, 2),
        (4, 9, 1, 1),
        (4, 4, 1, 4),
        (8, 9, 2, 2),
    ],
)
def test_batches_have_one_size_and_results_come_back_in_place(count, batch_size, num_devices, size):
    images = np.random.default_rng(0).random((count, 4, 4))
    keys = batching.example_keys(jax.random.key(0), count)
    results = batching.in_batches(echo, 1.0, images, keys, batch_size, num_devices)
    np.testing.assert_array_equal(results["batch"], np.full(count, size))
    np.testing.assert_allclose(results["sum"], 1 + images.sum((1, 2)))
    np.testing.assert_array_equal(results["key"], jax.random.key_data(keys))


@pytest.mark.parametrize(
    ("drawn", "strokes", "sizes"),
    [
        # A batch has 24 strokes at most; 12, 8, 6 and 4 drawings of 2, 3, 4 and 6 strokes.
        ([0] * 5 + [1] * 4 + [2] * 3, {0: 2, 1: 2, 2: 2}, {2: 12}),
        ([3] * 9 + [4] * 3 + [5] * 2, {3: 3, 4: 4, 5: 6}, {3: 8, 4: 1, 6: 1}),
        ([2] * 5 + [3] * 3 + [4] * 5, {2: 3, 3: 3, 4: 4}, {3: 8, 4: 6}),  # too few of two strokes
        ([1, 3, 4, 6], {1: 2, 3: 3, 4: 4, 6: 6}, {2: 1, 3: 1, 4: 1, 6: 1}),  # few go one by one
        ([1, 3, 4, 6, 6], {1: 4, 3: 4, 4: 4, 6: 6}, {4: 1, 6: 1}),
        ([6], {6: 6}, {6: 1}),
        ([8, 7, 7, 7, 8], {7: 8, 8: 8}, {8: 3}),
    ],
)
def test_drawings_go_with_those_of_about_as_many_strokes(drawn, strokes, sizes):
    random = np.random.default_rng(0)
    drawn = random.permutation(drawn)
    presence = np.arange(max(*drawn, 6))[None] < drawn[:, None]
    images = random.random((len(drawn), 4, 4))

    def function_of(count):
        def compiled(params, images, beside):
            same = np.full(len(images), count)
            return same, params * images.sum((1, 2)), beside, np.full(len(images), len(images))

        return compiled

    beside = np.arange(len(drawn))
    found = batching.by_stroke_count(function_of, 2.0, images, beside, presence.astype(np.float32))
    counts, sums, places, batches = found
    np.testing.assert_array_equal(counts, [strokes[number] for number in drawn])
    np.testing.assert_allclose(sums, 2 * images.sum((1, 2)))
    np.testing.assert_array_equal(places, beside)
    np.testing.assert_array_equal(batches, [sizes[count] for count in counts])


def test_what_a_batch_raises_is_raised_at_once(monkeypatch):
    monkeypatch.setattr(batching, "_batches_at_a_time", lambda num_devices: 2)
    seen = []

    def fails(params, images, beside):
        seen.append(beside.min())
        if beside.min() == 20:
            raise ValueError("of a later batch")
        time.sleep(0.02)
        return images

    images = np.zeros((1000, 4, 4))
    with pytest.raises(ValueError, match="of a later batch"):
        batching.in_batches(fails, 1.0, images, np.arange(1000), 5)
    assert 20 in seen and len(seen) < 100


def test_keys_go_by_place_in_the_set():
    numbers = lambda count, seed=0: np.asarray(
        jax.random.key_data(batching.example_keys(jax.random.key(seed), count))
    )
    np.testing.assert_array_equal(numbers(3), numbers(9)[:3])
    assert len(np.unique(np.concatenate([numbers(9), numbers(9, seed=1)]), axis=0)) == 18
