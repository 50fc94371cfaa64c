"""Preparing a set with TensorFlow Datasets: from the network, from the authors' files, or from memory."""

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

_PATIENCE = 15  # seconds for the first answer of a server; TFDS itself tries for minutes


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
    """Our builder of a set.

    Args:
      name: of the set.
      directory: a data directory.
      splits: to be written from the authors' files.
      images: sets by split, to be written instead of the authors' files.
      categories: of Quick, Draw!; only their files are fetched.
      per_category: most drawings of each over both splits; 0: all.
      note: in what the set is unlike the published one.
    """
    options = {"categories": categories, "per_category": per_category} if name == "quickdraw" else {}
    if name == "emnist":
        options["config"] = "balanced"
    return BUILDERS[name](data_dir=directory, splits=splits, images=images, note=note, **options)


def prepare(builder: ImageBuilder, manual_dir: Path | None = None) -> None:
    """Writes the set as array_record, whole or not at all; does nothing if it is there.

    What is not in `manual_dir` is downloaded into the data directory's `downloads`; either way the checksums
    are verified. Raises whatever the network, the disk or TFDS raise, for a wrong checksum too.
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
    """BadInput if nobody answers; what is answered does not matter, the download itself will tell."""
    try:
        request = urllib.request.Request(quote(url, safe=":/"), method="HEAD")  # noqa: S310 - our own URLs
        urllib.request.urlopen(request, timeout=_PATIENCE).close()  # noqa: S310
    except urllib.error.HTTPError:
        return
    except OSError as error:
        raise BadInput(f"{url} does not answer ({error})") from error


def read(builder: ImageBuilder, name: str, split: str) -> Dataset:
    """One split through the builder itself."""
    records = iter(builder.as_data_source(split))
    return prepared.read_records(records, builder.info.features, name, split, str(builder.data_dir))
