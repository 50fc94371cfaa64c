"""Turns images of any kind into what a model takes, and warns of what it should not be given (method.md 2.2).

How an image was enlarged is worth hundreds of nats. The images of the datasets were enlarged by Pillow's
bilinear resampling, and so are all images here.
"""

import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from PIL import Image

from dood_jax.data import folder
from dood_jax.errors import BadInput, OddImages
from dood_jax.rendering import source_grid
from dood_jax.types import Array

_BRIGHT = 0.6  # a border whose median is above this is paper rather than ink
_SHARP = 0.06  # more of the ink off the source grid than this fraction: the image was not enlarged at all

AnyImage = np.ndarray | Array | Image.Image | str | Path


def prepare(images: AnyImage | list[AnyImage] | tuple[AnyImage, ...], size: int = 50) -> np.ndarray:
    """Images as a model takes them: float32 [B, size, size] in 0..1, ink = 1.

    Each image is made grey, inverted if its border is bright (dark ink on light paper), padded with paper to
    a square and resized as the datasets are. What is transparent is paper.

    Args:
      images: one image or several: files, Pillow images, or arrays [H, W], [B, H, W], [H, W, C] or
        [B, H, W, C] of bool, unsigned integers that span their type, or floats in 0..1 or 0..255; C is 1, 3
        (RGB) or 4 (RGBA).
      size: pixels of a side, that of the model.

    Raises:
      BadInput: a file that cannot be read, or an array that is no image.
    """
    if size < 1:
        raise BadInput(f"size={size}; give at least 1")
    several = images if isinstance(images, list | tuple) else [images]
    found = [image for one in several for image in _images(one, size)]
    if not found:
        raise BadInput("there are no images; give at least one")
    return np.stack(found).astype(np.float32) / 255


def warn_of_odd(images: np.ndarray, source_size: int) -> None:
    """Warns, by OddImages, where most images look inverted, or enlarged otherwise than the datasets were.

    The second is a guess from how smooth they are: thick, soft lines look similar, and some images that were
    enlarged by another filter are not noticed.

    Args:
      images: float32 [B, H, W], 0..1.
      source_size: pixels of a side before images were enlarged, as the model knows it; 0: they were not.
    """
    edges = (images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1])
    border = np.median(np.concatenate(edges, axis=1), axis=1)
    if (border > _BRIGHT).mean() > 0.5:
        _warn("images look inverted, dark ink on bright paper; ink is 1 and paper 0")
    elif source_grid.may_be_enlarged(source_size, images.shape[-1]) and _look_enlarged(images, source_size):
        _warn(
            f"images may be enlarged from {source_size} x {source_size}, but lie off the grid of Pillow's"
            " bilinear resampling (another filter, moved, or noise); that costs hundreds of nats"
        )


def _look_enlarged(images: np.ndarray, source_size: int) -> bool:
    """Whether most images are as smooth as enlarged ones, or of doubled pixels, but off the source grid."""
    nearest = np.asarray(source_grid.nearest_enlarged(source_size, jnp.asarray(images)))
    off = np.abs(images - nearest).mean((1, 2))
    fraction = off / np.maximum(images.mean((1, 2)), 1e-6)
    size = images.shape[-1]
    # Resampling by the nearest pixel repeats pixels: each must equal the first one that has the same source.
    source = ((np.arange(size) + 0.5) * source_size / size).astype(int)
    first = np.searchsorted(source, source)
    doubled = (images == images[:, first][:, :, first]).all((1, 2))
    return bool(((off >= source_grid.ROUNDING) & ((fraction < _SHARP) | doubled)).mean() > 0.5)


def _warn(said: str) -> None:
    """An OddImages warning at the line of the user who called the model."""
    warnings.warn(f"{said}. dood_jax.prepare makes images as models take them.", OddImages, stacklevel=5)


def _images(given: AnyImage, size: int) -> list[np.ndarray]:
    """uint8 [size, size] of each image in one file, Pillow image or array."""
    if isinstance(given, str | Path):
        return [folder.read_image(Path(given), size)]
    if isinstance(given, Image.Image):
        return [folder.from_pillow(given, size)]
    array = np.asarray(given)
    if array.ndim == 4 or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        return [_of_array(one, size) for one in _bytes_of(array)]
    return [_of_array(_bytes_of(array), size)]


def _of_array(array: np.ndarray, size: int) -> np.ndarray:
    """uint8 [size, size] of uint8 [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise BadInput(f"an array of shape {list(array.shape)} is no image; give [H, W] or [H, W, 3]")
    if 0 in array.shape:
        raise BadInput(f"an array of shape {list(array.shape)} has no pixels")
    return folder.from_pillow(Image.fromarray(array), size)


def _bytes_of(array: np.ndarray) -> np.ndarray:
    """An array of grey levels or colours of any type as uint8; all its values have one range."""
    if not array.size:
        return array.astype(np.uint8)
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind == "u" and array.max() > 1:
        return np.round(array / (np.iinfo(array.dtype).max / 255)).astype(np.uint8)
    if array.dtype.kind not in "uif":
        raise BadInput(f"values of type {array.dtype} are no grey levels; give uint8, or floats in 0..1")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 255):
        raise BadInput(f"values lie in {low:g}..{high:g}; scale them to 0..1 or 0..255")
    return np.round(array.astype(np.float64) * (255 if high <= 1 else 1)).astype(np.uint8)
