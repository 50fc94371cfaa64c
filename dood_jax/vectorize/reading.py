"""Opens the files that may hold drawings, and loads their images one at a time.

A file holds one image, or several: pages of a TIFF or a PDF, frames of an animation, arrays of an archive.
"""

import contextlib
import io
import math
import os
import sys
import threading
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageOps, UnidentifiedImageError

from dood_jax.data import dataset
from dood_jax.errors import BadInput, first_line
from dood_jax.vectorize import documents, pixels
from dood_jax.vectorize.pixels import Pixels

ARRAYS = (".npy", ".npz")
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
IN_FOLDERS = (*IMAGES, *ARRAYS, ".pdf")  # an SVG is read if it is named: a folder may hold those written here
MOST_PIXELS = 100_000_000  # more is refused before it is decoded
TRACED_PIXELS = 8_000_000  # an image of more is made smaller, so that 2 GB of memory are enough
MOST_FRAMES = 100  # of an animation
_MOST_BYTES, _MOST_VALUES = 400_000_000, 50_000_000  # of the arrays of a file, and of an array of one image
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")  # Pillow's names of them
_FILMS = ("GIF", "WEBP", "PNG")
_EXIF_TURN = 0x0112
_TIFF_SUBFILE, _IS_SMALLER_COPY = 254, 1  # the tag that says what a page is, and its bit for a preview
_LEAST_SIDE = 3
_CHANNELS = (1, 2, 3, 4)
_MUTING = threading.RLock()  # one thread at a time: stderr is of the whole process


class Scan(NamedTuple):
    """One image of a file."""

    grey: np.ndarray  # float32 [H, W], 0 black .. 1 white; NaN where there is nothing
    colour: np.ndarray | None = None  # uint8 [H, W, 3]; None if the image is grey
    ident: str = ""  # its name in outputs: that of the file, with a number if the file holds several
    source: str = ""  # the name of the file with its suffix, and the page if the file holds several
    size: tuple[int, int] | None = None  # width and height in the file, if they are larger
    notes: tuple[str, ...] = ()  # one line each, of what the user should know


class Sheet(NamedTuple):
    """One image of an opened file, which is not loaded yet."""

    mark: str  # what tells its name in outputs from the file's: empty, or such as `-2`
    part: str  # which part of the file it is: empty, or such as `, page 2 of 3`
    load: Callable[[], Scan]  # raises BadInput


class Contents(NamedTuple):
    """The images of an opened file."""

    sheets: list[Sheet]
    notes: tuple[str, ...] = ()  # one line each, of what was left out


def read(path: Path) -> Scan:
    """Loads the first image of a file. Raises BadInput, naming the file, if it cannot be read."""
    try:
        with opened(path) as contents:
            scan = contents.sheets[0].load()
            left = len(contents.sheets) - 1
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    return scan._replace(notes=(*scan.notes, f"{left} more images of it were left out")) if left else scan


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Contents]:
    """Opens a file, whose images can be loaded as long as it is open.

    Raises:
      BadInput: in one line, if the file cannot be read or holds no image.
    """
    openers = {".npy": _arrays, ".npz": _arrays, ".pdf": _pdf, ".svg": _svg, ".svgz": _svg}
    with contextlib.ExitStack() as stack:
        with _refusals(), _quiet(), _MUTING, _mute():
            contents = openers.get(path.suffix.lower(), _image_file)(path, stack)
        if not contents.sheets:
            raise BadInput("it holds no image")
        yield contents


def read_upload(data: bytes, most_pixels: int) -> Scan:
    """Reads the content of an image file that somebody sent.

    Raises:
      BadInput: it is no PNG, JPEG, WebP, TIFF, BMP or GIF, or has more than `most_pixels`. The latter is
        found before the image is decoded.
    """
    with _refusals("this"), _quiet(), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        require_size(*image.size, most_pixels)
        return _scan(image)


