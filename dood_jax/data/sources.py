"""One way to load a split of any dataset, wherever it lies.

One interface to all sets of images.

Three sources are tried in this order, and the one taken is named in the log: a directory that TensorFlow
Datasets prepared, the npz pack, and the authors' files, downloaded and prepared by TFDS with our builders.

The images that the settings of a run name.
"""

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from dood_jax.config import datasets as categories_of_quickdraw
from dood_jax.config.datasets import CATALOG, FOLDER, NAMES, SPLITS, SYNTHETIC, require_fitting, require_name
from dood_jax.config.groups import DataConfig
from dood_jax.data import cache, folder, omniglot, originals, pack, prepared
from dood_jax.data.dataset import Dataset, resize
from dood_jax.errors import BadInput, first_line

_CACHE_FORMAT = 1  # to be raised when the same files shall give other arrays
_TFDS_DEFAULT = "~/tensorflow_datasets"


class Source(NamedTuple):
    """Where a split lies and how it is read at its native size."""

    kind: str
    place: Path
    read: Callable[[], Dataset]
    fingerprint: str | None  # of the content; None: unknown, so nothing is kept
    note: str = ""  # in what it is unlike the published set


class Wanted(NamedTuple):
    """What was asked for, checked."""

    name: str
    split: str
    image_size: int
    transpose: bool
    categories: tuple[str, ...]  # of Quick, Draw!, else ()
    per_category: int


def load(
    name: str,
    split: str,
    dir: str | None = None,
    image_size: int = 50,
    *,
    transpose: bool = False,
    categories: str | Sequence[str] = categories_of_quickdraw.PUBLISHED_CATEGORIES,
    per_category: int = 0,
) -> Dataset:
    """Loads one split at the model's image size.

    Args:
      name: mnist, emnist, kmnist, quickdraw, omniglot, or folder for images of one's own.
      split: train or test.
      dir: the data directory; else $DOOD_DATA_DIR, else `~/tensorflow_datasets`. For `folder` the folder.
      image_size: pixels of the square images returned.
      transpose: EMNIST lying on its side, as it was published.
      categories: of Quick, Draw!: names, also joined by commas, or `all`.
      per_category: most drawings of a category over both splits, a fifth of them in test; 0: all.

    Returns:
      Images (memory-mapped, read-only, where they could be cached), labels, and what is known about them.

    Raises:
      BadInput: a value that cannot be used, or nothing usable found, saying what was looked for where.
    """
    if require_name(name) == SYNTHETIC:
        raise BadInput(f"data.name={SYNTHETIC!r} is drawn, not loaded; choose from {', '.join(NAMES)}")
    if split not in SPLITS:
        raise BadInput(f"split={split!r} is not known; choose from {', '.join(SPLITS)}")
    require_fitting(name, transpose, per_category)
    chosen = categories_of_quickdraw.parse_categories(categories) if name == "quickdraw" else ()
    wanted = Wanted(name, split, image_size, transpose, chosen, per_category)
    try:
        source = _find(wanted, data_directory(dir))
    except OSError as error:
        raise BadInput(f"{error.filename} cannot be read ({error.strerror}); mend its permissions") from error
    logging.info("%s %s: %s %s", name, split, source.kind, source.place)
    make = functools.partial(_make, source, wanted)
    if source.fingerprint is None:
        dataset = make()
    else:
        parts = {**wanted._asdict(), "content": source.fingerprint, "format": _CACHE_FORMAT}
        dataset = cache.fetch(cache.key(**parts), make)
    return _described(dataset, wanted, source)


def data_directory(dir: str | None) -> Path:
    """The directory given, else $DOOD_DATA_DIR, else TensorFlow Datasets' default."""
    return Path(dir or os.environ.get("DOOD_DATA_DIR") or _TFDS_DEFAULT).expanduser()


def _find(wanted: Wanted, directory: Path) -> Source:
    """The first of the sources that has the split."""
    name, split = wanted.name, wanted.split
    if name == FOLDER:
        files = folder.files_of(directory, split)
        read = functools.partial(folder.read_folder, directory, files, split, wanted.image_size)
        return Source("folder", directory, read, folder.fingerprint(directory, files))
    found = prepared.find(directory, name, split, wanted.categories)
    if found:
        return _from_prepared(found, wanted)
    path = pack.path_of(directory, name, split)
    if path.is_file():
        return Source(
            "npz pack", path, functools.partial(_read_pack, path, name, split), pack.fingerprint(path)
        )
    return _download(wanted, directory)


