"""The npz pack: files `<name>_<split>.npz` with `image`, uint8 [N, h, w], and `label`, integers [N].

A file may also hold `classes`, names by label, and arrays with one value for each image. Images of two
colours may be packed to bits: `image` is uint8 [N, bytes] then, and `shape` holds their height and width.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax.data import dataset
from dood_jax.data.dataset import Dataset
from dood_jax.errors import BadInput, first_line

_ATTRIBUTES = ("alphabet", "character", "drawer", "char_id", "source", "source_index")
_NAME_LISTS = {"classes": "classes", "alphabet_names": "alphabets", "source_names": "source_names"}


def path_of(directory: Path, name: str, split: str) -> Path:
    """Where the pack has a split."""
    return directory / f"{name}_{split}.npz"


def fingerprint(path: Path) -> str:
    """sha256 of the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path, name: str, split: str) -> Dataset:
    """One split at its size as published; raises BadInput for a file that is damaged or of another kind."""
    arrays = read_arrays(path, ("image", "label"))
    images, labels = arrays["image"], arrays["label"]
    if "shape" in arrays:
        images = unpack_bits(path, images, arrays["shape"])
    right_images = images.dtype == np.uint8 and images.ndim == 3
    if not right_images or labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise BadInput(
            f"{path} holds image {images.dtype}{list(images.shape)} and"
            f" label {labels.dtype}{list(labels.shape)}; expected image uint8[N, h, w] and integer label [N]"
        )
    if not images.size:
        raise BadInput(f"{path} holds no images; copy it anew")
    if labels.min() < 0 or labels.max() >= 2**31:
        raise BadInput(f"{path} has labels from {labels.min()} to {labels.max()}; copy it anew")
    metadata: dict[str, Any] = {"name": name, "split": split, "source": str(path)}
    for key, name_list in _NAME_LISTS.items():
        if key in arrays:
            if arrays[key].ndim != 1 or arrays[key].dtype.kind != "U":
                raise BadInput(f"{path} holds {key} {arrays[key].dtype}, which are no names; copy it anew")
            metadata[name_list] = tuple(arrays[key].tolist())
    if "classes" in metadata and int(labels.max()) >= len(metadata["classes"]):
        raise BadInput(
            f"{path} has label {labels.max()} but {len(metadata['classes'])} classes; copy it anew"
        )
    attributes = {
        key: arrays[key] for key in _ATTRIBUTES if arrays.get(key, labels[:0]).shape == labels.shape
    }
    return Dataset(images, labels.astype(np.int32), metadata, attributes)


def read_arrays(path: Path, needed: tuple[str, ...]) -> dict[str, np.ndarray]:
    """All arrays of an npz file; raises BadInput if it cannot be read or lacks one that is needed."""
    try:
        found = dataset.read_npz(path)
        for name in needed:
            found[name]
    except Exception as error:  # zip, zlib and numpy each raise kinds of their own
        raise BadInput(
            f"{path} is not a readable npz with arrays {' and '.join(needed)} ({first_line(error)});"
            " copy it anew"
        ) from error
    return found


def unpack_bits(path: Path, packed: np.ndarray, size: np.ndarray | tuple[int, int]) -> np.ndarray:
    """Bits to pixels: uint8 [N, bytes] of eight pixels each, 1 = ink -> uint8 [N, h, w] of 0 and 255.

    Args:
      path: of the file, for the message.
      packed: the bits.
      size: height and width of an image.

    Raises:
      BadInput: bits that are not those of images of this size, or too many.
    """
    shape = tuple(np.ravel(size).tolist())
    is_size = len(shape) == 2 and all(isinstance(side, int) and side > 0 for side in shape)
    pixels = shape[0] * shape[1] if is_size else 0
    fits = packed.dtype == np.uint8 and packed.ndim == 2 and packed.shape[1] == -(-pixels // 8)
    if not (is_size and fits and len(packed) * pixels <= dataset.MOST_BYTES):
        raise BadInput(
            f"{path} holds image {packed.dtype}{list(packed.shape)}, which is not {list(shape)} pixels packed"
            " to bits; copy it anew"
        )
    return np.unpackbits(packed, axis=1, count=pixels).reshape(-1, *shape) * np.uint8(255)
