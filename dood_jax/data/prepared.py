"""Datasets that TensorFlow Datasets (TFDS) prepared, with its builders or ours, read without TensorFlow."""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from dood_jax.config.datasets import CATALOG
from dood_jax.data import folder, omniglot, originals
from dood_jax.data.dataset import Dataset, take
from dood_jax.errors import BadInput, first_line

NOTE = "Note: "  # begins the description of a dataset that differs from the published one
_INFO = "dataset_info.json"  # the description of a prepared directory
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_CHUNK = 1000  # records read at a time


class Prepared(NamedTuple):
    """A directory that TFDS prepared, and its own description."""

    path: Path
    info: dict[str, Any]  # of `dataset_info.json`

    @property
    def splits(self) -> dict[str, int]:
        """The number of images of each split."""
        return {
            split["name"]: sum(map(int, split.get("shardLengths", [])))
            for split in self.info.get("splits", [])
        }

    @property
    def form(self) -> str:
        """The format of its files; the description leaves it out where it is TFDS's standard."""
        return self.info.get("fileFormat", "tfrecord")

    @property
    def note(self) -> str:
        """How the dataset differs from the published one, if whoever prepared it said so."""
        description = self.info.get("description", "")
        return description.removeprefix(NOTE) if description.startswith(NOTE) else ""


def find(directory: Path, name: str, split: str, categories: tuple[str, ...]) -> Prepared | None:
    """The prepared directory of a split below a data directory, or that directory itself; None without one.

    Of several that can be read it is the newest version, or, for Quick, Draw!, the one with most of the
    categories. Raises BadInput if another dataset is there, or one in a format that needs TensorFlow.
    """
    found = find_all(directory, name)
    usable = [prepared for prepared in found if _rows_of(prepared, name, split)]
    if not usable:
        return None
    best = max(usable, key=lambda prepared: _preference(prepared, categories))
    _require_array_record(best)
    return best


def find_all(directory: Path, name: str) -> list[Prepared]:
    """Every complete prepared directory of a dataset, whatever its splits.

    Raises BadInput if the directory given is itself a prepared one, of another dataset.
    """
    entry = CATALOG[name]
    if (directory / _INFO).is_file():
        places = [directory]
    else:
        top = directory / entry.tfds_name
        places = [*top.glob(f"{entry.config}/*" if entry.config else "*")]
        places += top.glob("*/*") if name == "quickdraw" else []
        places = [place for place in places if _VERSION.fullmatch(place.name) and (place / _INFO).is_file()]
    found = [_described(place) for place in places]
    for prepared in found:
        _require_same(prepared, name)
    return found


def fingerprint(prepared: Prepared, name: str, split: str) -> str:
    """sha256 of all files that decide what `read` returns."""
    stored = _stored_split(prepared, split)
    digest = hashlib.sha256()
    for path in sorted(prepared.path.iterdir()):
        if path.suffix in (".json", ".txt") or path.name.startswith(f"{CATALOG[name].tfds_name}-{stored}."):
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def read(prepared: Prepared, name: str, split: str, categories: tuple[str, ...] = ()) -> Dataset:
    """One split in our conventions; raises BadInput if the directory is damaged.

    Of Quick, Draw! only the given categories are read: all 50 million drawings do not fit into memory.
    """
    import tensorflow_datasets as tfds  # noqa: PLC0415 - takes a second, which others need not wait

    stored = _stored_split(prepared, split)
    try:
        builder = tfds.builder_from_directory(prepared.path)
        is_file = isinstance(builder.info.features["image"], tfds.features.Image)
        decoders = {"image": tfds.decode.SkipDecoding()} if is_file else None
        records = builder.as_data_source(stored, decoders=decoders)
        features = builder.info.features
        chosen: Iterable[dict] = _in_order(records)
        if categories:
            names = features["label"].names
            chosen = (record for record in chosen if names[record["label"]] in categories)
        dataset = read_records(chosen, features, name, split, str(prepared.path))
    except BadInput:
        raise
    except Exception as error:  # array_record and protobuf raise kinds of their own
        said = first_line(error)
        raise BadInput(
            f"{prepared.path} cannot be read as a prepared {name} {split} set ({said}); delete it and prepare"
            f" it anew: python -m dood_jax.data.prepare --name={name}"
        ) from error
    if len(records) != prepared.splits[stored]:
        raise BadInput(
            f"{prepared.path} has {len(records)} records of {prepared.splits[stored]}; prepare it anew"
        )
    if name == "quickdraw" and "test" not in prepared.splits:
        dataset = take(dataset, np.flatnonzero(originals.in_test_split(dataset.labels) == (split == "test")))
    return dataset


