"""Pixels: grey values and colours of arrays and opened images, and what lies around each pixel.

Arrays and images may have any type and transparency.
"""

import functools
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from dood_jax.errors import BadInput

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue, as Pillow has it
_COLOURLESS = 16  # of 255: an image whose channels differ by no more is grey
_CARD_FRACTION = 0.4  # of the box around what is opaque, that a card fills
_CARD_CONTRAST, _CARD_INK = 0.25, 5e-4  # of the marks on a card, and their fraction of it


class Pixels(NamedTuple):
    """The pixels of one image."""

    grey: np.ndarray  # float32 [H, W], 0 black .. 1 white; NaN where there is nothing, not even paper
    colour: np.ndarray | None  # uint8 [H, W, 3]; None if the image is grey


def of_array(array: np.ndarray) -> Pixels:
    """Reads an array.

    Args:
      array: [H, W], [H, W, 1] grey, [H, W, 2] grey and opacity, [H, W, 3] colours, or [H, W, 4] colours and
        opacity. Unsigned integers span their type, unless all of them are 0 or 1. Other numbers lie in 0..1
        or 0..255. A float is NaN where nothing was painted.

    Raises:
      BadInput: the array has another shape, or other values.
    """
    values = _to_unit(array if array.ndim == 3 else array[..., None])
    is_opaque = values.shape[2] in (1, 3)
    return _pixels(values if is_opaque else values[..., :-1], None if is_opaque else values[..., -1])


def of_image(image: Image.Image, size: tuple[int, int]) -> Pixels:
    """Reads an image of Pillow and makes it smaller, if it is larger than [width, height] of `size`."""
    image = _simple(image)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BOX)
    if image.mode == "F":
        return Pixels(np.asarray(image), None)
    values = np.asarray(image, np.float32) / 255
    return _pixels(values[..., :3], values[..., 3]) if image.mode == "RGBA" else _pixels(values, None)


def shrink(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """Pixels with another [width, height], each the mean of the painted ones that it covers."""
    resize = lambda values: np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX))
    painted = np.isfinite(pixels.grey)
    weight = resize(painted.astype(np.float32))
    total = resize(np.where(painted, pixels.grey, np.float32(0)))
    with np.errstate(invalid="ignore"):
        grey = np.where(weight > 0, total / weight, np.float32(np.nan))
    return Pixels(grey, None if pixels.colour is None else resize(pixels.colour))


def extremes(values: np.ndarray, side: int, extreme: np.ufunc = np.maximum) -> np.ndarray:
    """[H, W] the largest value of the square around each pixel, or another extreme.

    A square of 2 n pixels is two of n, so few operations on whole arrays reach any size.

    Args:
      values: [H, W]; beyond its edges nothing counts.
      side: pixels of the square, an odd number.
      extreme: np.maximum or np.minimum.
    """
    found = np.pad(values, side // 2, mode="edge")
    for _ in range(2):  # down the columns, then along the rows
        reached = 1
        while reached < side:
            step = min(reached, side - reached)
            found = extreme(found[:-step], found[step:])
            reached += step
        found = found.T
    return found


def steepness(grey: np.ndarray) -> np.ndarray:
    """[H, W] the largest less the smallest value of the 3 x 3 pixels around each pixel of [H, W] `grey`."""
    return extremes(grey, 3) - extremes(grey, 3, np.minimum)


def depths(mask: np.ndarray) -> np.ndarray:
    """Float32 [H, W] distance of each pixel of a mask from the nearest one outside it; 0 outside it.

    Only the pixels of the mask are computed, of which a page has few.
    """
    nearest = ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True)
    places = np.nonzero(mask)
    squares = ((nearest[axis][places] - places[axis]) ** 2 for axis in (0, 1))
    found = np.zeros(mask.shape, np.float32)
    found[places] = np.sqrt(sum(squares))
    return found


def _simple(image: Image.Image) -> Image.Image:
    """An image of mode L, RGB or RGBA, or F with values in 0..1."""
    if image.mode.startswith("I"):
        return Image.fromarray(np.clip(np.asarray(image, np.float32) / 65535, 0, 1))
    if image.mode == "F":
        return Image.fromarray(_to_unit(np.asarray(image)))
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _pixels(values: np.ndarray, alpha: np.ndarray | None) -> Pixels:
    """Pixels of values [H, W] or [H, W, C] and opacities [H, W], all in 0..1."""
    if values.ndim == 2 or values.shape[2] == 1:
        grey, colour = values.reshape(values.shape[:2]), None
    else:
        grey = values @ _LUMINANCE
        channels = values[..., 0], values[..., 1], values[..., 2]
        spread = functools.reduce(np.maximum, channels) - functools.reduce(np.minimum, channels)
        spread = (spread if alpha is None else np.where(alpha > 0, spread, 0)).max()
        colour = values if spread > _COLOURLESS / 255 else None
    if alpha is not None and alpha.min() < 1:
        paper, is_known = _paper_below(grey, alpha)
        if colour is not None:
            colour = paper + (colour - paper) * alpha[..., None]
        grey = np.where(is_known | (alpha > 0), paper + (grey - paper) * alpha, np.float32(np.nan))
    return Pixels(grey, None if colour is None else np.round(255 * colour).clip(0, 255).astype(np.uint8))


def _paper_below(grey: np.ndarray, alpha: np.ndarray) -> tuple[np.float32, bool]:
    """The grey value on which transparent pixels are laid, and whether what is clear is that paper.

    Below ink it is white or black, whichever differs more from all of the ink. Below a card, an opaque area
    with marks on it, it is as bright as the card, whose rim would otherwise become a line; around the card
    there is nothing.
    """
    opaque = alpha > 0.99
    if opaque.any():
        rows, columns = (np.flatnonzero(opaque.any(axis)) for axis in (1, 0))
        box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
        values = grey[opaque]
        level = np.median(values)
        is_marked = (np.abs(values - level) > _CARD_CONTRAST).mean() > _CARD_INK
        if len(values) > _CARD_FRACTION * box and is_marked:
            return np.float32(level), False
    if alpha.max() == 0:
        return np.float32(1), False
    darkest, brightest = np.quantile(grey[alpha >= 0.5 * alpha.max()], [0.05, 0.95])
    return np.float32(0 if darkest > 1 - brightest else 1), True


def _to_unit(array: np.ndarray) -> np.ndarray:
    """float32 values in 0..1 of pixels of any type; see `of_array`."""
    if array.dtype == bool:
        return array.astype(np.float32)
    if array.dtype.kind == "u":
        return array.astype(np.float32) / (np.iinfo(array.dtype).max if array.max() > 1 else 1)
    if array.dtype.kind not in "if":
        raise BadInput(f"values of type {array.dtype} are no grey levels; give numbers in 0..1 or 0..255")
    values = array.astype(np.float32)
    low, high = float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))
    if np.isnan(low):
        raise BadInput("nothing is drawn: all values are NaN")
    if not (low >= 0 and high <= 255):
        raise BadInput(f"values lie in {low:g}..{high:g}; scale them to 0..1 or 0..255")
    return values / 255 if high > 1 else values
