"""Files of the datasets as their authors published them, read as we have images: upright, white on black.

MNIST, KMNIST and EMNIST are gzipped IDX files, Quick, Draw! is an npy file for each category, and Omniglot a
zip of images. Quick, Draw! has no test split of its own: a fifth of each category becomes one here.
"""

import gzip
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dood_jax.config.datasets import CATALOG
from dood_jax.data import omniglot
from dood_jax.data.dataset import MOST_BYTES, Dataset, take
from dood_jax.data.omniglot import OneShotRuns
from dood_jax.errors import BadInput

_SPLIT_SEED = 20_000
_TEST_PARTS = 5  # one drawing of so many is a test image


def read_idx(place: str, compressed: bytes) -> np.ndarray:
    """The uint8 array of a gzipped IDX file: a magic number, the sizes of the axes, then bytes.

    Raises BadInput, naming the place that the file comes from, if it is damaged.
    """
    try:
        content = gzip.GzipFile(fileobj=io.BytesIO(compressed)).read(MOST_BYTES)
        zeros, kind, axes = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{axes}I", content, 4)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise BadInput(f"{place} is not a whole gzipped idx file ({error}); fetch it anew") from error
    start = 4 + 4 * axes
    if zeros or kind != 8 or len(content) != start + math.prod(shape):
        raise BadInput(f"{place} is not an idx file of {list(shape)} bytes; fetch it anew")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def digits(images: Path, labels: Path, name: str, split: str) -> Dataset:
    """MNIST or KMNIST from two gzipped IDX files."""
    arrays = [read_idx(str(path), path.read_bytes()) for path in (images, labels)]
    return _labelled(arrays[0], arrays[1], name, split, str(images))


def emnist(archive: Path, split: str) -> Dataset:
    """EMNIST balanced from the published zip of all its selections, turned upright."""
    arrays = []
    for kind, axes in (("images", 3), ("labels", 1)):
        member = f"gzip/emnist-balanced-{split}-{kind}-idx{axes}-ubyte.gz"
        arrays.append(read_idx(f"{member} in {archive}", _member(archive, member)))
    return _labelled(arrays[0].transpose(0, 2, 1), arrays[1], "emnist", split, str(archive))


def drawings(files: Mapping[str, Path], split: str, per_category: int) -> Dataset:
    """Quick, Draw! from the bitmaps of some categories, a fifth of each for `test`.

    A category gives the same drawings whatever other categories are chosen.

    Args:
      files: npy files of uint8 [N, 784] by category.
      split: train or test.
      per_category: most drawings of a category over both splits; 0: all.
    """
    images, labels = [], []
    for label, (category, path) in enumerate(files.items()):
        try:
            bitmaps = np.load(path, mmap_mode="r", allow_pickle=False)
            bitmaps = bitmaps.reshape(-1, 28, 28)
        except (OSError, ValueError, EOFError) as error:
            raise BadInput(
                f"{path} does not hold the drawings of {category} ({error}); fetch it anew"
            ) from error
        order = np.random.default_rng(list(category.encode())).permutation(len(bitmaps))
        rows = np.sort(order[: per_category or len(bitmaps)])
        images.append(np.asarray(bitmaps[rows]))
        labels.append(np.full(len(rows), label, np.int32))
    metadata = {"name": "quickdraw", "split": split, "source": "npy bitmaps", "classes": tuple(files)}
    both = Dataset(np.concatenate(images), np.concatenate(labels), metadata)
    return take(both, np.flatnonzero(in_test_split(both.labels) == (split == "test")))


