"""One way to load a split of any dataset, wherever its files lie.

Three kinds of source are tried in this order, and the one that is used is named in the log: a directory that
TensorFlow Datasets (TFDS) prepared, the npz pack, and the authors' files, which TFDS downloads and prepares
with our builders. Decoded and resized images are kept in a cache on disk.

Training images are divided once more. Validation images are 5 % of the training split; whatever is decided
while training (the best checkpoint, early stopping, settings) is decided by them, so they are never trained
on. `train` goes on to mean the whole training split.
"""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import logging

from dood_jax.config import datasets
from dood_jax.config.datasets import CATALOG, FOLDER, SPLITS, SYNTHETIC
from dood_jax.config.groups import DataConfig
from dood_jax.data import cache, folder, omniglot, originals, pack, prepared
from dood_jax.data.dataset import Dataset, resize, take
from dood_jax.data.omniglot import OneShotRuns
from dood_jax.errors import BadInput, first_line

VALIDATION = "validation"  # 5 % of `train`
TRAIN_WITHOUT_VALIDATION = "train_without_validation"  # the other 95 %
ALL_SPLITS = (*SPLITS, TRAIN_WITHOUT_VALIDATION, VALIDATION)

_VALIDATION_FRACTION = 0.05
_VALIDATION_SEED = 20_001
_CACHE_FORMAT = 1  # raise it when the same files give other arrays than before
_RUNS_URL = "https://github.com/brendenlake/omniglot/raw/master/python/one-shot-classification/all_runs.zip"
_TFDS_DEFAULT = "~/tensorflow_datasets"


class Source(NamedTuple):
    """Where a split lies, and how it is read at the size in which it was published."""

    kind: str
    place: Path
    read: Callable[[], Dataset]
    fingerprint: str | None  # sha256 of the files; None: not known, so the images are not cached
    note: str = ""  # how the set differs from the published one


class Request(NamedTuple):
    """What `load` was asked for, checked."""

    name: str
    split: str
    image_size: int
    transpose: bool
    categories: tuple[str, ...]  # of Quick, Draw!; () for other sets
    per_category: int


def load(
    name: str,
    split: str,
    dir: str | None = None,
    image_size: int = 50,
    *,
    transpose: bool = False,
    categories: str | Sequence[str] = datasets.PUBLISHED_CATEGORIES,
    per_category: int = 0,
) -> Dataset:
    """Loads one split at the model's image size.

    Args:
      name: mnist, emnist, kmnist, quickdraw, omniglot, or folder for images of one's own.
      split: train or test, or a part of train: validation or train_without_validation.
      dir: the data directory; else $DOOD_DATA_DIR, else `~/tensorflow_datasets`. For `folder` the folder.
      image_size: pixels of a side of the square images that are returned.
      transpose: EMNIST lying on its side, as it was published.
      categories: of Quick, Draw!: names, also joined by commas, or `all`.
      per_category: most drawings of a category in train and test together, a fifth of them in test; 0: all.

    Returns:
      Images (memory-mapped and read-only where they could be cached), labels, and what is known about them.

    Raises:
      BadInput: a value that cannot be used, or nothing usable found; the message says what was looked for
        where.
    """
    if datasets.require_name(name) == SYNTHETIC:
        raise BadInput(
            f"data.name={SYNTHETIC!r} is drawn, not loaded; choose from {', '.join(datasets.NAMES)}"
        )
    if split not in ALL_SPLITS:
        raise BadInput(f"split={split!r} is not known; choose from {', '.join(ALL_SPLITS)}")
    datasets.require_fitting(name, transpose, per_category)
    chosen = datasets.parse_categories(categories) if name == "quickdraw" else ()
    stored = split if split in SPLITS else "train"
    dataset = _load(Request(name, stored, image_size, transpose, chosen, per_category), data_directory(dir))
    return dataset if split == stored else _part_of_train(dataset, split)


def load_configured(data: DataConfig, split: str) -> Dataset:
    """The split that the settings of a run name, at the model's image size; see `load`."""
    return load(
        data.name,
        split,
        data.dir,
        data.image_size,
        transpose=data.transpose,
        categories=data.categories,
        per_category=data.per_category,
    )


