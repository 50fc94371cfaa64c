"""What the tests of the data share: a cache of their own, and small packs of every set."""

from pathlib import Path

import numpy as np
import pytest

from dood_jax.config.datasets import CATALOG
from dood_jax.data import omniglot, pack

SHAPE = (105, 105)


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> Path:
    """Nothing is kept between tests, nor in the user's cache."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home


def toy_arrays(name: str, split: str, per_class: int = 5) -> dict[str, np.ndarray]:
    """Arrays of a pack with a few random images of some classes of a set."""
    random = np.random.default_rng([len(name), split == "test"])
    if name == "omniglot":
        return _toy_characters(random, split)
    classes = ("apple", "book", "cat", "eye", "tree") if name == "quickdraw" else CATALOG[name].classes
    label = random.permutation(np.repeat(np.arange(len(classes)), per_class)).astype(np.uint8)
    image = random.integers(0, 256, (len(label), 28, 28)).astype(np.uint8)
    arrays = {"image": image, "label": label}
    return arrays if name == "mnist" else {**arrays, "classes": np.array(classes)}


def _toy_characters(random: np.random.Generator, split: str) -> dict[str, np.ndarray]:
    """Two alphabets of two characters, each drawn by three."""
    drawn = random.random((12, *SHAPE)) < 0.1
    label = np.repeat(np.arange(4), 3)
    return {
        "image": np.packbits(drawn.reshape(12, -1), axis=1),
        "label": label.astype(np.int16),
        "alphabet": (label // 2).astype(np.uint8),
        "character": (label % 2 + 1).astype(np.uint8),
        "drawer": np.tile([1, 2, 3], 4).astype(np.uint8),
        "char_id": ((100 if split == "train" else 1000) - label).astype(np.int16),  # in another order
        "alphabet_names": np.array(omniglot.ALPHABETS[split][:2]),
        "shape": np.array(SHAPE),
    }


@pytest.fixture(scope="session")
def toy_pack(tmp_path_factory) -> Path:
    """A folder with a small pack of all five sets."""
    directory = tmp_path_factory.mktemp("pack")
    for name in CATALOG:
        for split in ("train", "test"):
            np.savez(pack.path_of(directory, name, split), **toy_arrays(name, split))
    return directory
