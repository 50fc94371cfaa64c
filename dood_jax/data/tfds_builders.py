"""Our builders for TensorFlow Datasets (TFDS), and how a dataset is prepared with them.

The builders need no TensorFlow and write array_record. Names, versions, features and pixels are those of
TFDS's own builders (EMNIST lies on its side, Omniglot is black on white), so that any reader of TFDS can read
the result. The builders take the authors' files, which TFDS's download manager fetches and compares with
TFDS's checksums, or images in memory. Importing this module imports TFDS, which takes a second.
"""

import hashlib
import io
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from dood_jax.config import datasets
from dood_jax.config.datasets import CATALOG, SPLITS
from dood_jax.data import omniglot, originals, prepared
from dood_jax.data.dataset import Dataset
from dood_jax.data.prepared import NOTE
from dood_jax.errors import BadInput

Files = dict[str, dict[str, str]]  # split -> part -> URL


class ImageBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg] # of TFDS
    """What the builders of the five datasets have in common.

    Attributes:
      urls: where the authors' files of each split are.
      images: datasets by split, which are written instead of these files; None: the files are read.
    """

    urls: Files

    def __init_subclass__(cls) -> None:
        """Keeps ours out of TFDS's registry, where its own builders have the same names."""
        super().__init_subclass__(skip_registration=True)  # type: ignore[call-arg] # of TFDS

    def __init__(
        self,
        *,
        splits: tuple[str, ...] = SPLITS,
        images: Mapping[str, Dataset] | None = None,
        note: str = "",
        **options: Any,
    ) -> None:
        """Builds some splits; a note says how they differ from the published ones."""
        self.images = images
        self._splits, self._note = splits, note
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        entry = CATALOG[self.set_name()]
        side = (entry.size, entry.size, 1)
        features = {"image": tfds.features.Image(shape=side, encoding_format="png"), **self._label_features()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=NOTE + self._note if self._note else f"{self.name} as published.",
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        if self.images is not None:
            return {split: self._generate_examples(data) for split, data in self.images.items()}
        wanted = {split: self.urls[split] for split in self._splits}
        files = dl_manager.download(wanted)
        local = {split: {part: Path(path) for part, path in parts.items()} for split, parts in files.items()}
        return {split: self._generate_examples(self._read(parts, split)) for split, parts in local.items()}

    def _generate_examples(self, data: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
        for row in range(len(data.labels)):
            yield row, self._example(data, row)

    def _example(self, data: Dataset, row: int) -> dict[str, Any]:
        return {"image": _png(data.images[row]), "label": int(data.labels[row])}

    def _label_features(self) -> dict[str, Any]:
        return {"label": tfds.features.ClassLabel(names=CATALOG[self.set_name()].classes)}

    def _read(self, files: dict[str, Path], split: str) -> Dataset:
        """The images in the authors' files of a split."""
        return originals.digits(files["images"], files["labels"], self.set_name(), split)

    @classmethod
    def set_name(cls) -> str:
        """What `data.name` calls the set."""
        return next(name for name, builder in BUILDERS.items() if issubclass(cls, builder))


def _digit_files(base: str) -> Files:
    """Where the four files of a dataset in the format of MNIST lie."""
    return {
        split: {
            "images": f"{base}/{prefix}-images-idx3-ubyte.gz",
            "labels": f"{base}/{prefix}-labels-idx1-ubyte.gz",
        }
        for split, prefix in (("train", "train"), ("test", "t10k"))
    }


def _drawing_files(categories: tuple[str, ...]) -> Files:
    """Where the bitmaps of some categories lie; both splits are cut from the same files."""
    base = "https://storage.googleapis.com/quickdraw_dataset/full/numpy_bitmap"
    return {split: {name: f"{base}/{name}.npy" for name in categories} for split in SPLITS}


class Mnist(ImageBuilder):
    """Handwritten digits."""

    name = "mnist"
    VERSION = tfds.core.Version(CATALOG["mnist"].version)
    urls = _digit_files("https://storage.googleapis.com/cvdf-datasets/mnist")


class Kmnist(ImageBuilder):
    """Old Japanese characters."""

    name = "kmnist"
    VERSION = tfds.core.Version(CATALOG["kmnist"].version)
    urls = _digit_files("http://codh.rois.ac.jp/kmnist/dataset/kmnist")


class Emnist(ImageBuilder):
    """Digits and letters, the balanced selection; written lying on its side, as published."""

    name = "emnist"
    VERSION = tfds.core.Version(CATALOG["emnist"].version)
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="balanced")]  # noqa: RUF012 - TFDS wants a list
    urls = {  # noqa: RUF012 - never changed
        split: {"archive": "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"} for split in SPLITS
    }

    def _example(self, data, row):
        return {"image": _png(data.images[row].T), "label": int(data.labels[row])}

    def _read(self, files, split):
        return originals.emnist(files["archive"], split)


