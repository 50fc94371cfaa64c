"""Vectorises files into a folder: one line for each that fails, and the rest still done."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from dood_jax.errors import BadInput
from dood_jax.ink import decoding, files
from dood_jax.ink.drawing import InkDrawing
from dood_jax.ink.formats import WRITERS


class Outcome(NamedTuple):
    """What became of the pictures."""

    counts: list[int]  # strokes of each that was drawn
    errors: list[float]  # L1, of each
    pixels: list[int]  # of each picture
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
    """Writes every picture of the files and folders in every format into `out`.

    Args:
      vectorize: [H, W] grey values and their name -> a drawing; raises BadInput where nothing is drawn.
      names: of files and folders.
      formats: keys of `formats.WRITERS`.
      out: made if it is not there; nothing is written outside it.
    """
    pictures = files.gather(names)
    namer = files.Namer(out)
    outcome = Outcome([], [], [], [])
    for path, folder in tqdm(pictures, unit="file", disable=len(pictures) < 2 or not sys.stderr.isatty()):
        try:
            scans = decoding.read(path)
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
