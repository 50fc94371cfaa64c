"""Bring your own: a folder of pictures, in one heap or in a folder per class, split by its owner or by us.

`FOLDER/train/…` and `FOLDER/test/…` are taken as the splits where both are there; else a fifth of the
pictures, chosen by the sha256 of their names, is for testing.
"""

import hashlib
from pathlib import Path

import numpy as np

from dood_jax.data import picture_file
from dood_jax.data.dataset import Dataset
from dood_jax.errors import BadInput


def files_of(directory: Path, split: str) -> list[Path]:
    """The sorted pictures of a split; raises BadInput if there are none, saying where was looked for what."""
    suffixes = ", ".join(picture_file.SUFFIXES)
    if not directory.is_dir():
        raise BadInput(f"data.dir={str(directory)!r} is not a folder; give one with pictures ({suffixes})")
    own_splits = [directory / name for name in ("train", "test")]
    if all(path.is_dir() for path in own_splits):
        found = _pictures_in(directory / split)
        if not found:
            raise BadInput(f"no pictures in {directory / split}: looked there for {suffixes}")
        return found
    found = _pictures_in(directory)
    if len(found) < 2:
        raise BadInput(
            f"{len(found) or 'no'} pictures in {directory}, looked there and in its folders for {suffixes};"
            " give at least 2, as some are held out"
        )
    in_random_order = sorted(found, key=lambda path: _digest(str(path.relative_to(directory)).encode()))
    held_out = set(in_random_order[: max(1, len(found) // 5)])
    return [path for path in found if (path in held_out) == (split == "test")]


def fingerprint(directory: Path, files: list[Path]) -> str:
    """sha256 of the names and contents of the files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(_digest(str(path.relative_to(directory)).encode()))
        digest.update(_digest(path.read_bytes()))
    return digest.hexdigest()


def read(directory: Path, files: list[Path], split: str, size: int) -> Dataset:
    """The pictures at [size, size]; a class is the folder that a picture lies in."""
    root = directory / split if (directory / split) in files[0].parents else directory
    names = [str(path.parent.relative_to(root)) for path in files]
    classes = _class_names(directory)
    labels = np.array([classes.index(name) for name in names], np.int32)
    images = np.stack([picture_file.read(path, size) for path in files])
    metadata = {"name": "folder", "split": split, "source": str(directory), "classes": classes}
    return Dataset(images, labels, metadata)


def _class_names(directory: Path) -> tuple[str, ...]:
    """The same for both splits, so that a label means the same in both."""
    splits = [directory / name for name in ("train", "test")]
    roots = splits if all(path.is_dir() for path in splits) else [directory]
    found = {str(path.parent.relative_to(root)) for root in roots for path in _pictures_in(root)}
    return tuple(sorted(found))


def _pictures_in(root: Path) -> list[Path]:
    """Pictures in a folder and in its folders, however deep; hidden ones are left out."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in picture_file.SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