class Omniglot(ImageBuilder):
    """Characters of 50 alphabets; written black on white, as published, with who drew them."""

    name = "omniglot"
    VERSION = tfds.core.Version(CATALOG["omniglot"].version)
    _BASE = "https://github.com/brendenlake/omniglot/raw/master/python"
    urls = {  # noqa: RUF012 - never changed
        "train": {"archive": f"{_BASE}/images_background.zip"},
        "test": {"archive": f"{_BASE}/images_evaluation.zip"},
    }

    def _label_features(self):
        alphabets = sorted(omniglot.ALPHABETS["train"] + omniglot.ALPHABETS["test"])
        return {
            "label": tfds.features.ClassLabel(num_classes=omniglot.NUM_CHARACTERS),
            "alphabet": tfds.features.ClassLabel(names=alphabets),
            "alphabet_char_id": np.int64,
            "drawer": np.int64,
        }

    def _example(self, data, row):
        alphabet, character, drawer, char_id = (
            int(data.attributes[name][row]) for name in omniglot.ATTRIBUTES
        )
        return {
            "image": _png(255 - data.images[row]),
            "label": char_id - 1,
            "alphabet": data.metadata["alphabets"][alphabet],
            "alphabet_char_id": character - 1,
            "drawer": drawer,
        }

    def _read(self, files, split):
        return originals.characters(files["archive"], split)


class QuickdrawBitmap(ImageBuilder):
    """Drawings of some categories of Quick, Draw!; only their files are fetched."""

    name = "quickdraw_bitmap"
    VERSION = tfds.core.Version(CATALOG["quickdraw"].version)

    def __init__(
        self,
        *,
        categories: tuple[str, ...] = datasets.CATEGORIES,
        per_category: int = 0,
        **options: Any,
    ) -> None:
        """Takes at most `per_category` drawings of each category over both splits; 0: all."""
        self._categories, self._per_category = categories, per_category
        self.urls = _drawing_files(categories)
        few = hashlib.sha256(repr((categories, per_category)).encode()).hexdigest()[:8]
        config = tfds.core.BuilderConfig(name=f"{len(categories)}_categories_{few}")
        super().__init__(config=config, **options)

    @property
    def url_infos(self):
        """TFDS's checksums of this dataset; TFDS would look for them beside our code."""
        records = tfds.core.tfds_path("datasets/quickdraw_bitmap/checksums.tsv")
        infos = tfds.core.download.checksums.load_url_infos(records)
        return {url: _with_plain_filename(info) for url, info in infos.items()}

    def _label_features(self):
        return {"label": tfds.features.ClassLabel(names=self._categories)}

    def _read(self, files, split):
        return originals.drawings(files, split, self._per_category)


BUILDERS: dict[str, type[ImageBuilder]] = {
    "mnist": Mnist,
    "emnist": Emnist,
    "kmnist": Kmnist,
    "quickdraw": QuickdrawBitmap,
    "omniglot": Omniglot,
}


def file_names(name: str, categories: tuple[str, ...]) -> dict[str, list[str]]:
    """Names of the authors' files of each split of a dataset, for Quick, Draw! of these categories."""
    urls = _drawing_files(categories) if name == "quickdraw" else BUILDERS[name].urls
    return {split: [url.rsplit("/", 1)[1] for url in parts.values()] for split, parts in urls.items()}


def _png(image: np.ndarray) -> io.BytesIO:
    """A PNG file of a uint8 [h, w] image."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "png", compress_level=1)
    file.seek(0)
    return file


def _with_plain_filename(info):
    """A checksum record whose file is named with blanks, as copies of Quick, Draw! are, instead of %20."""
    return type(info)(size=info.size, checksum=info.checksum, filename=unquote(info.filename or ""))


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
