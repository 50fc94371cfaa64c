"""A folder of image files as a dataset.

One image file to white ink on a black square, whatever its colours, shape, turn and transparency.

Bring your own: a folder of images, in one heap or in a folder per class, split by its owner or by us.

`FOLDER/train/…` and `FOLDER/test/…` are taken as the splits where both are there; else a fifth of the
images, chosen by the sha256 of their names, is for testing.
"""

import hashlib
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dood_jax.data.dataset import Dataset
from dood_jax.errors import BadInput, first_line

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
MOST_PIXELS = 50_000_000  # more is refused before it is decoded


def read_image(path: Path, size: int) -> np.ndarray:
    """uint8 [size, size], ink 255: grey, padded with paper to a square, resized as the sets are.

    What is transparent is paper. Otherwise the paper is what surrounds the drawing: if the median of the
    border is bright, the image is inverted.

    Raises BadInput for a file that cannot be read as an image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow on size, which is checked here, and on odd metadata
            with Image.open(path) as opened:
                require_size(*opened.size)
                ink = _ink_of(ImageOps.exif_transpose(opened))
    except Exception as error:  # Pillow raises kinds of its own for each format
        said = first_line(error)
        raise BadInput(f"{path} cannot be read as an image ({said}); mend it or take it out") from error
    if min(ink.shape) == 0:
        raise BadInput(f"{path} has no pixels; take it out")
    return _square(ink, size)


def of_image(image: Image.Image, size: int) -> np.ndarray:
    """uint8 [size, size] of an opened image, as `read` has it; BadInput for one that cannot be used."""
    try:
        require_size(*image.size)
        ink = _ink_of(ImageOps.exif_transpose(image))
    except Exception as error:  # Pillow raises kinds of its own for each format
        raise BadInput(f"this image cannot be used ({error})") from error
    if min(ink.shape) == 0:
        raise BadInput("this image has no pixels")
    return _square(ink, size)


def _ink_of(image: Image.Image) -> np.ndarray:
    return _without_transparency(image) if image.has_transparency_data else _grey(image)


def _square(ink: np.ndarray, size: int) -> np.ndarray:
    """uint8 [size, size] with ink 255 of uint8 [h, w] of either."""
    border = np.concatenate([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
    ink = 255 - ink if np.median(border) > 127 else ink
    square = Image.fromarray(_pad_to_square(ink))
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))


def require_size(width: int, height: int) -> None:
    """Raises ValueError for an image that is too large to be decoded, by what its header says."""
    if width * height > MOST_PIXELS or max(width, height) ** 2 > 4 * MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels are more than {MOST_PIXELS:,}")


def _grey(image: Image.Image) -> np.ndarray:
    """uint8 [h, w]; 16-bit images are scaled, not clipped."""
    if image.mode.startswith("I"):
        return (np.clip(np.asarray(image, np.int64), 0, 65535) // 257).astype(np.uint8)
    if image.mode == "F":
        raise ValueError("floating-point pixels have no agreed range")
    return np.asarray(image.convert("L"))


def _without_transparency(image: Image.Image) -> np.ndarray:
    """uint8 [h, w] on paper that is the opposite of the ink: white under dark ink, black under bright."""
    grey, alpha = (np.asarray(band, np.float64) for band in image.convert("LA").split())
    ink_is_bright = alpha.sum() > 0 and (grey * alpha).sum() / alpha.sum() > 127
    paper = 0 if ink_is_bright else 255
    return np.round(paper + (grey - paper) * alpha / 255).astype(np.uint8)


def _pad_to_square(ink: np.ndarray) -> np.ndarray:
    high, wide = ink.shape
    side = max(high, wide)
    above, left = (side - high) // 2, (side - wide) // 2
    return np.pad(ink, ((above, side - high - above), (left, side - wide - left)))


def files_of(directory: Path, split: str) -> list[Path]:
    """The sorted images of a split; raises BadInput if there are none, saying where was looked for what."""
    suffixes = ", ".join(SUFFIXES)
    if not directory.is_dir():
        raise BadInput(f"data.dir={str(directory)!r} is not a folder; give one with images ({suffixes})")
    own_splits = [directory / name for name in ("train", "test")]
    if all(path.is_dir() for path in own_splits):
        found = _images_in(directory / split)
        if not found:
            raise BadInput(f"no images in {directory / split}: looked there for {suffixes}")
        return found
    found = _images_in(directory)
    if len(found) < 2:
        raise BadInput(
            f"{len(found) or 'no'} images in {directory}, looked there and in its folders for {suffixes};"
            " give at least 2, as some are held out"
        )
    in_random_order = sorted(found, key=lambda path: _digest(str(path.relative_to(directory)).encode()))
    held_out = set(in_random_order[: max(1, len(found) // 5)])
    return [path for path in found if (path in held_out) == (split == "test")]


def fingerprint(directory: Path, files: list[Path]) -> str:
    """sha256 of the names and contents of the files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(_digest(str(path.relative_to(directory)).encode()))
        digest.update(_digest(path.read_bytes()))
    return digest.hexdigest()


def read_folder(directory: Path, files: list[Path], split: str, size: int) -> Dataset:
    """The images at [size, size]; a class is the folder that an image lies in."""
    root = directory / split if (directory / split) in files[0].parents else directory
    names = [str(path.parent.relative_to(root)) for path in files]
    classes = _class_names(directory)
    labels = np.array([classes.index(name) for name in names], np.int32)
    images = np.stack([read_image(path, size) for path in files])
    metadata = {"name": "folder", "split": split, "source": str(directory), "classes": classes}
    return Dataset(images, labels, metadata)


def _class_names(directory: Path) -> tuple[str, ...]:
    """The same for both splits, so that a label means the same in both."""
    splits = [directory / name for name in ("train", "test")]
    roots = splits if all(path.is_dir() for path in splits) else [directory]
    found = {str(path.parent.relative_to(root)) for root in roots for path in _images_in(root)}
    return tuple(sorted(found))


def _images_in(root: Path) -> list[Path]:
    """Images in a folder and in its folders, however deep; hidden ones are left out."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
