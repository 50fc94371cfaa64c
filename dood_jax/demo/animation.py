"""An animated image in which a model redraws the shapes of the page, stroke by stroke, over and over.

    python -m dood_jax.demo.animation --out=docs/drawing.svg

The image is SVG with SMIL. A reader that does not know SMIL shows the finished drawings.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from dood_jax import command_line, figures
from dood_jax.demo.images import Shape, drawn, shapes
from dood_jax.demo.service import PAGE, Service, Shown
from dood_jax.errors import BadInput
from dood_jax.runtime import parallel
from dood_jax.vectorize import curves
from dood_jax.vectorize.curves import InkStroke

_COLUMNS, _CELL, _MARGIN = 4, 200, 6  # drawings in a row, side of each and margin in pixels
_GHOST, _GHOST_WIDTH = "#e4e1db", 50  # colour and width of the given shape, on its page
_SPEED, _PAUSE = 900.0, 0.12  # of the pen: units of the page in a second, and seconds in the air
_REST = 2.0  # seconds with all drawings finished


def animate(drawings: Sequence[tuple[Shape, Shown]]) -> str:
    """An SVG of shapes, drawn faintly, and over each the model's drawing, which appears stroke by stroke."""
    timetables = [_timetable(shown) for _, shown in drawings]
    seconds = max(times[-1][1] for times in timetables) + _REST
    rows = -(-len(drawings) // _COLUMNS)
    root = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg")
    root.set("viewBox", f"0 0 {_COLUMNS * _CELL} {rows * _CELL}")
    root.set("fill", "none")
    root.set("stroke-linecap", "round")
    root.set("stroke-linejoin", "round")
    for place, ((shape, shown), times) in enumerate(zip(drawings, timetables, strict=True)):
        cell = _cell(root, *divmod(place, _COLUMNS))
        for line in shape:
            points = " ".join(f"{PAGE * x:.0f},{PAGE * y:.0f}" for x, y in line)
            _add(cell, "polyline", points=points, stroke=_GHOST, stroke_width=_GHOST_WIDTH)
        for index, (stroke, (begin, end)) in enumerate(zip(shown.ink.strokes, times, strict=True)):
            colour = figures.colour(index)
            _add_stroke(cell, stroke, colour, begin / seconds, end / seconds, seconds)
            if shown.windows is not None:
                _add_window(cell, shown.windows[index], colour, begin / seconds, end / seconds, seconds)
    return ElementTree.tostring(root, "unicode") + "\n"


def _timetable(shown: Shown) -> list[tuple[float, float]]:
    """Begin and end of each stroke in seconds."""
    times, now = [], 0.3
    for stroke in shown.ink.strokes:
        end = now + 0.1 + curves.length(stroke.points()) / _SPEED
        times.append((now, end))
        now = end + _PAUSE
    return times


def _cell(root: ElementTree.Element, row: int, column: int) -> ElementTree.Element:
    """Adds a sheet of paper, and returns an element on it whose units are those of a page."""
    side, left, top = _CELL - 2 * _MARGIN, column * _CELL + _MARGIN, row * _CELL + _MARGIN
    place = {"x": left, "y": top, "width": side, "height": side}
    _add(root, "rect", **place, rx=10, fill="#fff", stroke="#ddd6ca")
    return _add(root, "svg", **place, viewBox=f"0 0 {PAGE} {PAGE}")


def _add_stroke(
    cell: ElementTree.Element, stroke: InkStroke, colour: str, begin: float, end: float, seconds: float
) -> None:
    """Adds a path that grows from `begin` to `end`, which are fractions of all `seconds`."""
    start, *rest = (f"{x:.0f} {y:.0f}" for x, y in stroke.control_points)
    path = _add(cell, "path", d=f"M{start}C{' '.join(rest)}", stroke=colour, stroke_width=round(stroke.width))
    path.set("pathLength", "1")
    path.set("stroke-dasharray", "1 2")
    whole = {"dur": f"{seconds:.2f}s", "repeatCount": "indefinite"}
    times = f"0;{begin:.4f};{end:.4f};1"
    _add(path, "animate", attributeName="stroke-dashoffset", values="1;1;0;0", keyTimes=times, **whole)
    _add_appearance(path, f"0;{begin:.4f}", "0;1", whole)


def _add_window(
    cell: ElementTree.Element, corners: np.ndarray, colour: str, begin: float, end: float, seconds: float
) -> None:
    """Adds the [4, 2] corners of a stroke's frame, seen while the stroke is drawn."""
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in corners)
    window = _add(cell, "polygon", points=points, stroke=colour, stroke_width=5, opacity=0)
    window.set("stroke-dasharray", "18 16")
    whole = {"dur": f"{seconds:.2f}s", "repeatCount": "indefinite"}
    _add_appearance(window, f"0;{begin:.4f};{end:.4f}", "0;1;0", whole)


def _add_appearance(element: ElementTree.Element, times: str, values: str, whole: dict[str, str]) -> None:
    """Makes an element visible and invisible at some times."""
    steps = {"attributeName": "opacity", "calcMode": "discrete"}
    _add(element, "animate", values=values, keyTimes=times, **steps, **whole)


def _add(parent: ElementTree.Element, name: str, **attributes: str | float) -> ElementTree.Element:
    given = {key.replace("stroke_width", "stroke-width"): str(value) for key, value in attributes.items()}
    return ElementTree.SubElement(parent, name, given)


def main(argv: list[str] | None = None) -> None:
    """Writes the image; exits 2 with one line for a model or place that cannot be used."""
    parser = command_line.Parser(
        "python -m dood_jax.demo.animation", description="Redraws the shapes of the page as an animated SVG."
    )
    parser.add_argument("--out", required=True, metavar="FILE.svg", help="the file to write")
    parser.add_argument("--checkpoint", default="synthetic", help="a released model or a folder")
    parser.add_argument("--seed", type=int, default=0, help="of the drawings")
    try:
        arguments = parser.parse_args(argv)
        parallel.keep_compiled_programs()
        service = Service((arguments.checkpoint,))
        answers = [
            (shape, service.answer("redraw", arguments.checkpoint, drawn(shape), arguments.seed))
            for shape in shapes().values()
        ]
        out = Path(arguments.out)
        command_line.writable(out.parent, "--out")
        out.write_text(animate([(shape, answer.drawings[0]) for shape, answer in answers]))
    except BadInput as error:
        command_line.refuse(error)


if __name__ == "__main__":
    main()