def one_shot_runs(dir: str | None = None, image_size: int = omniglot.SIZE) -> OneShotRuns:
    """The 20 published runs of one-shot classification of Omniglot, at an image size.

    They are read from `omniglot_oneshot.npz` of the npz pack, else from the authors' `all_runs.zip`.

    Raises:
      BadInput: the data directory (see `load`) has neither file, or one that is damaged.
    """
    directory = data_directory(dir)
    packed, archive = directory / "omniglot_oneshot.npz", directory / "all_runs.zip"
    if packed.is_file():
        runs = omniglot.one_shot_runs(packed)
    elif archive.is_file():
        runs = originals.one_shot_runs(archive)
    else:
        raise BadInput(
            f"{directory} has neither {packed.name} nor {archive.name} with Omniglot's one-shot runs; fetch"
            f" {_RUNS_URL} into it, or give --config.one_shot.episodes=validation"
        )

    def resized(images: np.ndarray) -> np.ndarray:
        flat = resize(images.reshape(-1, *images.shape[2:]), image_size)
        return flat.reshape(*images.shape[:2], image_size, image_size)

    return OneShotRuns(resized(runs.supports), resized(runs.queries), runs.answers)


def validation_rows(count: int) -> np.ndarray:
    """Which of `count` training images are validation images: int64 [V], ascending.

    They are a random 5 %, at least one, but none of a single image, which is needed for training. The choice
    depends on the count alone: it is the same in every run, whatever the seed of the run.
    """
    number = min(max(1, round(_VALIDATION_FRACTION * count)), count - 1)
    return np.sort(np.random.default_rng(_VALIDATION_SEED).permutation(count)[:number])


def data_directory(dir: str | None) -> Path:
    """The directory given, else $DOOD_DATA_DIR, else TFDS's default."""
    return Path(dir or os.environ.get("DOOD_DATA_DIR") or _TFDS_DEFAULT).expanduser()


def _part_of_train(train: Dataset, split: str) -> Dataset:
    """The validation images of a training split, or all the others."""
    rows = validation_rows(len(train.labels))
    if split == VALIDATION and not len(rows):
        raise BadInput(
            f"{train.metadata['source']} has 1 training image; give at least 2, as validation needs one"
        )
    if split == TRAIN_WITHOUT_VALIDATION:
        rows = np.setdiff1d(np.arange(len(train.labels)), rows, assume_unique=True)
    return take(train, rows)._replace(metadata={**train.metadata, "split": split})


def _load(request: Request, directory: Path) -> Dataset:
    """A stored split, from the cache if it was read before."""
    try:
        source = _find(request, directory)
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read ({error.strerror}); mend its permissions") from error
    logging.info("%s %s: %s %s", request.name, request.split, source.kind, source.place)
    make = functools.partial(_make, source, request)
    if source.fingerprint is None:
        dataset = make()
    else:
        parts = {**request._asdict(), "content": source.fingerprint, "format": _CACHE_FORMAT}
        dataset = cache.fetch(cache.key(**parts), make)
    return _described(dataset, request, source)


def _find(request: Request, directory: Path) -> Source:
    """The first source that has the split."""
    name, split = request.name, request.split
    if name == FOLDER:
        files = folder.files_of(directory, split)
        read = functools.partial(folder.read_folder, directory, files, split, request.image_size)
        return Source("folder", directory, read, folder.fingerprint(directory, files))
    found = prepared.find(directory, name, split, request.categories)
    if found:
        return _from_prepared(found, request)
    path = pack.path_of(directory, name, split)
    if path.is_file():
        read = functools.partial(_read_pack, path, name, split)
        return Source("npz pack", path, read, pack.fingerprint(path))
    return _download(request, directory)


def _read_pack(path: Path, name: str, split: str) -> Dataset:
    """One split of the pack, with the names of its classes where these are not the same for every copy."""
    dataset = pack.read(path, name, split)
    try:
        if name == "omniglot":
            return omniglot.with_class_names(dataset)
        if name == "quickdraw":
            _ = dataset.metadata["classes"]  # the labels mean nothing without them
        return dataset
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise BadInput(f"{path} does not name its classes ({first_line(error)}); copy it anew") from error