def read_records(records: Iterable[dict], features: Any, name: str, split: str, source: str) -> Dataset:
    """Records of TFDS as a dataset.

    Args:
      records: with `image`, uint8 [h, w, channels] or an encoded file, `label`, and more.
      features: of the dataset, with the names of its classes.
      name: of the dataset.
      split: of the dataset.
      source: for the metadata.
    """
    size = CATALOG[name].size
    read: list[np.ndarray] = []
    columns: dict[str, list[int]] = {"label": []}
    for record in records:
        read.append(_one_channel(record["image"]))
        for column in record.keys() - {"image"}:
            columns.setdefault(column, []).append(record[column])
    images = np.array(read, np.uint8).reshape(-1, size, size)
    values = {column: np.array(entries) for column, entries in columns.items()}
    metadata = {"name": name, "split": split, "source": source}
    if name == "omniglot":
        return _omniglot(images, values, features, metadata)
    if name == "emnist":
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    classes = CATALOG[name].classes or tuple(features["label"].names)
    return Dataset(images, values["label"].astype(np.int32), {**metadata, "classes": classes})


def _in_order(records: Any) -> Iterator[dict]:
    """Records of a data source, read many at a time, which is seven times faster than one by one."""
    for start in range(0, len(records), _CHUNK):
        yield from records.__getitems__(list(range(start, min(start + _CHUNK, len(records)))))


def _omniglot(images: np.ndarray, values: dict, features: Any, metadata: dict) -> Dataset:
    """Omniglot from uint8 [N, h, w] images, black on white, and the other columns of its records."""
    names = np.array(features["alphabet"].names or [str(i) for i in range(features["alphabet"].num_classes)])
    names = names[values["alphabet"]]
    alphabets, alphabet = np.unique(names, return_inverse=True)
    character, char_id = values["alphabet_char_id"] + 1, values["label"] + 1
    labels = omniglot.labels_of(alphabet, character)
    attributes = {"alphabet": alphabet, "character": character, "char_id": char_id}
    if "drawer" in values:
        attributes["drawer"] = values["drawer"]
    classes = omniglot.class_names(names, character, labels)
    metadata = {**metadata, "classes": classes, "alphabets": tuple(alphabets.tolist())}
    return Dataset(255 - images, labels, metadata, attributes)


def _one_channel(image: Any) -> np.ndarray:
    """uint8 [h, w] of a grey image, decoded or not."""
    if isinstance(image, bytes):
        with Image.open(io.BytesIO(image)) as opened:
            folder.require_size(*opened.size)
            return np.asarray(opened.convert("L"))
    return image[..., 0]


def _described(path: Path) -> Prepared:
    """A prepared directory with its description; raises BadInput if that cannot be used."""
    try:
        prepared = Prepared(path, dict(json.loads((path / _INFO).read_text())))
        _ = prepared.splits, prepared.form, prepared.note  # fail here, not when they are used
        return prepared
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadInput(
            f"{path / _INFO} cannot be read ({error}); delete {path} and prepare it anew"
        ) from error


def _require_same(prepared: Prepared, name: str) -> None:
    """Raises BadInput for a directory of another dataset."""
    entry = CATALOG[name]
    wanted = f"{entry.tfds_name}/{entry.config}" if entry.config else entry.tfds_name
    config = prepared.info.get("configName")
    found = prepared.info.get("name")
    if found != entry.tfds_name or (entry.config and config != entry.config):
        found = f"{found}/{config}" if config else found
        raise BadInput(
            f"{prepared.path} holds the set {found}, not {wanted}; give data.name or data.dir that fit"
        )


def _require_array_record(prepared: Prepared) -> None:
    """Raises BadInput for a format that only TensorFlow reads."""
    if prepared.form != "array_record":
        raise BadInput(
            f"{prepared.path} is in {prepared.form}, which only TensorFlow reads; convert it where that is:"
            f" python -m tensorflow_datasets.scripts.convert_format --dataset_version_dir={prepared.path}"
            " --out_file_format=array_record --out_dir=DIR"
        )


def _stored_split(prepared: Prepared, split: str) -> str:
    """Where the images of a split are stored; Quick, Draw! of TFDS has `train` alone, which we divide."""
    return split if split in prepared.splits else "train"


def _rows_of(prepared: Prepared, name: str, split: str) -> int:
    """How many images are stored where those of a split are; 0 if the split is not there."""
    if name == "quickdraw" and set(prepared.splits) == {"train"}:
        split = "train"
    return prepared.splits.get(split, 0)


def _preference(prepared: Prepared, categories: tuple[str, ...]) -> tuple:
    """What is preferred among directories: readable, most categories, newest version, most images."""
    version = tuple(map(int, prepared.path.name.split("."))) if _VERSION.fullmatch(prepared.path.name) else ()
    names = prepared.path / "label.labels.txt"
    held = set(names.read_text().splitlines()) if categories and names.is_file() else set()
    readable = prepared.form == "array_record"
    return readable, len(held & set(categories)), version, sum(prepared.splits.values())
