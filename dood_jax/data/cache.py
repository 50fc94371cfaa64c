"""Decoded and resized images, cached as memory-mapped arrays in the user's cache folder.

An entry is a folder whose name is a hash of what it was made from. It is written beside its place, flushed,
and renamed, so that it is there whole or not at all, even if another process writes the same entry or one is
killed while writing. Every entry may be deleted at any time.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from absl import logging

from dood_jax.data.dataset import Dataset

_PARTIAL = ".partial-"
_ABANDONED_AFTER = 24 * 3600  # seconds
_ATTRIBUTE = "attribute-"


def folder() -> Path:
    """`$XDG_CACHE_HOME/dood_jax/data`, by default under `~/.cache`."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "dood_jax" / "data"


def key(**parts: str | int | bool | tuple[str, ...]) -> str:
    """A name that depends on every part, and on nothing else."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def fetch(entry: str, build: Callable[[], Dataset]) -> Dataset:
    """The dataset cached under a key; it is built and cached first if there is none, or a damaged one.

    Where the cache folder cannot be written, the dataset is built and returned all the same.

    Args:
      entry: as `key` makes it.
      build: makes the dataset.
    """
    path = folder() / entry
    cached = _read(path)
    if cached is not None:
        return cached
    built = build()
    try:
        _write(path, built)
    except OSError as error:
        logging.warning("images are not cached in %s (%s): the next start decodes them again", path, error)
        return built
    return _read(path) or built


def _read(path: Path) -> Dataset | None:
    """An entry, memory-mapped; None if it is missing or damaged."""
    if not path.is_dir():
        return None
    try:
        metadata = json.loads((path / "metadata.json").read_text())
        names = metadata.pop("attributes")
        metadata = {
            name: tuple(value) if isinstance(value, list) else value for name, value in metadata.items()
        }
        images = np.load(path / "images.npy", mmap_mode="r", allow_pickle=False)
        labels = np.load(path / "labels.npy", allow_pickle=False)
        attributes = {name: np.load(path / f"{_ATTRIBUTE}{name}.npy", allow_pickle=False) for name in names}
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError, RecursionError) as error:
        logging.warning("%s is damaged (%s) and is made anew", path, error)
        shutil.rmtree(path, ignore_errors=True)
        return None
    return Dataset(images, labels, metadata, attributes)


def _write(path: Path, dataset: Dataset) -> None:
    """Writes an entry beside its place and moves it there; one by another process is left as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    partial = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=path.parent))
    try:
        arrays = {f"{_ATTRIBUTE}{name}": values for name, values in dataset.attributes.items()}
        for name, values in {"images": dataset.images, "labels": dataset.labels, **arrays}.items():
            with (partial / f"{name}.npy").open("wb") as file:
                np.save(file, values, allow_pickle=False)
                _flush(file)
        metadata = {**dataset.metadata, "attributes": list(dataset.attributes)}
        with (partial / "metadata.json").open("w") as file:
            json.dump(metadata, file)
            _flush(file)
        try:
            os.rename(partial, path)
        except OSError:
            if not path.is_dir():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _flush(file: IO) -> None:
    """Brings what was written to the disk, so that a power cut after the rename loses nothing."""
    file.flush()
    os.fsync(file.fileno())


def _sweep(directory: Path) -> None:
    """Removes the unfinished entries of processes that were killed."""
    for left in directory.glob(f"{_PARTIAL}*"):
        try:
            abandoned = time.time() - left.stat().st_mtime > _ABANDONED_AFTER
        except OSError:  # its writer has just moved it
            continue
        if abandoned:
            shutil.rmtree(left, ignore_errors=True)
