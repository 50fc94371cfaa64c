"""The published encoder: golden features, loops in NumPy, and what dropout does."""

import jax
import jax.numpy as jnp
import numpy as np
import published
import pytest
from oracles import assert_close_to_largest

from dood_jax.model.published import ConvEncoder

SIZE = 9


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (SIZE, SIZE)).astype(np.float32)


@pytest.fixture(scope="module")
def params(image) -> dict:
    return ConvEncoder(6, 0.5).init(jax.random.key(0), image)["params"]


def encode(params, image, key=None, rate=0.5):
    rngs = {} if key is None else {"dropout": key}
    return ConvEncoder(6, rate).apply({"params": params}, image, rngs=rngs)


def convolve(units, layer):
    """[H, W, C] -> [H-2, W-2, C'], a window at a time."""
    height, width, _ = units.shape
    out = np.zeros((height - 2, width - 2, layer["bias"].size))
    for i in range(height - 2):
        for j in range(width - 2):
            out[i, j] = np.tensordot(units[i : i + 3, j : j + 3], layer["kernel"], 3) + layer["bias"]
    return np.maximum(out, 0)


def features_by_loop(params, image, keep=lambda units: units):
    units = convolve(convolve(np.float64(image)[..., None], params["conv1"]), params["conv2"])
    hidden = np.tanh(keep(units).reshape(-1) @ params["dense0"]["kernel"] + params["dense0"]["bias"])
    return hidden @ params["out"]["kernel"] + params["out"]["bias"]


def test_golden_features(golden, golden_dir):
    weights = published.load_weights(golden_dir, "M")
    params: dict = {}
    for name, values in weights.items():
        network, *rest = name.split("/")
        if network == "encoder_x":
            params.setdefault(rest[0], {})[rest[1]] = values
    found = jax.jit(ConvEncoder(256, 0.5).apply)({"params": params}, golden["encoder/image"])
    assert_close_to_largest(found, golden["encoder/out"], 5e-6)


def test_features_are_those_of_the_loops(params, image):
    np.testing.assert_allclose(encode(params, image), features_by_loop(params, image), rtol=1e-4, atol=1e-5)


def test_images_may_have_leading_axes(params, image):
    together = encode(params, np.stack([image, 1 - image]))
    np.testing.assert_allclose(together[1], encode(params, 1 - image), rtol=1e-5, atol=1e-6)


def test_dropout_needs_a_key_and_differs_by_it(params, image):
    one, again, other = (encode(params, image, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).min() > 0
    np.testing.assert_array_equal(encode(params, image, jax.random.key(0), rate=0.0), encode(params, image))


@pytest.mark.parametrize("rate", [0.25, 0.5])
def test_dropped_units_are_the_share_asked_for_and_the_rest_is_scaled_up(rate):
    """Seen through a layer that passes units on: convolutions of ones, no bias."""
    size = 40
    encoder = ConvEncoder(1, rate)
    ones = jnp.ones((size, size))
    params = jax.tree_util.tree_map(jnp.zeros_like, encoder.init(jax.random.key(0), ones)["params"])
    params["conv1"]["bias"], params["conv2"]["bias"] = jnp.ones(8), jnp.ones(16)
    params["dense0"]["kernel"] += 1e-6
    params["out"]["kernel"] += 1e6
    keys = jax.random.split(jax.random.key(3), 16)
    found = [encoder.apply({"params": params}, ones, rngs={"dropout": key})[0] for key in keys]
    count = (size - 4) ** 2 * 16
    kept = np.arctanh(np.float64(found) * 1e-6) * 1e6 * (1 - rate) / count
    assert np.std(kept) > 0
    np.testing.assert_allclose(kept, 1 - rate, atol=5 * np.sqrt(rate * (1 - rate) / count))
