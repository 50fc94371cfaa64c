"""Many files in, many files out: the images to vectorise and the drawings that are written.

Many files to drawings: what is found under the given names, and where each drawing goes.

Vectorises files into a folder: one line for each that fails, and the rest still done.
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

_LONGEST_NAME = 120


def gather(names: Iterable[str]) -> list[tuple[Path, Path]]:
    """(file, its folder below the one given) of every file and every image in every folder.

    Files in folders come sorted; hidden ones are left out. Raises BadInput for a name that is nothing.
    """
    found = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = list(_images_in(path))
            if not inside:
                raise BadInput(f"{name} holds no images ({', '.join(reading.SUFFIXES)})")
            found += [(one, one.parent.relative_to(path)) for one in inside]
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
    """Gives each drawing a file of its own inside one folder, whatever its image is called."""

    def __init__(self, out: Path):
        """`out` is the folder."""
        self._out = out
        self._taken: set[str] = set()

    def place(self, folder: Path, ident: str) -> Path:
        """The file of a drawing, without suffix: no part of it is `..`, and no two are the same."""
        inside = self._out.joinpath(*(safe_name(part) for part in folder.parts))
        name = safe_name(ident)
        candidate, count = inside / name, 1
        while str(candidate).casefold() in self._taken:
            count += 1
            candidate = inside / f"{name}-{count}"
        self._taken.add(str(candidate).casefold())
        return candidate


def safe_name(name: str) -> str:
    """A name that is a file's on every system: letters, digits, blanks and `_-.` of it, not hidden."""
    plain = unicodedata.normalize("NFC", name)
    plain = re.sub(r"[^\w\-. ]", "_", plain)[:_LONGEST_NAME].strip(" .")
    return plain or "drawing"


class Outcome(NamedTuple):
    """What became of the images."""

    counts: list[int]  # strokes of each that was drawn
    errors: list[float]  # L1, of each
    pixels: list[int]  # of each image
    failures: list[str]  # one line each


def parse_formats(text: str) -> tuple[str, ...]:
    """Formats joined by commas; raises BadInput for one that is not known."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in WRITERS:
            raise BadInput(f"--to={name} is not known; choose from {', '.join(WRITERS)}")
    if not names:
        raise BadInput(f"--to names no format; choose from {', '.join(WRITERS)}")
    return names


def export(
    vectorize: Callable[[np.ndarray, str], InkDrawing],
    names: Iterable[str],
    formats: tuple[str, ...],
    out: Path,
) -> Outcome:
    """Writes every image of the files and folders in every format into `out`.

    Args:
      vectorize: [H, W] grey values and their name -> a drawing; raises BadInput where nothing is drawn.
      names: of files and folders.
      formats: keys of `formats.WRITERS`.
      out: made if it is not there; nothing is written outside it.
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


def _write(drawing: InkDrawing, formats: tuple[str, ...], place: Path) -> None:
    """Every file whole or not at all."""
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


def _report(line: str) -> str:
    said = " ".join(line.split())
    tqdm.write(f"dood_jax: {said}", file=sys.stderr)
    return said
