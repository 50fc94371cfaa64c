"""What every source of images returns, safe reading of npz files, and the resize that the datasets share.

What every source of images returns.

Arrays of an npz file: none is made before it is known to be as large as it says, and not too large.

A file of kilobytes can claim arrays of terabytes, or unpack to them.

Images to the model's size (method.md 2.2).
"""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image


class Dataset(NamedTuple):
    """Images in memory: white ink (255) on black, upright, row 0 at the top."""

    images: np.ndarray  # uint8 [N, H, W]
    labels: np.ndarray  # int32 [N]
    metadata: dict[str, Any]  # name, split, source; classes: names by label; alphabets of Omniglot; note
    attributes: Mapping[str, np.ndarray] = MappingProxyType({})  # [N] each: Omniglot's drawer, …


def take(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """The images at [M] rows, in that order, with all that belongs to them."""
    attributes = {name: values[rows] for name, values in dataset.attributes.items()}
    return dataset._replace(images=dataset.images[rows], labels=dataset.labels[rows], attributes=attributes)


MOST_BYTES = 4 * 2**30  # of all arrays of a file together


def read(path: Path) -> dict[str, np.ndarray]:
    """All arrays by name, nothing unpickled; raises what zipfile, NumPy or we find wrong."""
    with path.open("rb") as file:
        with zipfile.ZipFile(file) as archive:
            _require_honest(archive)
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def _require_honest(archive: zipfile.ZipFile) -> None:
    """Raises ValueError for an array that has not the size its header says, or for too much in all."""
    total = sum(member.file_size for member in archive.infolist())
    if total > MOST_BYTES:
        raise ValueError(f"it unpacks to {total:,} bytes, more than {MOST_BYTES:,}")
    for member in archive.infolist():
        with archive.open(member) as file:
            shape, dtype = _header(file)
            claimed = math.prod(shape) * dtype.itemsize
            if dtype.hasobject or file.tell() + claimed != member.file_size:
                raise ValueError(f"{member.filename} is no array of shape {list(shape)} and type {dtype}")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"an array file of version {version}")
    shape, _, dtype = readers[version](file)
    return shape, dtype


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 [N, h, w] -> uint8 [N, size, size] by antialiased bilinear resampling, as published."""
    if images.shape[1:] == (size, size):
        return images
    resized = np.empty((len(images), size, size), np.uint8)
    for i, image in enumerate(images):
        resized[i] = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    return resized
