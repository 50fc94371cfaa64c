"""Many files to drawings: what is found under the given names, and where each drawing goes."""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from dood_jax.errors import BadInput
from dood_jax.ink import decoding

_LONGEST_NAME = 120


def gather(names: Iterable[str]) -> list[tuple[Path, Path]]:
    """(file, its folder below the one given) of every file and every picture in every folder.

    Files in folders come sorted; hidden ones are left out. Raises BadInput for a name that is nothing.
    """
    found = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = list(_pictures_in(path))
            if not inside:
                raise BadInput(f"{name} holds no pictures ({', '.join(decoding.SUFFIXES)})")
            found += [(one, one.parent.relative_to(path)) for one in inside]
        elif path.exists():
            found.append((path, Path()))
        else:
            raise BadInput(f"{name} is not there; give files or folders")
    return found


def _pictures_in(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.suffix.lower() in decoding.SUFFIXES:
                yield path


class Namer:
    """Gives each drawing a file of its own inside one folder, whatever its picture is called."""

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
