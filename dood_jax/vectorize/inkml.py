"""Drawings as InkML, the Ink Markup Language (W3C Recommendation, 2011)."""

from xml.etree import ElementTree

from dood_jax.vectorize.curves import InkStroke, Strokes
from dood_jax.vectorize.markup import XML_ID, group_of, hex_colour, number, xml_file, xml_text

_NAMESPACE = "http://www.w3.org/2003/InkML"
_STEP = 1.0  # pixels between points
_Brush = tuple[str, str, bool]  # width, colour, whether what it goes round is filled


def inkml(drawing: Strokes) -> str:
    """A `trace` for each stroke, and a `brush` for each width, colour and kind of stroke.

    Points are a pixel apart, in pixels (units `dev`), and have no time: a picture does not tell it. A trace
    has two names: `xml:id` as the Recommendation asks, and the number `id` by which readers of the CROHME
    files find it. Traces whose place is known lie in trace groups `line-1`, in it `word-1`, in it
    `character-1`. The brush of filled outlines has the annotation `filled`.
    """
    root = ElementTree.Element("ink", xmlns=_NAMESPACE)
    definitions = _add(root, "definitions")
    _add_ink_source(definitions)
    pixels = {"inkSourceRef": "#picture", "traceFormatRef": "#points"}
    _add(definitions, "context", {XML_ID: "pixels", **pixels})
    brushes: dict[_Brush, str] = {}
    for stroke in drawing.strokes:
        brushes.setdefault(_brush_of(stroke), f"brush-{len(brushes) + 1}")
    for brush, name in brushes.items():
        _add_brush(definitions, brush, name)
    if drawing.source:
        _add(root, "annotation", {"type": "source"}).text = xml_text(drawing.source)
    for index, stroke in enumerate(drawing.strokes):
        names = {"id": str(index), XML_ID: f"stroke-{index + 1}"}
        pen = {"contextRef": "#pixels", "brushRef": f"#{brushes[_brush_of(stroke)]}"}
        trace = _add(group_of(root, "traceGroup", stroke.place, XML_ID), "trace", {**names, **pen})
        trace.text = ", ".join(f"{number(x)} {number(y)}" for x, y in stroke.points(_STEP))
    return xml_file(root)


def _add_ink_source(definitions: ElementTree.Element) -> None:
    """Adds the source of all traces: a picture, which has two channels, X and Y, in its pixels."""
    about = {"manufacturer": "dood_jax", "model": "vectorize", "description": "a picture made into strokes"}
    source = _add(definitions, "inkSource", {XML_ID: "picture", **about})
    channels = _add(source, "traceFormat", {XML_ID: "points"})
    for name in ("X", "Y"):
        _add(channels, "channel", {"name": name, "type": "decimal", "units": "dev"})
    properties = _add(source, "channelProperties")
    for name in ("X", "Y"):
        resolution = {"name": "resolution", "value": "1", "units": "1/dev"}
        _add(properties, "channelProperty", {"channel": name, **resolution})


def _brush_of(stroke: InkStroke) -> _Brush:
    return number(stroke.width), hex_colour(stroke.colour), stroke.is_filled


def _add_brush(definitions: ElementTree.Element, brush: _Brush, name: str) -> None:
    width, colour, is_filled = brush
    element = _add(definitions, "brush", {XML_ID: name})
    if is_filled:
        _add(element, "annotation", {"type": "filled"}).text = "true"
    for side in ("width", "height"):
        _add(element, "brushProperty", {"name": side, "value": width, "units": "dev"})
    _add(element, "brushProperty", {"name": "color", "value": colour})
    _add(element, "brushProperty", {"name": "tip", "value": "ellipse"})


def _add(
    parent: ElementTree.Element, name: str, attributes: dict[str, str] | None = None
) -> ElementTree.Element:
    return ElementTree.SubElement(parent, name, attributes or {})
