"""Scalable Vector Graphics 1.1: a `path` a stroke, still or drawn before the reader's eyes."""

from xml.etree import ElementTree

import numpy as np

from dood_jax.ink import curves
from dood_jax.ink.formats.text import number, xml_text
from dood_jax.ink.strokes import InkStroke, Strokes

_NAMESPACE = "http://www.w3.org/2000/svg"
_SECONDS, _PAUSE_SHARE = 4.0, 0.15  # of the whole drawing; of it with the pen in the air


def still(drawing: Strokes) -> str:
    """The strokes in drawing order, `stroke-1` first."""
    return _text(_document(drawing)[0])


def animated(drawing: Strokes) -> str:
    """The same paths, each appearing along its length in its turn (SMIL); without it, all at once."""
    root, paths = _document(drawing)
    lengths = np.array([curves.length(stroke.points()) + stroke.width for stroke in drawing.strokes])
    drawn = _SECONDS * (1 - _PAUSE_SHARE) * lengths / lengths.sum()
    pause = _SECONDS * _PAUSE_SHARE / len(lengths)
    begins = np.concatenate([[0], np.cumsum(drawn + pause)[:-1]])
    for path, begin, seconds in zip(paths, begins, drawn, strict=True):
        path.set("pathLength", "1")
        path.set("stroke-dasharray", "1 2")
        if begin > 0:
            _add(path, "set", attributeName="visibility", to="hidden", begin="0s", dur=f"{number(begin)}s")
        dash = {"attributeName": "stroke-dashoffset", "from": "1", "to": "0"}
        _add(path, "animate", begin=f"{number(begin)}s", dur=f"{number(seconds)}s", **dash)
    return _text(root)


def _document(drawing: Strokes) -> tuple[ElementTree.Element, list[ElementTree.Element]]:
    wide, high = str(drawing.width), str(drawing.height)
    root = ElementTree.Element("svg", xmlns=_NAMESPACE, width=wide, height=high, viewBox=f"0 0 {wide} {high}")
    if drawing.source:
        _add(root, "title").text = xml_text(drawing.source)
    group = _add(root, "g", fill="none", stroke="#000000")
    group.set("stroke-linecap", "round")
    group.set("stroke-linejoin", "round")
    paths = []
    for index, stroke in enumerate(drawing.strokes, start=1):
        path = _add(group, "path", id=f"stroke-{index}", d=_commands(stroke))
        path.set("stroke-width", number(stroke.width))
        paths.append(path)
    return root, paths


def _commands(stroke: InkStroke) -> str:
    """A dot is a line of no length, which round caps make visible."""
    start, *rest = (f"{number(x)} {number(y)}" for x, y in stroke.control_points)
    if stroke.is_dot:
        return f"M {start} l 0 0"
    pieces = [" ".join(rest[i : i + 3]) for i in range(0, len(rest), 3)]
    return f"M {start} " + " ".join(f"C {piece}" for piece in pieces) + (" Z" if stroke.is_closed else "")


def _add(parent: ElementTree.Element, name: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, name, attributes)


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"
