"""Ink Markup Language (W3C Recommendation, 2011): a `trace` a stroke, a `brush` a width."""

from xml.etree import ElementTree

from dood_jax.ink.formats.text import number, xml_text
from dood_jax.ink.strokes import Strokes

_NAMESPACE = "http://www.w3.org/2003/InkML"
_XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
_STEP = 1.0  # pixels between points


def encode(drawing: Strokes) -> str:
    """Points a pixel apart, in pixels (`dev` units); the source is an annotation."""
    root = ElementTree.Element("ink", xmlns=_NAMESPACE)
    definitions = ElementTree.SubElement(root, "definitions")
    context = ElementTree.SubElement(definitions, "context", {_XML_ID: "pixels"})
    channels = ElementTree.SubElement(context, "traceFormat")
    for name in ("X", "Y"):
        ElementTree.SubElement(channels, "channel", name=name, type="decimal", units="dev")
    brushes = {
        width: f"brush-{i}"
        for i, width in enumerate(dict.fromkeys(number(stroke.width) for stroke in drawing.strokes), start=1)
    }
    for width, name in brushes.items():
        brush = ElementTree.SubElement(definitions, "brush", {_XML_ID: name})
        for side in ("width", "height"):
            ElementTree.SubElement(brush, "brushProperty", name=side, value=width, units="dev")
    if drawing.source:
        ElementTree.SubElement(root, "annotation", type="source").text = xml_text(drawing.source)
    for index, stroke in enumerate(drawing.strokes, start=1):
        pen = {"contextRef": "#pixels", "brushRef": f"#{brushes[number(stroke.width)]}"}
        trace = ElementTree.SubElement(root, "trace", {_XML_ID: f"stroke-{index}", **pen})
        trace.text = ", ".join(f"{number(x)} {number(y)}" for x, y in stroke.points(_STEP))
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"
