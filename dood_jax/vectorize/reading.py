"""Reads image files as grey values, whatever their format, bit depth, colours, rotation and transparency."""

import io
import warnings
import zipfile
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dood_jax.data import dataset
from dood_jax.data.folder import MOST_PIXELS
from dood_jax.errors import BadInput, first_line

ARRAYS = (".npy", ".npz")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
SUFFIXES = IMAGES + ARRAYS
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")  # Pillow's names of them
_LEAST_SIDE = 3


class Scan(NamedTuple):
    """One image of a file."""

    grey: np.ndarray  # float32 [H, W], 0 black .. 1 white; NaN where nothing was painted
    ident: str  # its name in outputs: that of the file, with a number if the file holds several


def read(path: Path) -> list[Scan]:
    """Reads the images of a file: all those of an array file, and the first frame or page of any other.

    Raises:
      BadInput: in one line that names the file, if it cannot be read or is too large.
    """
    try:
        if path.suffix.lower() in ARRAYS:
            return [scan for name, array in _arrays(path) for scan in _scans_of(name, array)]
        return [Scan(_image(path), path.stem)]
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    except Exception as error:  # Pillow and NumPy raise kinds of their own for each format
        raise BadInput(f"{path} cannot be read as an image ({first_line(error)})") from error


def read_upload(data: bytes, most_pixels: int) -> np.ndarray:
    """Reads the content of an image file that somebody sent, as the grey values of a `Scan`.

    Raises:
      BadInput: it is no PNG, JPEG, WebP, TIFF, BMP or GIF, or has more than `most_pixels`. The latter is
        found before the image is decoded.
    """
    try:
        return _image(io.BytesIO(data), most_pixels, _FORMATS)
    except BadInput:
        raise
    except UnidentifiedImageError as error:
        raise BadInput("this is no image; give a PNG, JPEG, WebP, TIFF, BMP or GIF") from error
    except Exception as error:  # Pillow raises kinds of its own for each format
        raise BadInput(f"this image cannot be read ({first_line(error)})") from error


def grey_of(array: np.ndarray) -> np.ndarray:
    """Turns an array of pixels into the grey values of a `Scan`.

    Args:
      array: [H, W], [H, W, 1] grey, [H, W, 2] grey and opacity, [H, W, 3] colours, or [H, W, 4] colours and
        opacity. Unsigned integers span their type, unless all of them are 0 or 1. Other numbers lie in 0..1
        or 0..255. A float is NaN where nothing was painted.

    Raises:
      BadInput: the array has another shape, or other values.
    """
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4):
        raise BadInput(f"an array of shape {list(array.shape)} is no image; give [H, W] or [H, W, 3]")
    require_size(*array.shape[1::-1])
    values = _to_unit(array)
    colours = values if values.shape[2] in (1, 3) else values[..., :-1]
    grey = colours @ np.array([0.299, 0.587, 0.114], np.float32) if colours.shape[2] == 3 else colours[..., 0]
    return grey if colours is values else _see_through(grey, values[..., -1])


def require_size(width: int, height: int, most_pixels: int = MOST_PIXELS) -> None:
    """Raises BadInput if an image is too small to hold a line, or too large to be decoded."""
    if min(width, height) < _LEAST_SIDE:
        raise BadInput(f"an image of {width} x {height} pixels holds no drawing")
    if width * height > most_pixels:
        raise BadInput(f"{width} x {height} pixels are more than {most_pixels:,}; make it smaller")


def _image(
    file: Path | IO[bytes], most_pixels: int = MOST_PIXELS, formats: tuple[str, ...] | None = None
) -> np.ndarray:
    """Grey values of an image file, upright even if the camera was not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of sizes, which are checked here, and of odd metadata
        with Image.open(file, formats=formats) as opened:
            require_size(*opened.size, most_pixels)
            opened.draft("L", None)  # a JPEG is decoded without its colours
            return _grey_of_image(ImageOps.exif_transpose(opened))


def _grey_of_image(image: Image.Image) -> np.ndarray:
    """Grey values of an opened image."""
    if image.mode.startswith("I"):
        return np.clip(np.asarray(image, np.float32) / 65535, 0, 1)
    if image.mode == "F":
        return _to_unit(np.asarray(image))
    if image.has_transparency_data:
        grey, alpha = (np.asarray(band, np.float32) / 255 for band in image.convert("LA").split())
        return _see_through(grey, alpha)
    return np.asarray(image.convert("L"), np.float32) / 255


def _see_through(grey: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Lays grey values on paper of the opposite brightness; NaN where the opacity `alpha` is 0.

    What colour lies hidden where nothing is opaque does not matter.
    """
    if alpha.min() == 1:
        return grey
    total = alpha.sum()
    ink_is_bright = total > 0 and (grey * alpha).sum() / total > 0.5
    paper = np.float32(0 if ink_is_bright else 1)
    return np.where(alpha > 0, paper + (grey - paper) * alpha, np.nan).astype(np.float32)


def _arrays(path: Path) -> list[tuple[str, np.ndarray]]:
    """Names and arrays of an array file, read without unpickling; of an npz only those that can be images."""
    if not zipfile.is_zipfile(path):
        return [(path.stem, np.load(path, allow_pickle=False))]
    named = dataset.read_npz(path).items()
    images = [(f"{path.stem}-{name}", array) for name, array in named if array.ndim in (2, 3, 4)]
    if not images:
        raise BadInput("no array of it is an image; give [H, W] or [N, H, W]")
    return images


def _scans_of(name: str, array: np.ndarray) -> list[Scan]:
    """The images of an array of [H, W], [H, W, C], [N, H, W] or [N, H, W, C]."""
    several = array.ndim == 4 or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4))
    if not several:
        return [Scan(grey_of(array), name)]
    digits = len(str(len(array) - 1))
    return [Scan(grey_of(one), f"{name}-{i:0{digits}}") for i, one in enumerate(array)]


def _to_unit(array: np.ndarray) -> np.ndarray:
    """float32 values in 0..1 of pixels of any type; see `grey_of`."""
    if array.dtype == bool:
        return array.astype(np.float32)
    if array.dtype.kind == "u":
        return array.astype(np.float32) / (np.iinfo(array.dtype).max if array.max() > 1 else 1)
    if array.dtype.kind not in "if":
        raise BadInput(f"values of type {array.dtype} are no grey levels")
    values = array.astype(np.float32)
    painted = values[~np.isnan(values)]
    low, high = (float(painted.min()), float(painted.max())) if painted.size else (np.nan, np.nan)
    if not (low >= 0 and high <= 255):
        raise BadInput(f"values lie in {low:g}..{high:g}; scale them to 0..1 or 0..255")
    return values / 255 if high > 1 else values
