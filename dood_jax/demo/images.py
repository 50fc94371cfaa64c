"""What is drawn on the page as an image, and the example images that it offers.

What somebody drew or sent, as ink on a square sheet, and as the image that a model reads of it.

Images to begin with: of the five sets where they lie on this machine, else made up by their models.
"""

import io
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from dood_jax.config import datasets
from dood_jax.config.datasets import CATALOG
from dood_jax.data import pack, prepared, sources
from dood_jax.data.dataset import resize
from dood_jax.errors import BadInput
from dood_jax.vectorize import background, reading

MOST_BYTES = 12 * 2**20
MOST_PIXELS = 20_000_000
_SIDE = 480  # pixels of a sheet that an image is put on
_FILLED = 0.76  # of its side, by the image's longer one
_IS_INK = 0.3


def read(data: bytes) -> np.ndarray:
    """float32 [H, W] ink of an image file, 0..1; raises BadInput for what cannot be used."""
    return background.remove_background(reading.read_upload(data, MOST_PIXELS)).ink


def on_sheet(ink: np.ndarray) -> np.ndarray:
    """float32 [480, 480]: what is drawn on a [H, W] image, made as large as fits well, in the middle."""
    rows, columns = (np.flatnonzero((ink > _IS_INK).any(axis)) for axis in (1, 0))
    drawn = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _FILLED * _SIDE / max(drawn.shape)
    high, wide = (max(1, round(side * scale)) for side in drawn.shape)
    filter_ = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    sheet = np.zeros((_SIDE, _SIDE), np.float32)
    top, left = (_SIDE - high) // 2, (_SIDE - wide) // 2
    sheet[top : top + high, left : left + wide] = Image.fromarray(drawn).resize((wide, high), filter_)
    return np.clip(sheet, 0, 1)


def as_recorded_for(ink: np.ndarray, size: int, trained_on: str) -> np.ndarray:
    """float32 [size, size]: [H, W] ink as the images were made that a model learned from (method.md 2.2).

    Those of a published set have that set's few pixels first. Lines that come out faint, being thin, are made
    as dark as the darkest.
    """
    square = _pad_to_square(np.round(255 * ink).astype(np.uint8))[None]
    native = CATALOG[trained_on].size if trained_on in CATALOG else square.shape[1]
    coarse = resize(square, min(native, square.shape[1]))
    image = resize(coarse, size)[0].astype(np.float32)
    return image / max(image.max(), 1)


def to_png(ink: np.ndarray) -> bytes:
    """A PNG of [H, W] ink, dark on white."""
    file = io.BytesIO()
    Image.fromarray(np.round(255 * (1 - ink)).astype(np.uint8)).save(file, "PNG", optimize=True)
    return file.getvalue()


def _pad_to_square(image: np.ndarray) -> np.ndarray:
    high, wide = image.shape
    side = max(high, wide)
    above, left = (side - high) // 2, (side - wide) // 2
    return np.pad(image, ((above, side - high - above), (left, side - wide - left)))


TITLES = {
    "mnist": "MNIST",
    "emnist": "EMNIST",
    "kmnist": "KMNIST",
    "quickdraw": "Quick, Draw!",
    "omniglot": "Omniglot",
}
_SIZE = 50
_COUNT = 4  # images of a set

Invent = Callable[[int, int], np.ndarray]  # count, seed -> [count, H, W] images


class Examples(NamedTuple):
    """Some images of one set."""

    name: str
    title: str
    are_invented: bool  # by the model, not taken from the set
    images: np.ndarray  # [N, H, W] 0..1, ink = 1


def of_set(name: str, seed: int, invent: Invent | None) -> Examples | None:
    """Random test images of a set that lies in $DOOD_DATA_DIR, else what `invent` gives, if it is given.

    Nothing is downloaded, and a set that cannot be read counts as one that is not there.
    """
    images = _test_images(name)
    if images is not None:
        rows = np.random.default_rng(seed).choice(len(images), min(_COUNT, len(images)), replace=False)
        return Examples(name, TITLES[name], False, images[np.sort(rows)].astype(np.float32) / 255)
    if invent is None:
        return None
    return Examples(name, TITLES[name], True, invent(_COUNT, seed))


def _test_images(name: str) -> np.ndarray | None:
    """Uint8 [N, 50, 50], memory-mapped; None where there are none."""
    if not os.environ.get("DOOD_DATA_DIR"):
        return None
    directory = sources.data_directory(None)
    categories = datasets.PUBLISHED_CATEGORIES if name == "quickdraw" else ()
    try:
        is_there = pack.path_of(directory, name, "test").is_file() or prepared.find(
            directory, name, "test", tuple(categories)
        )
        return sources.load(name, "test", image_size=_SIZE).images if is_there else None
    except BadInput:
        return None


def all_sets(seed: int, invent_by: Callable[[str], Invent | None]) -> list[Examples]:
    """Of each of the five sets; `invent_by` says who makes images up in place of a set."""
    found = [of_set(name, seed, invent_by(name)) for name in CATALOG]
    return [one for one in found if one]
