"""Loading by name, MNIST as it is, and the resize against PIL and against its definition."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from dood_jax.data import load, pack
from dood_jax.data.dataset import resize
from dood_jax.data.sources import data_directory
from dood_jax.errors import BadInput

COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}


@pytest.fixture
def toy_dir(tmp_path):
    """A folder with three 28 x 28 images under MNIST's name."""
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28)).astype(np.uint8)
    np.savez(pack.path_of(tmp_path, "mnist", "train"), image=images, label=np.arange(3))
    return tmp_path


def bilinear_by_loop(image: np.ndarray, size: int) -> np.ndarray:
    """Every output pixel: a triangle as wide as the coarser of both grids, centred on it."""
    weights = np.zeros((size, len(image)))
    ratio = len(image) / size
    for i in range(size):
        centre = (i + 0.5) * ratio
        for j in range(len(image)):
            weights[i, j] = max(0, 1 - abs(j + 0.5 - centre) / max(ratio, 1))
        weights[i] /= weights[i].sum()
    return weights @ image @ weights.T


@pytest.mark.parametrize(("native", "size"), [(28, 50), (28, 20), (105, 50)])
def test_resize_is_antialiased_and_bilinear(native, size):
    images = np.random.default_rng(1).integers(0, 256, (3, native, native)).astype(np.uint8)
    resized = resize(images, size)
    assert resized.dtype == np.uint8
    for image, found in zip(images, resized, strict=True):
        by_pil = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(found, np.asarray(by_pil))
        np.testing.assert_allclose(found, bilinear_by_loop(image, size), atol=1)


def test_resize_leaves_images_of_the_size_alone():
    images = np.random.default_rng(2).integers(0, 256, (2, 50, 50)).astype(np.uint8)
    np.testing.assert_array_equal(resize(images, 50), images)


def test_load_resizes_and_keeps_labels(toy_dir):
    dataset = load("mnist", "train", str(toy_dir), 20)
    with np.load(toy_dir / "mnist_train.npz") as arrays:
        np.testing.assert_array_equal(dataset.images, resize(arrays["image"], 20))
    np.testing.assert_array_equal(dataset.labels, [0, 1, 2])
    assert dataset.metadata["source"] == str(toy_dir / "mnist_train.npz")


def test_unknown_name_and_split_are_refused(toy_dir):
    with pytest.raises(BadInput, match=r"data\.name='mnits' is not a known set; choose from .*mnist"):
        load("mnits", "train", str(toy_dir))
    with pytest.raises(BadInput, match="split='validation' is not known; choose from train, test"):
        load("mnist", "validation", str(toy_dir))


def test_missing_file_is_refused_saying_where_it_was_looked_for(toy_dir):
    with pytest.raises(BadInput) as refused:
        load("mnist", "test", str(toy_dir))
    assert str(toy_dir / "mnist_test.npz") in str(refused.value)
    assert "data.dir" in str(refused.value)


def test_directory_is_the_one_given_then_the_environments_then_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOOD_DATA_DIR", "/there")
    assert str(data_directory("/here")) == "/here"
    assert str(data_directory(None)) == "/there"
    monkeypatch.delenv("DOOD_DATA_DIR")
    assert data_directory(None) == tmp_path / "tensorflow_datasets"


@pytest.mark.parametrize(
    ("split", "checksum"),
    [
        ("train", "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757"),
        ("test", "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161"),
    ],
)
def test_mnist_is_complete(data_dir, split, checksum):
    dataset = load("mnist", split, str(data_dir), 28)
    assert dataset.images.shape == (sum(COUNTS[split]), 28, 28)
    np.testing.assert_array_equal(np.bincount(dataset.labels), COUNTS[split])
    assert hashlib.sha256(dataset.images.tobytes()).hexdigest() == checksum
    assert dataset.images[0, 0].max() == 0, "ink is white on black"
