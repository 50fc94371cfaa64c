"""Reads what was drawn or sent as ink, makes the image that a model takes, and offers example images.

Examples are test images of the five data sets where those lie on this machine, else images that their models
generate. A few shapes drawn by hand come with the page.
"""

import base64
import io
import json
import os
from collections.abc import Callable
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from dood_jax.config import datasets
from dood_jax.config.datasets import CATALOG
from dood_jax.data import pack, prepared, sources
from dood_jax.data.dataset import resize
from dood_jax.errors import BadInput
from dood_jax.vectorize import page, reading

Shape = list[list[list[float]]]  # strokes of (x, y) points in the unit square
Generate = Callable[[int, int], np.ndarray]  # (count, seed) -> [count, H, W] images, 0..1, ink = 1

MOST_BYTES = 12 * 2**20  # of a file that is sent
MOST_PIXELS = 20_000_000
TITLES = {
    "mnist": "MNIST",
    "emnist": "EMNIST",
    "kmnist": "KMNIST",
    "quickdraw": "Quick, Draw!",
    "omniglot": "Omniglot",
}
_MOST_SIDE = 2000  # pixels of a side of what is made square
_SHEET_SIDE, _SHEET_PEN = 480, 24  # pixels of the page's drawing sheet and of its pen
_FILLED = 0.76  # fraction of the sheet's side that the longer side of a sent image takes
_IS_INK = 0.3  # what is above this is drawn
_EXAMPLE_SIDE = 50  # pixels
_NUM_EXAMPLES = 4  # of one set


def read(data: bytes) -> np.ndarray:
    """float32 [H, W] ink of the content of an image file, 0..1; raises BadInput for what cannot be used."""
    scan = reading.read_upload(data, MOST_PIXELS)
    return page.remove_background(scan.grey, scan.colour).ink


def on_sheet(ink: np.ndarray) -> np.ndarray:
    """float32 [480, 480] sheet: what is drawn in [H, W] ink, in the middle and as large as fits well."""
    rows, columns = (np.flatnonzero((ink > _IS_INK).any(axis)) for axis in (1, 0))
    drawn = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _FILLED * _SHEET_SIDE / max(drawn.shape)
    height, width = (max(1, round(side * scale)) for side in drawn.shape)
    kind = Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    sheet = np.zeros((_SHEET_SIDE, _SHEET_SIDE), np.float32)
    top, left = (_SHEET_SIDE - height) // 2, (_SHEET_SIDE - width) // 2
    fitted = np.asarray(Image.fromarray(drawn).resize((width, height), kind))
    sheet[top : top + height, left : left + width] = fitted
    return np.clip(sheet, 0, 1)


def model_input(ink: np.ndarray, size: int, trained_on: str) -> np.ndarray:
    """Makes the image that a model takes, as the images were made that it learned from (method.md 2.2).

    A published set has few pixels, so the image is first resized to these. A thin line comes out faint, so
    the image is scaled until its darkest pixel is 1.

    Args:
      ink: float32 [H, W], 0..1.
      size: side of the model's images.
      trained_on: name of the data set that the model learned from.

    Returns:
      float32 [size, size].
    """
    square = _pad_to_square(_shrunk(np.round(255 * ink).astype(np.uint8)))[None]
    source_size = CATALOG[trained_on].size if trained_on in CATALOG else square.shape[1]
    coarse = resize(square, min(source_size, square.shape[1]))
    image = resize(coarse, size)[0].astype(np.float32)
    return image / max(image.max(), 1)


def to_png(ink: np.ndarray) -> bytes:
    """A PNG of [H, W] ink, dark on white."""
    file = io.BytesIO()
    Image.fromarray(np.round(255 * (1 - ink)).astype(np.uint8)).save(file, "PNG", optimize=True)
    return file.getvalue()


def _shrunk(image: np.ndarray) -> np.ndarray:
    """The image, made smaller if a square around it would be large, as around a long strip."""
    height, width = image.shape
    factor = min(1.0, _MOST_SIDE / max(height, width))
    size = max(1, round(factor * width)), max(1, round(factor * height))
    return image if factor == 1 else np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _pad_to_square(image: np.ndarray) -> np.ndarray:
    height, width = image.shape
    side = max(height, width)
    above, left = (side - height) // 2, (side - width) // 2
    return np.pad(image, ((above, side - height - above), (left, side - width - left)))


def shapes() -> dict[str, Shape]:
    """The shapes that come with the page, by name."""
    return json.loads((resources.files("dood_jax.demo") / "static" / "shapes.json").read_text())


def drawn(shape: Shape) -> np.ndarray:
    """float32 [480, 480] ink of a shape, as the page would send it."""
    image = Image.new("L", (_SHEET_SIDE, _SHEET_SIDE))
    pen = ImageDraw.Draw(image)
    radius = _SHEET_PEN / 2
    for stroke in shape:
        points = [(x * _SHEET_SIDE, y * _SHEET_SIDE) for x, y in stroke]
        pen.line(points, fill=255, width=_SHEET_PEN, joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return np.asarray(image, np.float32) / 255


class Examples(NamedTuple):
    """Some images of one set."""

    name: str
    title: str
    are_generated: bool  # by the model, not taken from the set
    images: np.ndarray  # [N, H, W] 0..1, ink = 1

    def record(self) -> dict[str, Any]:
        """What the page is told: the images are addresses that hold them."""
        urls = ["data:image/png;base64," + base64.b64encode(to_png(one)).decode() for one in self.images]
        return {"name": self.name, "title": self.title, "generated": self.are_generated, "images": urls}


def all_examples(seed: int, generator_of: Callable[[str], Generate | None]) -> list[Examples]:
    """Examples of the five sets; `generator_of` gives what generates images in place of a set, or None."""
    found = [_examples_of(name, seed, generator_of(name)) for name in CATALOG]
    return [examples for examples in found if examples]


def _examples_of(name: str, seed: int, generate: Generate | None) -> Examples | None:
    """Random test images of a set that lies in $DOOD_DATA_DIR, else generated ones, else None.

    Nothing is downloaded, and a set that cannot be read counts as one that is not there.
    """
    images = _test_images(name)
    if images is not None:
        count = min(_NUM_EXAMPLES, len(images))
        rows = np.random.default_rng(seed).choice(len(images), count, replace=False)
        return Examples(name, TITLES[name], False, images[np.sort(rows)].astype(np.float32) / 255)
    return None if generate is None else made_up(name, seed, generate)


def made_up(name: str, seed: int, generate: Generate) -> Examples:
    """Images in place of those of one of the five sets."""
    return Examples(name, TITLES[name], True, generate(_NUM_EXAMPLES, seed))


def _test_images(name: str) -> np.ndarray | None:
    """uint8 [N, 50, 50] test images, memory-mapped; None where there are none."""
    if not os.environ.get("DOOD_DATA_DIR"):
        return None
    directory = sources.data_directory(None)
    categories: tuple[str, ...] = ()
    if name == "quickdraw":
        categories = datasets.parse_categories(datasets.PUBLISHED_CATEGORIES)
    try:
        is_there = pack.path_of(directory, name, "test").is_file() or prepared.find(
            directory, name, "test", categories
        )
        return sources.load(name, "test", image_size=_EXAMPLE_SIDE).images if is_there else None
    except BadInput:
        return None