def _read_pack(path: Path, name: str, split: str) -> Dataset:
    dataset = pack.read(path, name, split)
    try:
        return _NAMED.get(name, lambda read: read)(dataset)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise BadInput(f"{path} does not name its classes ({first_line(error)}); copy it anew") from error


def _with_categories(dataset: Dataset) -> Dataset:
    """Raises KeyError if there are none."""
    _ = dataset.metadata["classes"]
    return dataset


_NAMED = {"omniglot": omniglot.with_class_names, "quickdraw": _with_categories}


def _from_prepared(found: prepared.Prepared, wanted: Wanted) -> Source:
    read = functools.partial(prepared.read, found, wanted.name, wanted.split, wanted.categories)
    fingerprint = prepared.fingerprint(found, wanted.name, wanted.split)
    return Source("TFDS directory", found.path, read, fingerprint, found.note)


def _download(wanted: Wanted, directory: Path) -> Source:
    """Fetches and prepares a whole set; where half of one lies, it is not mixed with another source."""
    name, split = wanted.name, wanted.split
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
    from dood_jax.data import download  # noqa: PLC0415 - imports TFDS

    logging.info("%s: neither prepared nor in a pack in %s; downloading", name, directory)
    try:
        builder = download.make_builder(
            name, directory, categories=wanted.categories, per_category=wanted.per_category
        )
        download.prepare(builder)
    except Exception as error:  # of the network, of the disk, of TFDS
        said = first_line(error)
        raise BadInput(f"{missing}, then downloading failed: {said}; {remedy}") from error
    found = prepared.find(directory, name, split, wanted.categories)
    if found:
        return _from_prepared(found, wanted)
    read = functools.partial(download.read, builder, name, split)
    return Source("TFDS", Path(builder.data_dir), read, None)


def _make(source: Source, wanted: Wanted) -> Dataset:
    """Reads, selects, turns and resizes."""
    dataset = source.read()
    if wanted.name == "quickdraw":
        dataset = originals.select(dataset, wanted.categories, wanted.per_category)
    if not len(dataset.labels):
        raise BadInput(f"{source.place} holds no images of {wanted.name} {wanted.split} that were asked for")
    if wanted.transpose:
        dataset = dataset._replace(images=dataset.images.transpose(0, 2, 1))
    return dataset._replace(images=resize(dataset.images, wanted.image_size))


def _described(dataset: Dataset, wanted: Wanted, source: Source) -> Dataset:
    """Says in the metadata and in the log how the images compare with the published set."""
    metadata = {**dataset.metadata, "name": wanted.name, "split": wanted.split, "source": str(source.place)}
    if wanted.name != FOLDER:
        entry = CATALOG[wanted.name]
        metadata.setdefault("classes", entry.classes)
        count, published = len(dataset.labels), entry.counts[wanted.split]
        notes = (source.note, _note(wanted, dataset.metadata, count, published))
        metadata["note"] = "; ".join(note for note in notes if note)
        if metadata["note"]:
            logging.warning("%s %s: %s", wanted.name, wanted.split, metadata["note"])
    return dataset._replace(metadata=metadata)


def _note(wanted: Wanted, metadata: dict, count: int, published: int) -> str:
    """In what a set is unlike the published one; "" if it has as many images and does not say otherwise."""
    if "source_names" in metadata:
        return f"a substitute for the published selection: {count:,} images, published {published:,}"
    if wanted.name == "quickdraw":
        lacking = ", ".join(metadata.get("lacking", ())[:10])
        lacks = f", without {lacking}" if lacking else ""
        kinds = len(metadata["classes"])
        return f"{count:,} drawings of {kinds} categories{lacks}; published {published:,} of 10"
    return "" if count == published else f"{count:,} of the {published:,} published images"


def load_configured(data: DataConfig, split: str) -> Dataset:
    """One split, at the model's size; raises BadInput saying what was looked for where."""
    return load(
        data.name,
        split,
        data.dir,
        data.image_size,
        transpose=data.transpose,
        categories=data.categories,
        per_category=data.per_category,
    )
