"""The npz pack: `<name>_<split>.npz` with `image` uint8 [N, h, w] and integer `label` [N]."""

from pathlib import Path

import numpy as np

from dood_jax.data.dataset import Dataset
from dood_jax.errors import BadInput


def path_of(directory: Path, name: str, split: str) -> Path:
    """Where the pack keeps a split."""
    return directory / f"{name}_{split}.npz"


def read(path: Path, name: str, split: str) -> Dataset:
    """Reads one split at its native size; raises BadInput for a file that is damaged or of another kind."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            images, labels = arrays["image"], arrays["label"]
    except Exception as error:  # zip, zlib and numpy each raise kinds of their own
        raise BadInput(
            f"{path} is not a readable npz with arrays image and label ({_first_line(error)}); copy it anew"
        ) from error
    right_images = images.dtype == np.uint8 and images.ndim == 3
    if not right_images or labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
        raise BadInput(
            f"{path} holds image {images.dtype}{list(images.shape)} and"
            f" label {labels.dtype}{list(labels.shape)}; expected image uint8[N, h, w] and integer label [N]"
        )
    if not len(images):
        raise BadInput(f"{path} holds no images; copy it anew")
    return Dataset(images, labels.astype(np.int32), {"name": name, "split": split, "source": str(path)})


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
