"""One interface to all sets of pictures."""

import os
from pathlib import Path

from absl import logging

from dood_jax.data import pack
from dood_jax.data.dataset import Dataset
from dood_jax.data.resize import resize
from dood_jax.errors import BadInput

NAMES = ("mnist",)  # sets that are files; `synthetic` is drawn on the device
SPLITS = ("train", "test")


def load(name: str, split: str, dir: str | None = None, image_size: int = 50) -> Dataset:
    """Loads one split at the model's picture size.

    Args:
      name: one of NAMES.
      split: train or test.
      dir: the data directory; else $DOOD_DATA_DIR, else `~/tensorflow_datasets`.
      image_size: pixels of the square pictures returned.

    Raises:
      BadInput: unknown name or split, or nothing usable found, saying what was looked for where.
    """
    if name not in NAMES:
        raise BadInput(f"data.name={name!r} is not a known set; choose from {', '.join(NAMES)}, synthetic")
    if split not in SPLITS:
        raise BadInput(f"split={split!r} is not known; choose from {', '.join(SPLITS)}")
    directory = data_directory(dir)
    path = pack.path_of(directory, name, split)
    if not path.is_file():
        raise BadInput(
            f"no {name} {split} set: looked for {path}; give --config.data.dir or $DOOD_DATA_DIR"
            " (or train without data: --config=configs/synthetic.py)"
        )
    logging.info("%s %s: npz pack %s", name, split, path)
    dataset = pack.read(path, name, split)
    return dataset._replace(images=resize(dataset.images, image_size))


def data_directory(dir: str | None) -> Path:
    """The directory given, else $DOOD_DATA_DIR, else TensorFlow Datasets' default."""
    return Path(dir or os.environ.get("DOOD_DATA_DIR") or "~/tensorflow_datasets").expanduser()
