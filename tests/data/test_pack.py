"""The npz pack: what is read, and that no damaged file passes."""

import numpy as np
import pytest

from dood_jax.data import pack
from dood_jax.errors import BadInput

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 9, 7)).astype(np.uint8)
LABELS = np.array([3, 1, 4, 1, 5, 9], np.uint8)


@pytest.fixture
def path(tmp_path):
    """A good file."""
    path = pack.path_of(tmp_path, "toy", "test")
    np.savez_compressed(path, image=IMAGES, label=LABELS)
    return path


def assert_refused(path, *also: str) -> None:
    """One line that names the file."""
    with pytest.raises(BadInput) as refused:
        pack.read(path, "toy", "test")
    message = str(refused.value)
    assert str(path) in message
    assert "\n" not in message
    for words in also:
        assert words in message


def test_round_trip(path):
    dataset = pack.read(path, "toy", "test")
    assert path.name == "toy_test.npz"
    np.testing.assert_array_equal(dataset.images, IMAGES)
    np.testing.assert_array_equal(dataset.labels, LABELS)
    assert (dataset.images.dtype, dataset.labels.dtype) == (np.uint8, np.int32)
    assert dataset.metadata == {"name": "toy", "split": "test", "source": str(path)}


def test_missing_file_is_refused(tmp_path):
    assert_refused(tmp_path / "toy_test.npz")


@pytest.mark.parametrize("fraction", [0, 0.01, 0.3, 0.9])
def test_truncated_file_is_refused(path, fraction):
    whole = path.read_bytes()
    path.write_bytes(whole[: int(fraction * len(whole))])
    assert_refused(path)


def test_no_flipped_byte_passes_unless_the_arrays_are_unharmed(path):
    """Every 7th byte in turn: read as written, or refused."""
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            dataset = pack.read(path, "toy", "test")
        except BadInput:
            refused += 1
            continue
        np.testing.assert_array_equal(dataset.images, IMAGES)
        np.testing.assert_array_equal(dataset.labels, LABELS)
    assert refused > len(whole) / 7 / 2


@pytest.mark.parametrize("content", [b"not a zip", b"\x93NUMPY", b"PK\x03\x04"])
def test_foreign_file_is_refused(path, content):
    path.write_bytes(content)
    assert_refused(path)


def test_a_single_array_under_the_name_of_a_pack_is_refused(path):
    with path.open("wb") as file:
        np.save(file, IMAGES)
    assert_refused(path)


@pytest.mark.parametrize("missing", ["image", "label"])
def test_missing_array_is_refused(path, missing):
    arrays = {"image": IMAGES, "label": LABELS}
    del arrays[missing]
    np.savez(path, **arrays)
    assert_refused(path, missing)


@pytest.mark.parametrize(
    ("image", "label"),
    [
        (IMAGES.astype(np.float32), LABELS),
        (IMAGES[0], LABELS),
        (IMAGES[..., None], LABELS),
        (IMAGES, LABELS[:-1]),
        (IMAGES, LABELS[:, None]),
        (IMAGES, LABELS + 0.5),
        (IMAGES, LABELS.astype(str)),
        (IMAGES, LABELS.astype(object)),
        (IMAGES[:0], LABELS[:0]),
    ],
    ids=["float", "one", "colour", "short", "column", "fractions", "words", "objects", "empty"],
)
def test_arrays_of_another_kind_are_refused(path, image, label):
    np.savez(path, image=image, label=label)
    assert_refused(path)
