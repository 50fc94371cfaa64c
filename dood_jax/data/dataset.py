"""What every source of images returns, the resize that all share, and safe reading of npz files."""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image

MOST_BYTES = 4 * 2**30  # of all arrays of a file together, unpacked


class Dataset(NamedTuple):
    """Images in memory: white ink (255) on black, upright, row 0 at the top."""

    images: np.ndarray  # uint8 [N, H, W]
    labels: np.ndarray  # int32 [N]
    # name, split and source of the set; `classes`, names by label; `alphabets` of Omniglot; a note
    metadata: dict[str, Any]
    attributes: Mapping[str, np.ndarray] = MappingProxyType({})  # [N] each, such as Omniglot's `drawer`


def take(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """The images at [M] rows, in that order, with all that belongs to them."""
    attributes = {name: values[rows] for name, values in dataset.attributes.items()}
    return dataset._replace(images=dataset.images[rows], labels=dataset.labels[rows], attributes=attributes)


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """uint8 [N, h, w] -> uint8 [N, size, size] by antialiased bilinear resampling (method.md 2.2)."""
    if images.shape[1:] == (size, size):
        return images
    resized = np.empty((len(images), size, size), np.uint8)
    for i, image in enumerate(images):
        resized[i] = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    return resized


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file by name; nothing is unpickled.

    A file of kilobytes can claim arrays of terabytes, or unpack to them. So no array is made before it is
    known to be as large as its header says, and all of them not too large together. Raises ValueError where
    that is not so, and whatever zipfile and NumPy raise for a damaged file.
    """
    with path.open("rb") as file:
        with zipfile.ZipFile(file) as archive:
            _require_true_sizes(archive)
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}


def _require_true_sizes(archive: zipfile.ZipFile) -> None:
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
    """The shape and type of the array in an npy file, which is left behind its header."""
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"an array file of version {version}")
    shape, _, dtype = readers[version](file)
    return shape, dtype
