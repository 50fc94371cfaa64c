"""Overlaid images against SciPy's affine resampling and the darker of two images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import enlarged_by_pil
from scipy import ndimage

from dood_jax.data import example_stream
from dood_jax.rendering.source_grid import was_enlarged

SIZE = 50


def blot(row: float, column: float, width: float = 3.0) -> np.ndarray:
    """A soft spot around a pixel."""
    rows, columns = np.indices((SIZE, SIZE))
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2)).astype(np.float32)


def moved(image: np.ndarray, seed: int) -> np.ndarray:
    return np.asarray(example_stream._moved(jnp.asarray(image), jax.random.key(seed)))


@pytest.fixture
def unmoved(monkeypatch):
    monkeypatch.setattr(example_stream, "_SCALE_RANGE", (1.0, 1.0))
    monkeypatch.setattr(example_stream, "_MAX_SHIFT", 0.0)
    monkeypatch.setattr(example_stream, "_MAX_ROTATION", 0.0)


def test_images_that_are_not_moved_give_the_darker_of_both(unmoved):
    first, second = blot(15, 20), blot(30, 32)
    found = example_stream.lay_over(jnp.asarray(first), jnp.asarray(second), jax.random.key(0), 0)
    np.testing.assert_allclose(found, np.maximum(first, second), atol=1e-5)


def centre(image: np.ndarray) -> np.ndarray:
    """(row, column) of the ink, from the middle of the image."""
    return np.array(ndimage.center_of_mass(image)) - (SIZE - 1) / 2


@pytest.mark.parametrize("seed", range(4))
def test_moving_is_one_affine_map_of_the_image(seed):
    """The map is read off three spots; SciPy takes an image of lines through it."""
    middle, reach = (SIZE - 1) / 2, 5.0
    places = np.array([[0.0, 0.0], [reach, 0.0], [0.0, reach]])
    onto = np.array([centre(moved(blot(*(middle + place), 1.5), seed)) for place in places])
    forward = np.stack([(onto[1] - onto[0]) / reach, (onto[2] - onto[0]) / reach], axis=1)
    backward = np.linalg.inv(forward)
    lines = np.clip(blot(22, 27, 2) + blot(28, 20, 2.5), 0, 1)
    offset = middle - backward @ (middle + onto[0])
    wanted = ndimage.affine_transform(lines, backward, offset, order=1)
    np.testing.assert_allclose(moved(lines, seed), wanted, atol=0.04)
    sides = np.linalg.norm(forward, axis=1)
    assert (sides > 1 / 1.62).all() and (sides < 1 / 0.89).all()
    assert np.abs(moved(lines, seed) - lines).max() > 0.3


def test_overlaid_enlarged_images_look_enlarged_and_others_do_not():
    lay_over = lambda image, other: example_stream.lay_over(image, other, jax.random.key(2), 28)
    first, second = jnp.asarray(enlarged_by_pil(28, SIZE)), jnp.asarray(enlarged_by_pil(28, SIZE, 1))
    assert was_enlarged(28, lay_over(first, second))
    assert not was_enlarged(28, lay_over(jnp.asarray(enlarged_by_pil(105, SIZE)), second))


def test_keys_move_images_differently_and_each_of_both():
    spot = jnp.asarray(blot(24, 24, 2))
    lay_over = lambda seed: np.asarray(example_stream.lay_over(spot, spot, jax.random.key(seed), 0))
    assert np.abs(lay_over(0) - lay_over(1)).max() > 0.5
    assert ndimage.label(lay_over(3) > 0.3)[1] == 2
