"""What a process found by tracing a model is kept on disk for the next one, which is then spared it.

JAX keeps compiled programs, but finds them by their text, and Python takes seconds to write the text of a
model. So the texts are kept too, in the same folder, by all that they come from: the source of this package,
the versions of what traces it, the settings and the platform of JAX, and what the caller says. A file that is
torn or damaged counts as none, and is written again. Without a folder nothing is kept.
"""

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from jax import export

from dood_jax.runtime import compiling

_PACKAGE = Path(__file__).resolve().parents[1]
_TRACERS = ("jax", "jaxlib", "flax", "numpy")  # whose version a text depends on
_FOLDER = "traced"
_DIGEST = hashlib.sha256().digest_size


def kept(name: str, make: Callable[[], bytes]) -> bytes:
    """The bytes that an earlier process made, or what `make` returns.

    Args:
      name: says everything that they depend on, but for the source, versions and settings.
      make: is called unless they are there; what it raises is raised.
    """
    path = _path_of(name)
    if path is None:
        return make()
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    if content and content[:_DIGEST] == hashlib.sha256(content[_DIGEST:]).digest():
        return content[_DIGEST:]
    made = make()
    _write(path, hashlib.sha256(made).digest() + made)
    return made


def program(name: str, make: Callable[[], Callable]) -> Callable:
    """A function, compiled by `compiling.compiled`, of which the traced text is kept for later processes.

    Args:
      name: says everything that the function depends on, but for the shapes of its arguments.
      make: returns the function; is called only where its text is not there. Named tuples and classes that
        the function takes or returns must be known to `jax.export`, or the text is not kept.
    """

    def run(*arguments: Any) -> Any:
        if _folder() is None:
            return make()(*arguments)
        shapes = jax.tree_util.tree_map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), arguments)
        traced = lambda: bytes(export.export(jax.jit(make()))(*shapes).serialize())
        try:
            text = export.deserialize(bytearray(kept(f"program {name} {shapes}", traced)))
            return text.call(*arguments)
        except Exception:  # whatever is wrong with the text: without it the program is traced as ever
            return make()(*arguments)

    run.__name__ = name.partition(" ")[0]  # in logs
    return compiling.compiled(run)


def _folder() -> Path | None:
    """Beside the compiled programs, if those are kept."""
    home = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined] # declared at run time
    return Path(home) / _FOLDER if home and "://" not in str(home) else None


def _path_of(name: str) -> Path | None:
    """The file of what has this name; None if nothing is kept."""
    folder = _folder()
    settings = {key: getattr(jax.config, key, value) for key, value in sorted(jax.config.values.items())}
    whole = f"{_source()} {jax.default_backend()} {settings} {name}"
    return folder / hashlib.sha256(whole.encode()).hexdigest() if folder else None


@functools.cache
def _source() -> str:
    """Names the source of this package, and the versions of what traces it."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{digest.hexdigest()} {[version(name) for name in _TRACERS]}"


def _write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all; a folder that cannot be written costs the next process its time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
    except OSError:
        return
