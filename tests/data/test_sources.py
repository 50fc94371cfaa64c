"""Loading by name, MNIST as it is, and the resize against PIL and against its definition."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from dood_jax.config.groups import DataConfig
from dood_jax.data import load, pack
from dood_jax.data.dataset import resize
from dood_jax.data.sources import data_directory, load_configured, validation_rows
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
    with pytest.raises(BadInput, match=r"split='valid' is not known; choose from train, test, .*validation"):
        load("mnist", "valid", str(toy_dir))


@pytest.mark.parametrize(("count", "number"), [(1, 0), (2, 1), (3, 1), (19, 1), (60, 3), (60_000, 3000)])
def test_validation_images_are_a_random_twentieth_at_least_one(count, number):
    rows = validation_rows(count)
    assert len(np.unique(rows)) == len(rows) == number
    np.testing.assert_array_equal(rows, validation_rows(count))
    assert not number or 0 <= rows.min() <= rows.max() < count
    if count == 60_000:
        shares = np.histogram(rows, 10, (0, count))[0] / number
        np.testing.assert_allclose(shares, 0.1, atol=0.02)


@pytest.mark.parametrize("count", [2, 7, 45])
def test_validation_images_and_the_others_make_up_the_training_split(tmp_path, count):
    """With labels and whatever else belongs to an image; `train` is all of them."""
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28)).astype(np.uint8)
    label, number = np.arange(count) % 10, np.arange(count)
    np.savez(pack.path_of(tmp_path, "mnist", "train"), image=images, label=label, source_index=number)
    data = DataConfig("mnist", str(tmp_path), 28)
    whole = load_configured(data, "train")
    parts = [load_configured(data, split) for split in ("train_without_validation", "validation")]
    assert [len(part.labels) for part in parts] == [count - len(validation_rows(count)), len(parts[1].labels)]
    order = np.concatenate([part.attributes["source_index"] for part in parts])
    np.testing.assert_array_equal(np.sort(order), number)
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), images[order])
    np.testing.assert_array_equal(np.concatenate([part.labels for part in parts]), label[order])
    np.testing.assert_array_equal(whole.images, images)
    assert [part.metadata["split"] for part in parts] == ["train_without_validation", "validation"]


def test_a_single_image_is_for_training(tmp_path):
    image = np.zeros((1, 28, 28), np.uint8)
    np.savez(pack.path_of(tmp_path, "mnist", "train"), image=image, label=[0])
    assert len(load("mnist", "train_without_validation", str(tmp_path)).labels) == 1
    with pytest.raises(BadInput, match="has 1 training image; give at least 2"):
        load("mnist", "validation", str(tmp_path))


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
