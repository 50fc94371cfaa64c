"""Prepares a dataset with TensorFlow Datasets (TFDS): from the network, the authors' files, or memory."""

import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import tensorflow_datasets as tfds

from dood_jax.config.datasets import SPLITS
from dood_jax.data import prepared
from dood_jax.data.dataset import Dataset
from dood_jax.data.tfds_builders import BUILDERS, ImageBuilder
from dood_jax.errors import BadInput

_TIMEOUT = 15  # seconds that a server has for its first answer; TFDS itself tries for minutes


def make_builder(
    name: str,
    directory: Path,
    *,
    splits: tuple[str, ...] = SPLITS,
    images: Mapping[str, Dataset] | None = None,
    categories: tuple[str, ...] = (),
    per_category: int = 0,
    note: str = "",
) -> ImageBuilder:
    """Our TFDS builder of a dataset.

    Args:
      name: of the dataset.
      directory: the data directory to write into.
      splits: those that are written from the authors' files.
      images: datasets by split, which are written instead of the authors' files.
      categories: of Quick, Draw!; only their files are fetched.
      per_category: most drawings of each category over both splits; 0: all.
      note: how the dataset differs from the published one.
    """
    options = {"categories": categories, "per_category": per_category} if name == "quickdraw" else {}
    if name == "emnist":
        options["config"] = "balanced"
    return BUILDERS[name](data_dir=directory, splits=splits, images=images, note=note, **options)


def prepare(builder: ImageBuilder, manual_dir: Path | None = None) -> None:
    """Writes the dataset as array_record, whole or not at all; does nothing if it is there.

    Files that are not in `manual_dir` are downloaded into the data directory's `downloads`; either way the
    checksums are verified. Raises whatever the network, the disk or TFDS raise, for a wrong checksum too.
    """
    from_network = builder.images is None and manual_dir is None
    if from_network and not any((Path(builder.data_dir_root) / "downloads").glob("**/*.INFO*")):
        _require_server(next(iter(builder.urls["train"].values())))
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    settings = tfds.download.DownloadConfig(
        manual_dir=manual_dir, force_checksums_validation=True, try_download_gcs=False
    )
    builder.download_and_prepare(download_config=settings, file_format="array_record")


def _require_server(url: str) -> None:
    """Raises BadInput if nobody answers; any answer will do, as the download itself tells what is wrong."""
    try:
        request = urllib.request.Request(quote(url, safe=":/"), method="HEAD")  # noqa: S310 - our own URLs
        urllib.request.urlopen(request, timeout=_TIMEOUT).close()  # noqa: S310
    except urllib.error.HTTPError:
        return
    except OSError as error:
        raise BadInput(f"{url} does not answer ({error})") from error


def read(builder: ImageBuilder, name: str, split: str) -> Dataset:
    """One split of a dataset that was just prepared, through its builder."""
    records = iter(builder.as_data_source(split))
    return prepared.read_records(records, builder.info.features, name, split, str(builder.data_dir))
