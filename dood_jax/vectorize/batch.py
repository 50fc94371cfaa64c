"""Vectorizes many files: finds the images, draws each again, and writes the drawings into one folder.

A file that is missing, cannot be read, holds no drawing or would overwrite another is reported in one line,
and the rest is still done.
"""

import contextlib
import os
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from dood_jax.errors import BadInput, first_line
from dood_jax.vectorize import formats as writing
from dood_jax.vectorize import reading
from dood_jax.vectorize.drawing import InkDrawing
from dood_jax.vectorize.formats import WRITERS
from dood_jax.vectorize.reading import Scan, Sheet

_LONGEST_NAME = 200  # bytes of a file name without its suffix


class Options(NamedTuple):
    """How drawings are written."""

    formats: tuple[str, ...]  # keys of `formats.WRITERS`
    overwrite: bool = False  # files that are there; else they are left, and the image is not drawn
    quiet: bool = False  # writes nothing to stdout, and shows no progress
    monochrome: bool = False  # all strokes are black
    groups: bool = False  # formats tell the line, word and character of a stroke
    stroke3_points: int = writing.STROKE3_POINTS  # most points of a drawing in the format stroke3


class Gathered(NamedTuple):
    """The files that were named."""

    files: list[tuple[Path, Path]]  # each with the subfolder of the output in which its drawings belong
    failures: list[str]  # one line for each name that is of no use


class Outcome(NamedTuple):
    """What became of the images. The first three lists have one entry for each drawing."""

    counts: list[int]  # number of strokes
    errors: list[float]  # L1 error, as in `InkDrawing.l1`
    pixels: list[int]  # pixels of the image
    failures: list[str]  # one line for each name or image that could not be vectorized


def export(
    vectorize: Callable[[Scan], InkDrawing], gathered: Gathered, options: Options, out: Path
) -> Outcome:
    """Writes a drawing of every image of the given files, in every format, into `out`.

    Each drawing is reported in one line on stdout, and each image that is not drawn in one on stderr. No file
    ends the work on the others, whatever is wrong with it.

    Args:
      vectorize: makes a drawing of an image, or raises BadInput if it holds none.
      gathered: the files; its failures are reported first.
      options: formats, and how they are written.
      out: a folder, which is made if it is not there. Nothing is written outside it.
    """
    work = _Work(vectorize, options, Namer(out))
    for failure in gathered.failures:
        work.outcome.failures.append(_report(failure))
    files = list(zip(gathered.files, base_names(gathered.files), strict=True))
    is_shown = len(files) > 1 and not options.quiet and sys.stderr.isatty()
    for (path, folder), name in tqdm(files, unit="file", disable=not is_shown):
        work.draw_file(path, folder, name)
    return work.outcome


class _Work:
    """Draws one file after the other and keeps account of it."""

    def __init__(self, vectorize: Callable[[Scan], InkDrawing], options: Options, namer: "Namer"):
        self.outcome = Outcome([], [], [], [])
        self._vectorize, self._options, self._namer = vectorize, options, namer

    def draw_file(self, path: Path, folder: Path, name: str) -> None:
        """Draws every image of a file; `name` is that of its drawings in `folder`."""
        with self._reported(str(path)), reading.opened(path) as contents:
            for note in contents.notes:
                _report(f"{path}: {note}")
            for sheet in contents.sheets:
                with self._reported(f"{path}{sheet.part}"):
                    place = self._namer.place(folder, name + sheet.mark)
                    self._draw(f"{path}{sheet.part}", sheet, place, path)

    def _draw(self, subject: str, sheet: Sheet, place: Path, path: Path) -> None:
        """Draws one image of a file; raises BadInput if that is impossible or not wanted."""
        targets = [place.with_name(place.name + WRITERS[name][0]) for name in self._options.formats]
        _require_apart(targets, path)
        if not self._options.overwrite:
            _require_new(targets)
        started = time.monotonic()
        drawing = self._vectorize(sheet.load())
        for note in drawing.notes:
            _report(f"{subject}: {note}")
        if self._options.monochrome:
            drawing = drawing.in_black()
        if self._options.groups:
            drawing = drawing.grouped()
        _write([self._encode(name, drawing) for name in self._options.formats], targets)
        self.outcome.counts.append(len(drawing.strokes))
        self.outcome.errors.append(drawing.l1)
        self.outcome.pixels.append(drawing.width * drawing.height)
        if not self._options.quiet:
            count = f"{len(drawing.strokes)} stroke{'s' * (len(drawing.strokes) != 1)}"
            written = ", ".join([str(targets[0]), *(WRITERS[name][0] for name in self._options.formats[1:])])
            line = f"{subject}: {count}, {time.monotonic() - started:.1f} s -> {written}"
            tqdm.write(_printable(_one_line(line)), file=sys.stdout)

    def _encode(self, name: str, drawing: InkDrawing) -> bytes:
        if name == "stroke3":
            return writing.stroke3_file(drawing, self._options.stroke3_points)
        return WRITERS[name][1](drawing)

    @contextlib.contextmanager
    def _reported(self, subject: str) -> Iterator[None]:
        """Turns whatever is raised into one line about the subject."""
        try:
            yield
        except BadInput as error:
            self.outcome.failures.append(_report(f"{subject}: {error}"))
        except MemoryError:
            self.outcome.failures.append(_report(f"{subject}: there is not enough memory; make it smaller"))
        except Exception as error:
            kind = type(error).__name__
            line = f"{subject}: it cannot be drawn ({kind}: {first_line(error)}); please report this file"
            self.outcome.failures.append(_report(line))


