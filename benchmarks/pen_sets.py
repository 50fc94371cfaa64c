"""Pen strokes of people, drawn as images; for measuring only.

A set is an npz file: `xy` float [points, 2] with y downwards, and `stroke_start` and `drawing_start`, the
first point of each stroke and the first stroke of each drawing, with one more at their end. `writer`
[drawings] and `pressure` [points] may be there too; a set of brush glyphs has `outline` and `outline_start`,
the SVG path of each stroke, to be filled. Omniglot's online drawings lie with its images.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import ink_sets
import numpy as np
from ink_sets import Known

from dood_jax.data import omniglot, sources

OMNIGLOT = "omniglot"
SIDES, BACKGROUNDS = (64, 128, 256), ("clean", "shading")
PENS = (0.02, 0.05)  # least and most width of a pen, as a fraction of the side
# First and last drawings of each set, in their random order, by which rules were chosen; not measured.
CHOSEN_BY = {"kanjivg": 160, "hanzi": 25, "homus": 30, OMNIGLOT: ink_sets.CHOSEN_BY}
CHOSEN_BY_LAST = {"pendigits": 150, "digilets": 150, OMNIGLOT: 1200}
OF_SEVERAL = ("crohme", "sheep")  # in which a drawing holds many signs: the side is that of one sign
_SIGN = 0.5  # of the side: the median stroke of such a drawing
_MOST_PIXELS = 1_500_000  # of an image
_FILLING = 0.8  # part of an image's side that a drawing takes
_LIGHTEST, _HEAVIEST = 0.5, 1.5  # of the pen's width, by pressure
_SAMPLES = 8  # points of each piece of a filled outline
_OTHER_WRITING = ("digit", "latin")  # origins in the set of kanji that are left out


@dataclasses.dataclass
class Pen(Known):
    """An image and how a person drew it."""

    side: int = 0  # pixels of the character, which an image of several signs is larger than
    writer: int = -1  # whose hand it is; -1 if unknown


def drawings(path: Path, count: int) -> Iterator[Pen]:
    """`count` drawings of a set in random order, each at every side, on one background after the other.

    `path` is its file; of Omniglot the name alone counts.
    """
    arrays = _omniglot() if path.stem == OMNIGLOT else _read(path)
    order = np.random.default_rng(1).permutation(len(arrays["drawing_start"]) - 1)
    if "origin" in arrays:
        order = order[~np.isin(arrays["origin"][order], _OTHER_WRITING)]
    measured = order[CHOSEN_BY.get(path.stem, 0) : len(order) - CHOSEN_BY_LAST.get(path.stem, 0)]
    for place, index in enumerate(measured[:count]):
        for turn, side in enumerate(SIDES):
            background = BACKGROUNDS[(place + turn) % len(BACKGROUNDS)]
            yield _drawing(arrays, int(index), path.stem, side, background)


def _read(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _omniglot() -> dict[str, np.ndarray]:
    """Omniglot's online drawings, as a set."""
    human = omniglot.human_strokes(sources.data_directory(None))
    starts = {"stroke_start": human.stroke_start, "drawing_start": human.drawing_start}
    return {"xy": human.points, **starts}


def _drawing(arrays: dict[str, np.ndarray], index: int, name: str, side: int, background: str) -> Pen:
    random = np.random.default_rng([index, side])
    which = range(arrays["drawing_start"][index], arrays["drawing_start"][index + 1])
    pieces = [slice(*arrays["stroke_start"][k : k + 2]) for k in which]
    strokes = [arrays["xy"][piece].astype(float) for piece in pieces]
    shapes = [_outline(arrays, k) for k in which] if "outline" in arrays else strokes
    points = np.concatenate(shapes)
    low, high = points.min(0), points.max(0)
    longest = max(float((high - low).max()), 1e-6)
    scale = _FILLING * side / longest
    if name in OF_SEVERAL:
        sizes = [np.ptp(stroke, axis=0).max() for stroke in strokes]
        scale = max(_SIGN * side / max(float(np.median(sizes)), 1e-6), scale)
        scale = min(
            scale,
            np.sqrt(_MOST_PIXELS / max(np.prod(high - low), 1e-6)),
            4 * _FILLING * side * side / longest,
        )
    margin = (1 - _FILLING) / 2 * side
    extent = np.maximum((high - low) * scale + 2 * margin, side if name not in OF_SEVERAL else 0)
    size = tuple(int(number) for number in np.ceil(extent)[::-1])
    placed = lambda line: (line - (low + high) / 2) * scale + np.array(size[::-1]) / 2
    width = side * random.uniform(*PENS)
    if "outline" in arrays:
        ink, width = ink_sets.fill([[placed(shape)] for shape in shapes], size), float("nan")
    else:
        widths = [_widths(arrays, piece) * width for piece in pieces]
        ink = ink_sets.draw([two_points(placed(line)) for line in strokes], widths, size)
    grey = ink_sets.as_seen(ink, background, random)
    writer = int(arrays["writer"][index]) if "writer" in arrays else -1
    return Pen(
        grey, ink, [two_points(placed(line)) for line in strokes], width, name, background, side, writer
    )


def _widths(arrays: dict[str, np.ndarray], piece: slice) -> np.ndarray:
    """[n] widths at the points of a stroke over that of the pen, by pressure where that is known."""
    if "pressure" not in arrays:
        return np.ones(max(piece.stop - piece.start, 2))
    pressure = np.clip(arrays["pressure"][piece].astype(float), 0, 1)
    widths = _LIGHTEST + (_HEAVIEST - _LIGHTEST) * pressure
    return widths if len(widths) > 1 else np.repeat(widths, 2)


def _outline(arrays: dict[str, np.ndarray], stroke: int) -> np.ndarray:
    """[n, 2] points along the SVG path of a stroke."""
    import svgpathtools  # noqa: PLC0415 (of the extra `benchmarks`)

    text = bytes(arrays["outline"][slice(*arrays["outline_start"][stroke : stroke + 2])]).decode()
    at = np.linspace(0, 1, _SAMPLES)
    points = np.concatenate([[piece.point(t) for t in at] for piece in svgpathtools.parse_path(text)])
    return np.stack([points.real, points.imag], axis=1)


def two_points(line: np.ndarray) -> np.ndarray:
    """A line of at least two points; a dot stays where it is."""
    return line if len(line) > 1 else np.repeat(line, 2, axis=0)
