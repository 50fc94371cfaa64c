"""The npz pack: `<name>_<split>.npz` with `image` uint8 [N, h, w] and integer `label` [N].

Beside them may lie `classes`, names by label, and arrays with one value a picture. Pictures of two colours
may be packed to bits, [N, bytes] with their size in `shape`.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax.data.dataset import Dataset
from dood_jax.errors import BadInput, first_line

_ATTRIBUTES = ("alphabet", "character", "drawer", "char_id", "source", "source_index")
_NAME_LISTS = {"classes": "classes", "alphabet_names": "alphabets", "source_names": "source_names"}


def path_of(directory: Path, name: str, split: str) -> Path:
    """Where the pack keeps a split."""
    return directory / f"{name}_{split}.npz"


def fingerprint(path: Path) -> str:
    """sha256 of the file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path, name: str, split: str) -> Dataset:
    """Reads one split at its native size; raises BadInput for a file that is damaged or of another kind."""
    arrays = read_arrays(path, ("image", "label"))
    images, labels = arrays["image"], arrays["label"]
    if "shape" in arrays:
        images = unpack_bits(path, images, tuple(arrays["shape"].tolist()))
    right_images = images.dtype == np.uint8 and images.ndim == 3
    if not right_images or labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise BadInput(
            f"{path} holds image {images.dtype}{list(images.shape)} and"
            f" label {labels.dtype}{list(labels.shape)}; expected image uint8[N, h, w] and integer label [N]"
        )
    if not len(images):
        raise BadInput(f"{path} holds no images; copy it anew")
    metadata: dict[str, Any] = {"name": name, "split": split, "source": str(path)}
    for key, name_list in _NAME_LISTS.items():
        if key in arrays:
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
    """All arrays of an npz file; raises BadInput if it cannot be read or one that is needed is not there."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
            for name in needed:
                found[name] = arrays[name]
    except Exception as error:  # zip, zlib and numpy each raise kinds of their own
        raise BadInput(
            f"{path} is not a readable npz with arrays {' and '.join(needed)} ({first_line(error)});"
            " copy it anew"
        ) from error
    return found


def unpack_bits(path: Path, packed: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """uint8 [N, bytes], eight pixels each, 1 = ink -> uint8 [N, h, w] of 0 and 255."""
    pixels = shape[0] * shape[1] if len(shape) == 2 else 0
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != -(-pixels // 8):
        raise BadInput(
            f"{path} holds image {packed.dtype}{list(packed.shape)}, which is not {list(shape)} pixels packed"
            " to bits; copy it anew"
        )
    return np.unpackbits(packed, axis=1, count=pixels).reshape(-1, *shape) * np.uint8(255)
