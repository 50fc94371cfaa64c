"""Pages of PDF and SVG files as images, by the libraries of the extra `documents`."""

import contextlib
import importlib
import io
import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from dood_jax.errors import BadInput

_DOTS_AN_INCH, _POINTS_AN_INCH = 200, 72  # of a PDF's image, and of its own units
_SVG_SIDE = 1600  # pixels of the longer side


@contextlib.contextmanager
def pdf(path: Path) -> Iterator[Any]:
    """Opens a PDF. Raises BadInput if the library is missing, and what that raises for a damaged file."""
    library = _library("pypdfium2", "PDF")
    document = library.PdfDocument(path)
    try:
        yield document
    finally:
        document.close()


def pdf_page(document: Any, index: int, most_pixels: int) -> Image.Image:
    """A page of an opened PDF, drawn at 200 dots an inch or, if that is too large, in so many pixels."""
    page = document[index]
    try:
        width, height = page.get_size()
        scale = min(_DOTS_AN_INCH / _POINTS_AN_INCH, math.sqrt(most_pixels / max(width * height, 1)))
        return page.render(scale=scale).to_pil()
    finally:
        page.close()


def svg_image(path: Path) -> Image.Image:
    """An SVG file, drawn with 1,600 pixels on its longer side; transparent where it has no background.

    Raises BadInput if the library is missing, and ValueError if the file cannot be read.
    """
    library = _library("resvg_py", "SVG")
    size = {"width": _SVG_SIDE, "height": _SVG_SIDE}  # the image fits into them and keeps its shape
    return Image.open(io.BytesIO(bytes(library.svg_to_bytes(svg_path=str(path), **size))))


def _library(name: str, kind: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise BadInput(f"{kind} files need {name}: pip install 'dood_jax[documents]'") from error
