"""Vectorizes many files: finds the images, draws each again, and writes the drawings into one folder.

A file that cannot be read or holds no drawing is reported in one line, and the rest is still done.
"""

import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from dood_jax.errors import BadInput
from dood_jax.vectorize import reading
from dood_jax.vectorize.drawing import InkDrawing
from dood_jax.vectorize.formats import WRITERS

_LONGEST_NAME = 120  # characters of a file name


class Outcome(NamedTuple):
    """What became of the images. The first three lists have one entry for each drawing."""

    counts: list[int]  # number of strokes
    errors: list[float]  # L1 error, as in `InkDrawing.l1`
    pixels: list[int]  # pixels of the image
    failures: list[str]  # one line for each image that could not be vectorized


def export(
    vectorize: Callable[[np.ndarray, str], InkDrawing],
    names: Iterable[str],
    formats: tuple[str, ...],
    out: Path,
) -> Outcome:
    """Writes a drawing of every image of the given files and folders, in every format, into `out`.

    Args:
      vectorize: takes the [H, W] grey values of `reading.Scan` and a name, and returns a drawing. It raises
        BadInput if the image holds none.
      names: files and folders.
      formats: keys of `formats.WRITERS`.
      out: a folder, which is made if it is not there. Nothing is written outside it.

    Raises:
      BadInput: a name that does not exist, or a folder that cannot be written.
    """
    images = gather(names)
    namer = Namer(out)
    outcome = Outcome([], [], [], [])
    for path, folder in tqdm(images, unit="file", disable=len(images) < 2 or not sys.stderr.isatty()):
        try:
            scans = reading.read(path)
        except BadInput as error:
            outcome.failures.append(_report(str(error)))
            continue
        for scan in scans:
            try:
                drawing = vectorize(scan.grey, scan.ident)
            except BadInput as error:
                outcome.failures.append(_report(f"{path}: {error}"))
                continue
            _write(drawing, formats, namer.place(folder, scan.ident))
            outcome.counts.append(len(drawing.strokes))
            outcome.errors.append(drawing.l1)
            outcome.pixels.append(drawing.width * drawing.height)
    return outcome


def parse_formats(text: str) -> tuple[str, ...]:
    """Splits format names at commas. Raises BadInput for an unknown format, or if there is none."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in WRITERS:
            raise BadInput(f"--to={name} is not known; choose from {', '.join(WRITERS)}")
    if not names:
        raise BadInput(f"--to names no format; choose from {', '.join(WRITERS)}")
    return names


def gather(names: Iterable[str]) -> list[tuple[Path, Path]]:
    """Lists every given file and every image in every given folder.

    Returns:
      Pairs of a file and the subfolder in which it lies, relative to the folder that was given. The files of
      a folder are sorted, and hidden ones are left out.

    Raises:
      BadInput: a name that does not exist, or a folder without images.
    """
    found = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = list(_images_in(path))
            if not inside:
                raise BadInput(f"{name} holds no images ({', '.join(reading.SUFFIXES)})")
            found += [(image, image.parent.relative_to(path)) for image in inside]
        elif path.exists():
            found.append((path, Path()))
        else:
            raise BadInput(f"{name} is not there; give files or folders")
    return found


def _images_in(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.suffix.lower() in reading.SUFFIXES:
                yield path


class Namer:
    """Gives every drawing a file of its own inside one folder, whatever its image is called."""

    def __init__(self, out: Path):
        """Starts with no name taken in the folder `out`."""
        self._out = out
        self._taken: set[str] = set()

    def place(self, folder: Path, ident: str) -> Path:
        """Returns the path of a drawing without its suffix.

        No part of it is `..`, and no two paths are equal, even where upper and lower case are the same.
        """
        inside = self._out.joinpath(*(safe_name(part) for part in folder.parts))
        name = safe_name(ident)
        candidate, count = inside / name, 1
        while str(candidate).casefold() in self._taken:
            count += 1
            candidate = inside / f"{name}-{count}"
        self._taken.add(str(candidate).casefold())
        return candidate


def safe_name(name: str) -> str:
    """Makes a file name that every system takes: letters, digits, blanks and `_-.`, and not hidden."""
    plain = unicodedata.normalize("NFC", name)
    plain = re.sub(r"[^\w\-. ]", "_", plain)[:_LONGEST_NAME].strip(" .")
    return plain or "drawing"


def _write(drawing: InkDrawing, formats: tuple[str, ...], place: Path) -> None:
    """Writes every format. Each file is first written beside its place, so that none is ever half there."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        for name in formats:
            suffix, encode = WRITERS[name]
            whole = place.with_name(place.name + suffix)
            part = place.with_name(place.name + suffix + ".part")
            part.write_bytes(encode(drawing))
            os.replace(part, whole)
    except OSError as error:
        raise BadInput(f"{place} cannot be written ({error.strerror}); give another folder") from error


def _report(message: str) -> str:
    """Writes a message to stderr as one line, above the progress bar, and returns the line."""
    line = " ".join(message.split())
    tqdm.write(f"dood_jax: {line}", file=sys.stderr)
    return line