def scan_of(array: ArrayLike, ident: str = "", source: str = "") -> Scan:
    """Makes a scan of an array of one image; see `pixels.of_array` for its shapes, values and errors."""
    array = np.asarray(array)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        raise BadInput(f"an array of shape {list(array.shape)} is no image; give [H, W] or [H, W, 3]")
    high, wide = array.shape[:2]
    require_size(wide, high, _MOST_VALUES * wide * high // max(array.size, 1))
    found = pixels.of_array(array)
    size = _traced_size(wide, high)
    if size != (wide, high):
        found = pixels.shrink(found, size)
    return _finished(found, (wide, high))._replace(ident=ident, source=source)


def require_size(width: int, height: int, most_pixels: int = MOST_PIXELS) -> None:
    """Raises BadInput if an image is too small to hold a line, or too large to be decoded."""
    if min(width, height) < _LEAST_SIDE:
        raise BadInput(f"an image of {width} x {height} pixels holds no drawing; give a larger one")
    if width * height > most_pixels:
        raise BadInput(f"{width} x {height} pixels are more than {most_pixels:,}; make it smaller")


@contextlib.contextmanager
def _refusals(subject: str = "it") -> Iterator[None]:
    """Turns whatever a decoder raises into BadInput; Pillow and NumPy have kinds of their own."""
    try:
        yield
    except BadInput:
        raise
    except MemoryError as error:
        raise BadInput(f"{subject} does not fit into memory; make it smaller") from error
    except UnidentifiedImageError as error:
        raise BadInput(f"{subject} is no image; give a PNG, JPEG, WebP, TIFF, BMP or GIF") from error
    except Image.DecompressionBombError as error:
        raise BadInput(f"{subject} has more than {MOST_PIXELS:,} pixels; make it smaller") from error
    except Exception as error:
        raise BadInput(f"{subject} cannot be read as an image ({first_line(error)})") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences Pillow's warnings of sizes, which are checked here, and of odd metadata."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _mute() -> Iterator[None]:
    """Silences the libraries below Pillow, which write to the process's stderr what is reported here."""
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _sheet(path: Path, mark: str, part: str, load: Callable[[], Scan]) -> Sheet:
    """A sheet whose scan has its names, and which raises nothing but BadInput."""

    def loaded() -> Scan:
        with _refusals(), _quiet(), _MUTING, _mute():
            return load()._replace(ident=path.stem + mark, source=path.name + part)

    return Sheet(mark, part, loaded)


def _numbered(path: Path, word: str, loads: list[Callable[[], Scan]]) -> list[Sheet]:
    """Sheets that are counted from 1, unless there is only one."""
    if len(loads) == 1:
        return [_sheet(path, "", "", loads[0])]
    digits = len(str(len(loads)))
    return [
        _sheet(path, f"-{i:0{digits}}", f", {word} {i} of {len(loads)}", load)
        for i, load in enumerate(loads, start=1)
    ]


def _image_file(path: Path, stack: contextlib.ExitStack) -> Contents:
    """The images of a file that Pillow opens: all pages, the first frames, or the only image."""
    image = stack.enter_context(Image.open(path, formats=_FORMATS))
    require_size(*image.size)
    is_film = image.format in _FILMS
    numbers, notes = _frames_of(image) if is_film else _pages_of(image)
    sheets = _numbered(path, "frame" if is_film else "page", [_frame_loader(image, i) for i in numbers])
    if is_film and len(sheets) > MOST_FRAMES:
        notes.append(f"only the first {MOST_FRAMES} of {len(sheets)} frames are drawn")
        sheets = sheets[:MOST_FRAMES]
    return Contents(sheets, tuple(notes))


def _frames_of(image: Image.Image) -> tuple[list[int], list[str]]:
    """Indices of the frames of an animation, and no notes."""
    return list(range(getattr(image, "n_frames", 1))), []


def _pages_of(image: Image.Image) -> tuple[list[int], list[str]]:
    """Indices of the pages of a TIFF, and a note if some are left out; [0] of any other image.

    A page may be a smaller copy of another, made for a quick view. Pages behind a damaged one are not found.
    """
    if image.format != "TIFF":
        return [0], []
    found, notes, copies = [0], [], 0
    index = 0
    while True:
        index += 1
        try:
            image.seek(index)
        except EOFError:
            break
        except Exception as error:
            notes.append(f"page {index + 1} and those behind it cannot be read ({first_line(error)})")
            break
        if image.tag_v2.get(_TIFF_SUBFILE, 0) & _IS_SMALLER_COPY:  # type: ignore[attr-defined]
            copies += 1
        else:
            found.append(index)
    if copies:
        notes.append(f"{copies} of {index} pages are smaller copies of others, and were left out")
    return found, notes


def _frame_loader(image: Image.Image, index: int) -> Callable[[], Scan]:
    def load() -> Scan:
        image.seek(index)
        require_size(*image.size)
        return _scan(image)

    return load


def _scan(image: Image.Image) -> Scan:
    """Loads an opened image, upright even if the camera was not, and no larger than can be traced."""
    size = image.size
    image.draft("", _traced_size(*size))  # a large JPEG is decoded at a fraction of its size
    image.load()
    upright = image if image.getexif().get(_EXIF_TURN, 1) == 1 else ImageOps.exif_transpose(image)
    if (upright.width < upright.height) != (image.width < image.height):
        size = size[::-1]
    return _finished(pixels.of_image(upright, _traced_size(*size)), size)


def _finished(found: Pixels, size: tuple[int, int]) -> Scan:
    """A scan of an image of some [width, height], and a note if it was made smaller."""
    high, wide = found.grey.shape
    if (wide, high) == size:
        return Scan(found.grey, found.colour)
    note = f"{size[0]} x {size[1]} pixels were traced at {wide} x {high}, to save memory"
    return Scan(found.grey, found.colour, size=size, notes=(note,))


def _traced_size(width: int, height: int) -> tuple[int, int]:
    """Width and height at which an image is traced."""
    scale = min(1.0, math.sqrt(TRACED_PIXELS / (width * height)))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _pdf(path: Path, stack: contextlib.ExitStack) -> Contents:
    document = stack.enter_context(documents.pdf(path))
    load = lambda index: lambda: _scan(documents.pdf_page(document, index, TRACED_PIXELS))
    return Contents(_numbered(path, "page", [load(index) for index in range(len(document))]))


def _svg(path: Path, stack: contextlib.ExitStack) -> Contents:
    del stack  # nothing stays open
    image = documents.svg_image(path)
    return Contents([_sheet(path, "", "", lambda: _scan(image))])


def _arrays(path: Path, stack: contextlib.ExitStack) -> Contents:
    """The images of an array file, read without unpickling; of an npz those arrays that can be images."""
    del stack  # nothing stays open
    if not zipfile.is_zipfile(path):
        _require_memory(path.stat().st_size)
        return Contents(_sheets_of(path, "", "", np.load(path, allow_pickle=False)))
    with zipfile.ZipFile(path) as archive:
        _require_memory(sum(member.file_size for member in archive.infolist()))
    named = [(name, array) for name, array in dataset.read_npz(path).items() if array.ndim in (2, 3, 4)]
    if not named:
        raise BadInput("no array of it is an image; give [H, W] or [N, H, W]")
    return Contents(
        [one for name, array in named for one in _sheets_of(path, f"-{name}", f", {name}", array)]
    )


def _sheets_of(path: Path, mark: str, part: str, array: np.ndarray) -> list[Sheet]:
    """The images of an array of [H, W], [H, W, C], [N, H, W] or [N, H, W, C], counted from 0."""
    load = lambda one: lambda: scan_of(one)
    if array.ndim != 4 and not (array.ndim == 3 and array.shape[2] not in _CHANNELS):
        return [_sheet(path, mark, part, load(array))]
    digits = len(str(len(array) - 1))
    return [_sheet(path, f"{mark}-{i:0{digits}}", f"{part}[{i}]", load(one)) for i, one in enumerate(array)]


def _require_memory(count: int) -> None:
    if count > _MOST_BYTES:
        raise BadInput(f"its arrays have {count:,} bytes, more than {_MOST_BYTES:,}; split it or use uint8")
