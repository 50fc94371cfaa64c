"""Arrays of an npz file: none is made before it is known to be as large as it says, and not too large.

A file of kilobytes can claim arrays of terabytes, or unpack to them.
"""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

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