def _from_prepared(found: prepared.Prepared, request: Request) -> Source:
    read = functools.partial(prepared.read, found, request.name, request.split, request.categories)
    fingerprint = prepared.fingerprint(found, request.name, request.split)
    return Source("TFDS directory", found.path, read, fingerprint, found.note)


def _download(request: Request, directory: Path) -> Source:
    """Fetches and prepares a whole set, unless half of it is there: sources are not mixed."""
    name, split = request.name, request.split
    entry, looked_for = CATALOG[name], pack.path_of(directory, name, split)
    prepared_set = directory / entry.tfds_name
    missing = f"no {name} {split} set: looked for {prepared_set}/**/{entry.version} and {looked_for}"
    remedy = "give --config.data.dir or $DOOD_DATA_DIR (or train without data: --config=configs/synthetic.py)"
    if any(pack.path_of(directory, name, other).is_file() for other in SPLITS):
        raise BadInput(f"{missing}, and only found the pack's other split; {remedy}")
    for half in prepared.find_all(directory, name):
        raise BadInput(f"{missing}; {half.path} has only {', '.join(half.splits)}; {remedy}")
    if not directory.is_dir() and directory != Path(_TFDS_DEFAULT).expanduser():
        raise BadInput(f"{missing}, but there is no such directory; {remedy}")
    from dood_jax.data import tfds_builders  # noqa: PLC0415 - imports TFDS

    logging.info("%s: neither prepared nor in a pack in %s; downloading", name, directory)
    try:
        builder = tfds_builders.make_builder(
            name, directory, categories=request.categories, per_category=request.per_category
        )
        tfds_builders.prepare(builder)
    except Exception as error:  # of the network, of the disk, of TFDS
        said = first_line(error)
        raise BadInput(f"{missing}, then downloading failed: {said}; {remedy}") from error
    found = prepared.find(directory, name, split, request.categories)
    if found:
        return _from_prepared(found, request)
    read = functools.partial(tfds_builders.read, builder, name, split)
    return Source("TFDS", Path(builder.data_dir), read, None)


def _make(source: Source, request: Request) -> Dataset:
    """Reads, selects, transposes and resizes."""
    dataset = source.read()
    if request.name == "quickdraw":
        dataset = originals.select(dataset, request.categories, request.per_category)
    if not len(dataset.labels):
        raise BadInput(
            f"{source.place} holds no images of {request.name} {request.split} that were asked for"
        )
    if request.transpose:
        dataset = dataset._replace(images=dataset.images.transpose(0, 2, 1))
    return dataset._replace(images=resize(dataset.images, request.image_size))


def _described(dataset: Dataset, request: Request, source: Source) -> Dataset:
    """Says in the metadata and in the log how the images compare with the published set."""
    name, split = request.name, request.split
    metadata = {**dataset.metadata, "name": name, "split": split, "source": str(source.place)}
    if name != FOLDER:
        entry = CATALOG[name]
        metadata.setdefault("classes", entry.classes)
        count, published = len(dataset.labels), entry.counts[split]
        notes = (source.note, _note(request, dataset.metadata, count, published))
        metadata["note"] = "; ".join(note for note in notes if note)
        if metadata["note"]:
            logging.warning("%s %s: %s", name, split, metadata["note"])
    return dataset._replace(metadata=metadata)


def _note(request: Request, metadata: dict, count: int, published: int) -> str:
    """How a set differs from the published one; "" if it has as many images and does not say otherwise."""
    if "source_names" in metadata:
        return f"a substitute for the published selection: {count:,} images, published {published:,}"
    if request.name == "quickdraw":
        lacking = ", ".join(metadata.get("lacking", ())[:10])
        lacks = f", without {lacking}" if lacking else ""
        kinds = len(metadata["classes"])
        return f"{count:,} drawings of {kinds} categories{lacks}; published {published:,} of 10"
    return "" if count == published else f"{count:,} of the {published:,} published images"