def characters(archive: Path, split: str) -> Dataset:
    """Omniglot from the zip of its background (train) or evaluation (test) set, inverted, sorted."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = sorted(name for name in opened.namelist() if name.endswith(".png"))
            images = [np.asarray(Image.open(io.BytesIO(opened.read(name))).convert("L")) for name in members]
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise BadInput(f"{archive} is not a whole zip of images ({error}); fetch it anew") from error
    if not members:
        raise BadInput(f"{archive} holds no png images; it should be Omniglot's {split} set")
    parts = [name.split("/")[-3:] for name in members]  # alphabet, characterNN, IIII_DD.png
    names = np.array([alphabet for alphabet, _, _ in parts])
    alphabets, alphabet = np.unique(names, return_inverse=True)
    character = np.array([int(folder.removeprefix("character")) for _, folder, _ in parts])
    char_id, drawer = np.array([file[:-4].split("_") for _, _, file in parts], int).T
    labels = omniglot.labels_of(alphabet, character)
    attributes = dict(zip(omniglot.ATTRIBUTES, (alphabet, character, drawer, char_id), strict=True))
    metadata: dict[str, Any] = {"name": "omniglot", "split": split, "source": str(archive)}
    metadata["classes"] = omniglot.class_names(names, character, labels)
    metadata["alphabets"] = tuple(alphabets.tolist())
    return Dataset(255 - np.stack(images), labels, metadata, attributes)


def one_shot_runs(archive: Path) -> OneShotRuns:
    """Omniglot's published runs of one-shot classification from their zip, inverted, 105 x 105 pixels."""

    def images(names: Iterable[str]) -> np.ndarray:
        opened = (Image.open(io.BytesIO(_member(archive, name))) for name in names)
        return 255 - np.stack([np.asarray(image.convert("L")) for image in opened])

    runs = []
    try:
        for run in range(1, omniglot.NUM_RUNS + 1):
            words = _member(archive, f"run{run:02d}/class_labels.txt").decode().split()
            pairs = sorted(zip(words[::2], words[1::2], strict=True))  # a query and its support
            names = sorted(support for _, support in pairs)
            answers = np.array([names.index(support) for _, support in pairs], np.int32)
            runs.append((images(names), images(query for query, _ in pairs), answers))
        return OneShotRuns(*(np.stack(parts) for parts in zip(*runs, strict=True)))
    except BadInput:
        raise
    except (OSError, ValueError) as error:
        raise BadInput(f"{archive} does not hold Omniglot's runs ({error}); fetch it anew") from error


def select(dataset: Dataset, categories: tuple[str, ...], per_category: int) -> Dataset:
    """The drawings of some categories of Quick, Draw!, labelled by their place among those found.

    Args:
      dataset: one split, with the names of its classes in `metadata`.
      categories: those wanted; those that the set lacks are named in `metadata`.
      per_category: most drawings of a category over both splits, a fifth of them in test; 0: all.

    Raises:
      BadInput: the set has none of the categories.
    """
    classes = list(dataset.metadata["classes"])
    found = tuple(name for name in categories if name in classes)
    lacking = tuple(name for name in categories if name not in classes)
    if not found:
        raise BadInput(
            f"data.categories: {dataset.metadata['source']} has none of {_brief(categories)};"
            f" it has {', '.join(classes)}"
        )
    new_label = np.full(len(classes), -1, np.int32)
    new_label[[classes.index(name) for name in found]] = np.arange(len(found))
    rows = np.flatnonzero(new_label[dataset.labels] >= 0)
    if per_category:
        num_test = per_category // _TEST_PARTS
        most = num_test if dataset.metadata["split"] == "test" else per_category - num_test
        rows = rows[_rank_in_class(dataset.labels[rows]) < most]
    chosen = take(dataset, rows)
    metadata = {**dataset.metadata, "classes": found, "lacking": lacking}
    return chosen._replace(labels=new_label[chosen.labels], metadata=metadata)


def in_test_split(labels: np.ndarray) -> np.ndarray:
    """Which of [N] drawings, by label, are test images if nobody split them: bool [N], a fifth of a class."""
    sizes = np.bincount(labels)
    return _rank_in_class(labels) < sizes[labels] // _TEST_PARTS


def _rank_in_class(labels: np.ndarray) -> np.ndarray:
    """[N] place of every drawing in a random order of its class: always the same, whatever other classes."""
    rank = np.empty(len(labels), np.int64)
    by_class = np.argsort(labels, kind="stable")
    for rows in np.split(by_class, np.cumsum(np.bincount(labels))[:-1]):
        rank[rows] = np.random.default_rng(_SPLIT_SEED).permutation(len(rows))
    return rank


def _brief(names: tuple[str, ...]) -> str:
    """The first ten names, and how many more there are."""
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"


def _labelled(images: np.ndarray, labels: np.ndarray, name: str, split: str, source: str) -> Dataset:
    """A set of images and labels that fit the catalogue; else raises BadInput."""
    size, classes = CATALOG[name].size, CATALOG[name].classes
    if images.shape != (len(labels), size, size) or labels.ndim != 1 or int(labels.max()) >= len(classes):
        raise BadInput(
            f"{source} holds {list(images.shape)} pixels, {list(labels.shape)} labels up to {labels.max()};"
            f" {name} has [N, {size}, {size}] and {len(classes)} classes"
        )
    metadata = {"name": name, "split": split, "source": source, "classes": classes}
    return Dataset(images, labels.astype(np.int32), metadata)


def _member(archive: Path, name: str) -> bytes:
    """A file in a zip; raises BadInput if it is not there or damaged."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.read(name)
    except (OSError, zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise BadInput(f"{archive} does not give {name} ({error}); fetch it anew") from error
