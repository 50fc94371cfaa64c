"""A folder of image files as a dataset, and how one image file becomes white ink on a black square.

The images lie in one heap, or in a folder for each class. `FOLDER/train/…` and `FOLDER/test/…` are taken as
the splits where both are there; else a fifth of the images, chosen by the sha256 of their names, are test
images.
"""

import hashlib
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from dood_jax.data.dataset import Dataset
from dood_jax.errors import BadInput, first_line

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
_SPLITS = ("train", "test")  # folders of images that are divided already
MOST_PIXELS = 50_000_000  # more is refused before it is decoded


def read_image(path: Path, size: int) -> np.ndarray:
    """uint8 [size, size] ink of an image file: grey, padded to a square, and resized as the sets are.

    What is transparent is paper. Otherwise the paper is what surrounds the drawing: if the median of the
    border is bright, the image is inverted. So ink is 255 and paper 0, whatever the colours of the file.

    Raises BadInput for a file that cannot be read as an image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow on size, which is checked here, and on odd metadata
            with Image.open(path) as opened:
                require_size(*opened.size)
                grey = _grey_levels(ImageOps.exif_transpose(opened))
    except Exception as error:  # Pillow raises kinds of its own for each format
        said = first_line(error)
        raise BadInput(f"{path} cannot be read as an image ({said}); mend it or take it out") from error
    if min(grey.shape) == 0:
        raise BadInput(f"{path} has no pixels; take it out")
    return _square_ink(grey, size)


def from_pillow(image: Image.Image, size: int) -> np.ndarray:
    """uint8 [size, size] ink of an opened image, as `read_image` has it; raises BadInput if it has none."""
    try:
        require_size(*image.size)
        grey = _grey_levels(ImageOps.exif_transpose(image))
    except Exception as error:  # Pillow raises kinds of its own for each format
        raise BadInput(f"this image cannot be used ({error})") from error
    if min(grey.shape) == 0:
        raise BadInput("this image has no pixels")
    return _square_ink(grey, size)


def _grey_levels(image: Image.Image) -> np.ndarray:
    """uint8 [h, w] grey levels of an image of any mode."""
    return _without_transparency(image) if image.has_transparency_data else _grey(image)


def _square_ink(grey: np.ndarray, size: int) -> np.ndarray:
    """uint8 [size, size] ink of uint8 [h, w] grey levels, inverted if the border is bright."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = 255 - grey if np.median(border) > 127 else grey
    square = Image.fromarray(_pad_to_square(ink))
    return np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))


def require_size(width: int, height: int) -> None:
    """Raises ValueError for an image that is, by what its header says, too large to be decoded."""
    if width * height > MOST_PIXELS or max(width, height) ** 2 > 4 * MOST_PIXELS:
        raise ValueError(f"{width} x {height} pixels are more than {MOST_PIXELS:,}")


def _grey(image: Image.Image) -> np.ndarray:
    """uint8 [h, w] of an opaque image; 16-bit images are scaled, not clipped."""
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
    """The ink in the middle of a square of paper."""
    high, wide = ink.shape
    side = max(high, wide)
    above, left = (side - high) // 2, (side - wide) // 2
    return np.pad(ink, ((above, side - high - above), (left, side - wide - left)))


def files_of(directory: Path, split: str) -> list[Path]:
    """The sorted image files of a split; raises BadInput, saying what was looked for where, without any."""
    suffixes = ", ".join(SUFFIXES)
    if not directory.is_dir():
        raise BadInput(f"data.dir={str(directory)!r} is not a folder; give one with images ({suffixes})")
    if _has_own_splits(directory):
        found = _images_in(directory / split)
        if not found:
            raise BadInput(f"no images in {directory / split}: looked there for {suffixes}")
        return found
    found = _images_in(directory)
    if len(found) < 2:
        raise BadInput(
            f"{len(found) or 'no'} images in {directory}, looked there and in its folders for {suffixes};"
            " give at least 2, as some are test images"
        )
    in_random_order = sorted(found, key=lambda path: _digest(str(path.relative_to(directory)).encode()))
    test = set(in_random_order[: max(1, len(found) // 5)])
    return [path for path in found if (path in test) == (split == "test")]


def fingerprint(directory: Path, files: list[Path]) -> str:
    """sha256 of the names and contents of the files, and of the names of the classes of both splits."""
    digest = hashlib.sha256("\n".join(_class_names(directory)).encode())
    for path in files:
        digest.update(_digest(str(path.relative_to(directory)).encode()))
        digest.update(_digest(path.read_bytes()))
    return digest.hexdigest()


def read_folder(directory: Path, files: list[Path], split: str, size: int) -> Dataset:
    """The image files as a dataset of [size, size]; the class of an image is the folder that it lies in."""
    root = directory / split if _has_own_splits(directory) else directory
    names = [str(path.parent.relative_to(root)) for path in files]
    classes = _class_names(directory)
    labels = np.array([classes.index(name) for name in names], np.int32)
    images = np.stack([read_image(path, size) for path in files])
    metadata = {"name": "folder", "split": split, "source": str(directory), "classes": classes}
    return Dataset(images, labels, metadata)


def _class_names(directory: Path) -> tuple[str, ...]:
    """Names of the classes of both splits together, so that a label means the same in both."""
    roots = [directory / name for name in _SPLITS] if _has_own_splits(directory) else [directory]
    found = {str(path.parent.relative_to(root)) for root in roots for path in _images_in(root)}
    return tuple(sorted(found))


def _has_own_splits(directory: Path) -> bool:
    """Whether the images are divided already, into the folders `train` and `test`."""
    return all((directory / name).is_dir() for name in _SPLITS)


def _images_in(root: Path) -> list[Path]:
    """Image files in a folder and in its subfolders, however deep; hidden ones are left out."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(root).parts)
    )


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
