"""The files as their authors publish them, read into our conventions: upright, white ink on black."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from dood_jax.data import idx, omniglot, quickdraw
from dood_jax.data.catalog import CATALOG
from dood_jax.data.dataset import Dataset, take
from dood_jax.errors import BadInput


def digits(images: Path, labels: Path, name: str, split: str) -> Dataset:
    """MNIST or KMNIST from two gzipped idx files."""
    arrays = [idx.read(str(path), path.read_bytes()) for path in (images, labels)]
    return _labelled(*arrays, name, split, str(images))


def emnist(archive: Path, split: str) -> Dataset:
    """EMNIST balanced from the published zip of all its selections, turned upright."""
    arrays = []
    for kind, axes in (("images", 3), ("labels", 1)):
        member = f"gzip/emnist-balanced-{split}-{kind}-idx{axes}-ubyte.gz"
        arrays.append(idx.read(f"{member} in {archive}", _member(archive, member)))
    return _labelled(arrays[0].transpose(0, 2, 1), arrays[1], "emnist", split, str(archive))


def drawings(files: Mapping[str, Path], split: str, per_category: int) -> Dataset:
    """Quick, Draw! from the bitmaps of some categories, a fifth of each held out.

    Args:
      files: npy files of uint8 [N, 784] by category.
      split: train or test.
      per_category: most drawings of a category over both splits; 0: all.
    """
    pictures, labels = [], []
    for label, (category, path) in enumerate(files.items()):
        try:
            bitmaps = np.load(path, mmap_mode="r", allow_pickle=False)
            bitmaps = bitmaps.reshape(-1, 28, 28)
        except (OSError, ValueError, EOFError) as error:
            raise BadInput(
                f"{path} does not hold the drawings of {category} ({error}); fetch it anew"
            ) from error
        order = np.random.default_rng(label).permutation(len(bitmaps))
        rows = np.sort(order[: per_category or len(bitmaps)])
        pictures.append(np.asarray(bitmaps[rows]))
        labels.append(np.full(len(rows), label, np.int32))
    metadata = {"name": "quickdraw", "split": split, "source": "npy bitmaps", "classes": tuple(files)}
    both = Dataset(np.concatenate(pictures), np.concatenate(labels), metadata)
    return take(both, np.flatnonzero(quickdraw.held_out(both.labels) == (split == "test")))


def characters(archive: Path, split: str) -> Dataset:
    """Omniglot from the zip of its background (train) or evaluation (test) set, inverted, sorted."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = sorted(name for name in opened.namelist() if name.endswith(".png"))
            images = [np.asarray(Image.open(io.BytesIO(opened.read(name))).convert("L")) for name in members]
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise BadInput(f"{archive} is not a whole zip of pictures ({error}); fetch it anew") from error
    if not members:
        raise BadInput(f"{archive} holds no png pictures; it should be Omniglot's {split} set")
    parts = [name.split("/")[-3:] for name in members]  # alphabet, characterNN, IIII_DD.png
    names = np.array([alphabet for alphabet, _, _ in parts])
    alphabets, alphabet = np.unique(names, return_inverse=True)
    character = np.array([int(folder.removeprefix("character")) for _, folder, _ in parts])
    char_id, drawer = np.array([file[:-4].split("_") for _, _, file in parts], int).T
    labels = omniglot.labels_of(alphabet, character)
    attributes = dict(zip(omniglot.ATTRIBUTES, (alphabet, character, drawer, char_id), strict=True))
    classes = omniglot.class_names(names, character, labels)
    metadata = {"name": "omniglot", "split": split, "source": str(archive)}
    metadata.update(classes=classes, alphabets=tuple(alphabets.tolist()))
    return Dataset(255 - np.stack(images), labels, metadata, attributes)


def _labelled(images: np.ndarray, labels: np.ndarray, name: str, split: str, source: str) -> Dataset:
    size, classes = CATALOG[name].size, CATALOG[name].classes
    if images.shape != (len(labels), size, size) or labels.ndim != 1 or int(labels.max()) >= len(classes):
        raise BadInput(
            f"{source} holds {list(images.shape)} pixels, {list(labels.shape)} labels up to {labels.max()};"
            f" {name} has [N, {size}, {size}] and {len(classes)} classes"
        )
    metadata = {"name": name, "split": split, "source": source, "classes": classes}
    return Dataset(images, labels.astype(np.int32), metadata)


def _member(archive: Path, name: str) -> bytes:
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.read(name)
    except (OSError, zipfile.BadZipFile, KeyError, EOFError) as error:
        raise BadInput(f"{archive} does not give {name} ({error}); fetch it anew") from error