def parse_formats(text: str) -> tuple[str, ...]:
    """Splits format names at commas. Raises BadInput for an unknown format, or if there is none."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in WRITERS:
            raise BadInput(f"--to={name} is not known; choose from {', '.join(WRITERS)}")
    if not names:
        raise BadInput(f"--to names no format; choose from {', '.join(WRITERS)}")
    return names


def gather(names: Iterable[str]) -> Gathered:
    """Lists every given file, and every image in every given folder, once.

    The files of a folder are sorted, and hidden ones are left out. A name that does not exist, or a folder
    without images, is a failure.
    """
    found: dict[str, tuple[Path, Path]] = {}
    failures = []
    for name in names:
        path = Path(name)
        if os.path.isdir(path):
            inside = [(image, image.parent.relative_to(path)) for image in _images_in(path)]
            if not inside:
                failures.append(f"{name} holds no images ({', '.join(reading.IN_FOLDERS)})")
        elif os.path.exists(path):
            inside = [(path, Path())]
        else:
            inside = []
            failures.append(f"{name} is not there; give files or folders")
        for image, folder in inside:
            found.setdefault(os.path.abspath(image), (image, folder))
    return Gathered(list(found.values()), failures)


def _images_in(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.suffix.lower() in reading.IN_FOLDERS:
                yield path


def base_names(files: list[tuple[Path, Path]]) -> list[str]:
    """A name for the drawings of each file, by which it is known.

    It is the file's name without its suffix. Where two files of one subfolder would have the same, it is with
    the suffix, and if that is the same too, with the name of the folder in which the file lies.
    """
    names = [path.stem for path, _ in files]
    longer: list[Callable[[Path], str]] = [
        lambda path: path.name,
        lambda path: f"{path.absolute().parent.name}-{path.name}",
    ]
    for name_of in longer:
        keys = [(folder, safe_name(name).casefold()) for (_, folder), name in zip(files, names, strict=True)]
        counts = Counter(keys)
        names = [
            name_of(path) if counts[key] > 1 else name
            for (path, _), key, name in zip(files, keys, names, strict=True)
        ]
    return names


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
    plain = re.sub(r"[^\w\-. ]", "_", plain)
    whole = plain.encode(errors="ignore")[:_LONGEST_NAME].decode(errors="ignore")
    return whole.strip(" .") or "drawing"


def _require_apart(targets: list[Path], path: Path) -> None:
    """Raises BadInput if one of the files is the image itself, which nothing may replace."""
    for target in targets:
        if target.exists() and target.samefile(path):
            raise BadInput(f"{target} would replace the image itself; give another folder by --out")


def _require_new(targets: list[Path]) -> None:
    """Raises BadInput if one of the files is there."""
    for target in targets:
        if os.path.lexists(target):
            raise BadInput(f"{target} is there already; give --overwrite, or another folder by --out")


def _write(contents: list[bytes], targets: list[Path]) -> None:
    """Writes files. Each is first written beside its place, so that none is ever half there."""
    for content, target in zip(contents, targets, strict=True):
        part = target.with_name(target.name + ".part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            os.replace(part, target)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise BadInput(f"{target} cannot be written ({error.strerror}); give another folder") from error


def _one_line(message: str) -> str:
    return " ".join(message.split())


def _printable(line: str) -> str:
    """A line that every terminal takes: names of files may hold bytes that are no text."""
    return line.encode(errors="backslashreplace").decode()


def _report(message: str) -> str:
    """Writes a message to stderr as one line, above the progress bar, and returns the line."""
    line = _one_line(message)
    tqdm.write(_printable(f"dood_jax: {line}"), file=sys.stderr)
    return line
