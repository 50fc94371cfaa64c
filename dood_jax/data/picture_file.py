"""One picture file to white ink on a black square, whatever its colours, shape, turn and transparency."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dood_jax.errors import BadInput, first_line

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
MOST_PIXELS = 50_000_000  # more is refused before it is decoded


def read(path: Path, size: int) -> np.ndarray:
    """uint8 [size, size], ink 255: grey, padded with paper to a square, resized as the sets are.

    What is transparent is paper. Otherwise the paper is what surrounds the drawing: if the median of the
    border is bright, the picture is inverted.

    Raises BadInput for a file that cannot be read as a picture.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow on size, which is checked here, and on odd metadata
            with Image.open(path) as opened:
                require_size(*opened.size)
                ink = _ink_of(ImageOps.exif_transpose(opened))
    except Exception as error:  # Pillow raises kinds of its own for each format
        said = first_line(error)
        raise BadInput(f"{path} cannot be read as a picture ({said}); mend it or take it out") from error
    if min(ink.shape) == 0:
        raise BadInput(f"{path} has no pixels; take it out")
    return _square(ink, size)


def of_picture(picture: Image.Image, size: int) -> np.ndarray:
    """uint8 [size, size] of an opened picture, as `read` has it; BadInput for one that cannot be used."""
    try:
        require_size(*picture.size)
        ink = _ink_of(ImageOps.exif_transpose(picture))
    except Exception as error:  # Pillow raises kinds of its own for each format
        raise BadInput(f"this picture cannot be used ({error})") from error
    if min(ink.shape) == 0:
        raise BadInput("this picture has no pixels")
    return _square(ink, size)


def _ink_of(picture: Image.Image) -> np.ndarray:
    return _without_transparency(picture) if picture.has_transparency_data else _grey(picture)


def _square(ink: np.ndarray, size: int) -> np.ndarray:
    """uint8 [size, size] with ink 255 of uint8 [h, w] of either."""
    border = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    ink = 255 - ink if np.median(border) > 127 else ink
    square = Image.fromarray(_pad_to_square(ink))
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))


def require_size(width: int, height: int) -> None:
    """Raises ValueError for a picture that is too large to be decoded, by what its header says."""
    if width * height > MOST_PIXELS or max(width, height) ** 2 > 4 * MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels are more than {MOST_PIXELS:,}")


def _grey(picture: Image.Image) -> np.ndarray:
    """uint8 [h, w]; 16-bit pictures are scaled, not clipped."""
    if picture.mode.startswith("I"):
        return (np.clip(np.asarray(picture, np.int64), 0, 65535) // 257).astype(np.uint8)
    if picture.mode == "F":
        raise ValueError("floating-point pixels have no agreed range")
    return np.asarray(picture.convert("L"))


def _without_transparency(picture: Image.Image) -> np.ndarray:
    """uint8 [h, w] on paper that is the opposite of the ink: white under dark ink, black under bright."""
    grey, alpha = (np.asarray(band, np.float64) for band in picture.convert("LA").split())
    ink_is_bright = alpha.sum() > 0 and (grey * alpha).sum() / alpha.sum() > 127
    paper = 0 if ink_is_bright else 255
    return np.round(paper + (grey - paper) * alpha / 255).astype(np.uint8)


def _pad_to_square(ink: np.ndarray) -> np.ndarray:
    high, wide = ink.shape
    side = max(high, wide)
    above, left = (side - high) // 2, (side - wide) // 2
    return np.pad(ink, ((above, side - high - above), (left, side - wide - left)))
