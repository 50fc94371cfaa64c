"""Preparing a set with TensorFlow Datasets: from the network, from the authors' files, or from memory."""

import sys
from collections.abc import Mapping
from pathlib import Path

import tensorflow_datasets as tfds

from dood_jax.data import prepared
from dood_jax.data.catalog import SPLITS
from dood_jax.data.dataset import Dataset
from dood_jax.data.tfds_builders import BUILDERS, PictureBuilder


def make_builder(
    name: str,
    directory: Path,
    *,
    splits: tuple[str, ...] = SPLITS,
    pictures: Mapping[str, Dataset] | None = None,
    categories: tuple[str, ...] = (),
    per_category: int = 0,
    note: str = "",
) -> PictureBuilder:
    """Our builder of a set.

    Args:
      name: of the set.
      directory: a data directory.
      splits: to be written from the authors' files.
      pictures: sets by split, to be written instead of the authors' files.
      categories: of Quick, Draw!; only their files are fetched.
      per_category: most drawings of each over both splits; 0: all.
      note: in what the set is unlike the published one.
    """
    options = {"categories": categories, "per_category": per_category} if name == "quickdraw" else {}
    if name == "emnist":
        options["config"] = "balanced"
    return BUILDERS[name](data_dir=directory, splits=splits, pictures=pictures, note=note, **options)


def prepare(builder: PictureBuilder, manual_dir: Path | None = None) -> None:
    """Writes the set as array_record, whole or not at all; does nothing if it is there.

    What is not in `manual_dir` is downloaded into the data directory's `downloads`; either way the checksums
    are verified. Raises whatever the network, the disk or TFDS raise, for a wrong checksum too.
    """
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    settings = tfds.download.DownloadConfig(
        manual_dir=manual_dir, force_checksums_validation=True, try_download_gcs=False
    )
    builder.download_and_prepare(download_config=settings, file_format="array_record")


def read(builder: PictureBuilder, name: str, split: str) -> Dataset:
    """One split through the builder itself."""
    return prepared.read_records(
        builder.as_data_source(split), builder.info.features, name, split, builder.data_dir
    )
