"""Strokes of human pens, drawn as images and vectorized: how many come back, in which order and direction.

    python benchmarks/ink_pens.py --data=FOLDER [--sets=kanjivg,homus] [--count=80] [--json]

`FOLDER` holds one npz file for each set: `xy` float [points, 2] with y downwards, and `stroke_start` and
`drawing_start`, the first point of each stroke and the first stroke of each drawing, with one more at their
end. A set of brush glyphs has `outline` and `outline_start` too, the SVG path of each stroke, to be filled.
Images have 96, 128, 192 or 256 pixels and pens of 1.8 to 3.2 % of that. Strokes are found by rules alone.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import ink_sets
import numpy as np
from ink_measures import agreement

from dood_jax.errors import BadInput
from dood_jax.vectorize import page, tracing

SIDES, PENS = (96, 128, 192, 256), (0.018, 0.032)  # pixels; least and most of a side
CHOSEN_BY = {"kanjivg": 160, "hanzi": 25, "homus": 30}  # first drawings of each, by which rules were chosen
_FILLING = 0.8  # part of an image's side that a drawing takes
_SAMPLES = 8  # points of each piece of a filled outline
_OTHER_WRITING = ("digit", "latin")  # origins in the set of kanji that are left out


class Drawing(NamedTuple):
    """An image and how it was drawn."""

    grey: np.ndarray  # float32 [side, side], ink = 0
    strokes: list[np.ndarray]  # [n, 2] each, in pixels


def drawings(path: Path, count: int) -> Iterator[Drawing]:
    """`count` drawings of a set in random order, without those that rules were chosen by."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    order = np.random.default_rng(1).permutation(len(arrays["drawing_start"]) - 1)
    if "origin" in arrays:
        order = order[~np.isin(arrays["origin"][order], _OTHER_WRITING)]
    skipped = CHOSEN_BY.get(path.stem, 0)
    for index in order[skipped : skipped + count]:
        yield _drawing(arrays, int(index))


def _drawing(arrays: dict[str, np.ndarray], index: int) -> Drawing:
    random = np.random.default_rng(index)
    side = int(random.choice(SIDES))
    which = range(arrays["drawing_start"][index], arrays["drawing_start"][index + 1])
    strokes = [arrays["xy"][slice(*arrays["stroke_start"][k : k + 2])].astype(float) for k in which]
    shapes = [_outline(arrays, k) for k in which] if "outline" in arrays else strokes
    points = np.concatenate(shapes)
    low, high = points.min(0), points.max(0)
    scale = _FILLING * side / max(float((high - low).max()), 1e-6)
    placed = lambda line: (line - (low + high) / 2) * scale + side / 2
    strokes = [placed(line) for line in strokes]
    if "outline" in arrays:
        ink = ink_sets.fill([[placed(shape)] for shape in shapes], (side, side))
        return Drawing((1 - ink).astype(np.float32), strokes)
    widths = [side * random.uniform(*PENS)] * len(strokes)
    ink = ink_sets.draw([_two_points(line) for line in strokes], widths, (side, side))
    return Drawing((1 - ink).astype(np.float32), strokes)


def _outline(arrays: dict[str, np.ndarray], stroke: int) -> np.ndarray:
    """[n, 2] points along the SVG path of a stroke."""
    import svgpathtools  # noqa: PLC0415 (of the extra `benchmarks`)

    text = bytes(arrays["outline"][slice(*arrays["outline_start"][stroke : stroke + 2])]).decode()
    at = np.linspace(0, 1, _SAMPLES)
    points = np.concatenate([[piece.point(t) for t in at] for piece in svgpathtools.parse_path(text)])
    return np.stack([points.real, points.imag], axis=1)


def _two_points(line: np.ndarray) -> np.ndarray:
    """A line of at least two points; a dot stays where it is."""
    return line if len(line) > 1 else np.repeat(line, 2, axis=0)


def measure(drawing: Drawing) -> dict[str, float]:
    """Whether the count is right, found strokes for each true one, and the measures of `agreement`."""
    try:
        strokes, _ = tracing.strokes_of(page.remove_background(drawing.grey), None, 0)
    except BadInput:
        strokes = []
    row = {"count": float(len(strokes) == len(drawing.strokes)), "found": len(strokes) / len(drawing.strokes)}
    if not strokes:
        return {**row, "matched": 0.0}
    found = [_two_points(stroke.points()) for stroke in strokes]
    true = [_two_points(stroke) for stroke in drawing.strokes]
    return {**row, **agreement(true, found, max(drawing.grey.shape))}


def main() -> None:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of the npz files")
    parser.add_argument("--sets", default="kanjivg,hanzi,homus,digilets,pendigits,sheep")
    parser.add_argument("--count", type=int, default=80, help="drawings of each set")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    table = {}
    for name in options.sets.split(","):
        started = time.process_time()
        rows = [measure(drawing) for drawing in drawings(options.data / f"{name}.npz", options.count)]
        columns = ("count", "found", "matched", "order", "direction")
        means = {key: float(np.mean([row[key] for row in rows if key in row])) for key in columns}
        table[name] = {"drawings": len(rows), **means, "seconds": (time.process_time() - started) / len(rows)}
        if not options.json:
            print(name, *(f"{key} {value:.3g}" for key, value in table[name].items()), flush=True)
    if options.json:
        print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
