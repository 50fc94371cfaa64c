"""Drawings as SVG 1.1, still or drawn before the reader's eyes."""

from xml.etree import ElementTree

import numpy as np

from dood_jax.vectorize import curves
from dood_jax.vectorize.curves import InkStroke, Strokes
from dood_jax.vectorize.markup import add_element, group_of, hex_colour, number, xml_file, xml_text

_NAMESPACE = "http://www.w3.org/2000/svg"
_SECONDS, _PAUSE_FRACTION = 4.0, 0.15  # of a whole animation; of it, the time with the pen in the air
_DOT_LENGTH = 0.01  # pixels of a dot's path: some readers draw nothing of a path without length


def svg(drawing: Strokes) -> str:
    """SVG 1.1 with one path for each stroke in drawing order; the first has the id `stroke-1`.

    Strokes whose place is known lie in groups `line-1`, in it `word-1`, in it `character-1`; then their ids
    tell the drawing order.
    """
    return xml_file(_document(drawing)[0])


def animated_svg(drawing: Strokes) -> str:
    """The same paths, of which each appears along its length when it is drawn.

    The animation is SMIL; a reader that does not know it shows the whole drawing.
    """
    root, paths = _document(drawing)
    if not paths:
        return xml_file(root)
    lengths = np.array([curves.length(stroke.points()) + stroke.width for stroke in drawing.strokes])
    drawn = _SECONDS * (1 - _PAUSE_FRACTION) * lengths / lengths.sum()
    pause = _SECONDS * _PAUSE_FRACTION / len(lengths)
    begins = np.concatenate([[0], np.cumsum(drawn + pause)[:-1]])
    for path, begin, seconds in zip(paths, begins, drawn, strict=True):
        path.set("pathLength", "1")
        path.set("stroke-dasharray", "1 2")
        if begin > 0:
            _hide(path, "visibility", "hidden", begin)
        if path.get("fill"):
            _hide(path, "fill", "none", begin + seconds)
        dash = {"attributeName": "stroke-dashoffset", "from": "1", "to": "0"}
        add_element(path, "animate", begin=_seconds(begin), dur=_seconds(seconds), **dash)
    return xml_file(root)


def _hide(path: ElementTree.Element, attribute: str, value: str, seconds: float) -> None:
    """Gives an attribute another value until some seconds have gone by."""
    add_element(path, "set", attributeName=attribute, to=value, begin="0s", dur=_seconds(seconds))


def _seconds(value: float) -> str:
    return number(value, 4) + "s"


def _document(drawing: Strokes) -> tuple[ElementTree.Element, list[ElementTree.Element]]:
    """The root of the document, and its path elements."""
    wide, high = str(drawing.width), str(drawing.height)
    root = ElementTree.Element("svg", xmlns=_NAMESPACE, width=wide, height=high, viewBox=f"0 0 {wide} {high}")
    if drawing.source:
        add_element(root, "title").text = xml_text(drawing.source)
    group = add_element(root, "g", fill="none", stroke="#000000")
    group.set("stroke-linecap", "round")
    group.set("stroke-linejoin", "round")
    paths = []
    for index, stroke in enumerate(drawing.strokes, start=1):
        path = add_element(
            group_of(group, "g", stroke.place, "id"), "path", id=f"stroke-{index}", d=_commands(stroke)
        )
        path.set("stroke-width", number(stroke.width))
        colour = hex_colour(stroke.colour)
        if stroke.colour:
            path.set("stroke", colour)
        if stroke.is_filled:
            path.set("fill", colour)
        paths.append(path)
    return root, paths


def _commands(stroke: InkStroke) -> str:
    """The `d` of a path. A dot is so short a line that only its round caps are seen."""
    start, *rest = (f"{number(x)} {number(y)}" for x, y in stroke.control_points)
    if stroke.is_dot:
        return f"M {start} l {_DOT_LENGTH} 0"
    pieces = [" ".join(rest[i : i + 3]) for i in range(0, len(rest), 3)]
    return f"M {start} " + " ".join(f"C {piece}" for piece in pieces) + (" Z" if stroke.is_closed else "")
