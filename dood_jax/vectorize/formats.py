"""The formats of a drawing: SVG, animated SVG, GIF, InkML, stroke-3, ndjson and JSON.

`WRITERS` at the end holds an encoder for each format by its name. Lengths are in pixels of the image, unless
a format says otherwise.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw

from dood_jax.vectorize import curves
from dood_jax.vectorize.curves import InkStroke, Strokes

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, 2.2
_SVG_NAMESPACE = "http://www.w3.org/2000/svg"
_INKML_NAMESPACE = "http://www.w3.org/2003/InkML"
_XML_ID = "{http://www.w3.org/XML/1998/namespace}id"

_SVG_SECONDS, _PAUSE_FRACTION = 4.0, 0.15  # of a whole animation; of it, the time with the pen in the air
_LONGEST_SIDE, _SHORTEST_SIDE = 480, 160  # pixels of a GIF; larger drawings are shrunk, tiny ones enlarged
_FRAMES, _MILLISECONDS, _REST = 40, 60, 1500  # of a GIF, per frame, and for the last frame
_OVERSAMPLING = 3  # of a GIF
_INKML_STEP = 1.0  # pixels between points
_STROKE3_STEP = 2.0
_QUICKDRAW_SIDE, _QUICKDRAW_TOLERANCE = 255, 2.0  # as published: simplified within 2 of 0..255


def svg(drawing: Strokes) -> str:
    """SVG 1.1 with one path for each stroke in drawing order; the first has the id `stroke-1`."""
    return _xml_file(_svg_document(drawing)[0])


def animated_svg(drawing: Strokes) -> str:
    """The same paths, of which each appears along its length when it is drawn.

    The animation is SMIL; a reader that does not know it shows the whole drawing.
    """
    root, paths = _svg_document(drawing)
    lengths = np.array([curves.length(stroke.points()) + stroke.width for stroke in drawing.strokes])
    drawn = _SVG_SECONDS * (1 - _PAUSE_FRACTION) * lengths / lengths.sum()
    pause = _SVG_SECONDS * _PAUSE_FRACTION / len(lengths)
    begins = np.concatenate([[0], np.cumsum(drawn + pause)[:-1]])
    for path, begin, seconds in zip(paths, begins, drawn, strict=True):
        path.set("pathLength", "1")
        path.set("stroke-dasharray", "1 2")
        if begin > 0:
            _add_element(
                path, "set", attributeName="visibility", to="hidden", begin="0s", dur=f"{number(begin)}s"
            )
        dash = {"attributeName": "stroke-dashoffset", "from": "1", "to": "0"}
        _add_element(path, "animate", begin=f"{number(begin)}s", dur=f"{number(seconds)}s", **dash)
    return _xml_file(root)


def _svg_document(drawing: Strokes) -> tuple[ElementTree.Element, list[ElementTree.Element]]:
    """The root of the document, and its path elements."""
    wide, high = str(drawing.width), str(drawing.height)
    root = ElementTree.Element(
        "svg", xmlns=_SVG_NAMESPACE, width=wide, height=high, viewBox=f"0 0 {wide} {high}"
    )
    if drawing.source:
        _add_element(root, "title").text = xml_text(drawing.source)
    group = _add_element(root, "g", fill="none", stroke="#000000")
    group.set("stroke-linecap", "round")
    group.set("stroke-linejoin", "round")
    paths = []
    for index, stroke in enumerate(drawing.strokes, start=1):
        path = _add_element(group, "path", id=f"stroke-{index}", d=_svg_commands(stroke))
        path.set("stroke-width", number(stroke.width))
        paths.append(path)
    return root, paths


def _svg_commands(stroke: InkStroke) -> str:
    """The `d` of a path. A dot is a line of no length, which round caps make visible."""
    start, *rest = (f"{number(x)} {number(y)}" for x, y in stroke.control_points)
    if stroke.is_dot:
        return f"M {start} l 0 0"
    pieces = [" ".join(rest[i : i + 3]) for i in range(0, len(rest), 3)]
    return f"M {start} " + " ".join(f"C {piece}" for piece in pieces) + (" Z" if stroke.is_closed else "")


def _add_element(parent: ElementTree.Element, name: str, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, name, attributes)


def inkml(drawing: Strokes) -> str:
    """Ink Markup Language (W3C Recommendation, 2011): a `trace` for each stroke, a `brush` for each width.

    Points are a pixel apart, in pixels (units `dev`). The source is an annotation.
    """
    root = ElementTree.Element("ink", xmlns=_INKML_NAMESPACE)
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
        trace.text = ", ".join(f"{number(x)} {number(y)}" for x, y in stroke.points(_INKML_STEP))
    return _xml_file(root)


def stroke3(drawing: Strokes) -> np.ndarray:
    """float32 [N, 3] rows of (step x, step y, 1 if the pen is lifted afterwards), as sketch models read them.

    The first step begins at the origin, so that the sums of the steps are points.
    """
    lines = [stroke.points(_STROKE3_STEP) for stroke in drawing.strokes]
    lines = [np.repeat(line, 2, axis=0) if len(line) == 1 else line for line in lines]
    points = np.concatenate(lines)
    steps = np.diff(points, axis=0, prepend=np.zeros((1, 2)))
    lifted = np.zeros(len(points))
    lifted[np.cumsum([len(line) for line in lines]) - 1] = 1
    return np.concatenate([steps, lifted[:, None]], axis=1).astype(np.float32)


def stroke3_file(drawing: Strokes) -> bytes:
    """An npz as sketch-rnn reads it, but without pickles: `train[0]` is the drawing, `source` its name."""
    strokes = stroke3(drawing)[None]
    file = io.BytesIO()
    np.savez_compressed(
        file, train=strokes, valid=strokes[:0], test=strokes[:0], source=np.array(drawing.source)
    )
    return file.getvalue()


def quickdraw(drawing: Strokes) -> str:
    """One line of ndjson in the simplified form of Quick, Draw!

    `drawing` holds [[x…], [y…]] for each stroke, as integers 0..255 from the upper left corner of the ink.
    """
    lines = [stroke.points(1.0) for stroke in drawing.strokes]
    low = np.min([line.min(0) for line in lines], axis=0)
    high = np.max([line.max(0) for line in lines], axis=0)
    scale = _QUICKDRAW_SIDE / max(float((high - low).max()), 1e-6)
    simple = [_simplified((line - low) * scale) for line in lines]
    whole = [np.round(line).astype(int).T.tolist() for line in simple]
    key = int.from_bytes(hashlib.sha256(drawing.source.encode(errors="replace")).digest()[:7], "big")
    record = {"word": drawing.source, "key_id": str(key), "recognized": True, "drawing": whole}
    return json.dumps(record) + "\n"


def _simplified(points: np.ndarray) -> np.ndarray:
    """Leaves out points of a [n, 2] line that are within the tolerance of it (Ramer, Douglas and Peucker)."""
    if len(points) < 3:
        return np.repeat(points, 2, axis=0) if len(points) == 1 else points
    keep = np.zeros(len(points), bool)
    keep[[0, -1]] = True
    todo = [(0, len(points) - 1)]
    while todo:
        start, end = todo.pop()
        if end - start < 2:
            continue
        chord = points[end] - points[start]
        size = np.linalg.norm(chord)
        from_start = points[start + 1 : end] - points[start]
        across = np.abs(from_start[:, 0] * chord[1] - from_start[:, 1] * chord[0]) / max(size, 1e-9)
        off = across if size > 1e-9 else np.linalg.norm(from_start, axis=1)
        worst = start + 1 + int(off.argmax())
        if off[worst - start - 1] > _QUICKDRAW_TOLERANCE:
            keep[worst] = True
            todo += [(start, worst), (worst, end)]
    return points[keep]


def plain_json(drawing: Strokes) -> str:
    """A JSON object with `source`, `width`, `height` and `strokes` in drawing order."""
    strokes = [
        {
            "id": f"stroke-{index}",
            "order": index,
            "width": round(stroke.width, 3),
            "closed": stroke.is_closed,
            "confidence": round(stroke.confidence, 4),
            "control_points": stroke.control_points.round(3).tolist(),
        }
        for index, stroke in enumerate(drawing.strokes, start=1)
    ]
    record = {"source": drawing.source, "width": drawing.width, "height": drawing.height, "strokes": strokes}
    return json.dumps(record, indent=1) + "\n"


def gif(drawing: Strokes) -> bytes:
    """A GIF that draws the strokes in some 40 frames, over and over."""
    longest = max(drawing.width, drawing.height)
    scale = min(_LONGEST_SIDE / longest, max(1.0, _SHORTEST_SIDE / longest))
    size = (max(1, round(drawing.width * scale)), max(1, round(drawing.height * scale)))
    canvas = Image.new("L", (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING), 255)
    pen = ImageDraw.Draw(canvas)
    marks = _gif_marks(drawing, scale * _OVERSAMPLING)
    frames = []
    for some in np.array_split(np.arange(len(marks)), min(_FRAMES, len(marks))):
        for index in some:
            _stamp_mark(pen, marks[index])
        frames.append(canvas.resize(size, Image.Resampling.BOX).quantize(16))
    times = [_MILLISECONDS] * (len(frames) - 1) + [_REST]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0)
    return file.getvalue()


def _gif_marks(drawing: Strokes, scale: float) -> np.ndarray:
    """[N, 3] rows (x, y, radius) of the discs of the pen, in drawing order."""
    found = []
    for stroke in drawing.strokes:
        radius = max(stroke.width * scale / 2, 0.8)
        points = stroke.points() * scale
        if len(points) > 1:
            points = curves.evenly(points, int(curves.length(points) / max(radius / 3, 1)) + 2)
        found.append(np.concatenate([points, np.full((len(points), 1), radius)], axis=1))
    return np.concatenate(found)


def _stamp_mark(pen: ImageDraw.ImageDraw, mark: np.ndarray) -> None:
    x, y, radius = (float(value) for value in mark)
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=0)


def _xml_file(root: ElementTree.Element) -> str:
    """The text of an indented XML file."""
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def number(value: float) -> str:
    """A number with at most three decimals and without trailing zeros."""
    return f"{round(float(value), 3) + 0.0:.3f}".rstrip("0").rstrip(".")


def xml_text(name: str) -> str:
    """A name without the characters that no XML may hold. The XML library escapes the rest."""
    return _NOT_XML.sub("\ufffd", name)


WRITERS: dict[str, tuple[str, Callable[[Strokes], bytes]]] = {  # format -> (suffix, encoder)
    "svg": (".svg", lambda drawing: svg(drawing).encode()),
    "animated-svg": (".animated.svg", lambda drawing: animated_svg(drawing).encode()),
    "gif": (".gif", gif),
    "inkml": (".inkml", lambda drawing: inkml(drawing).encode()),
    "stroke3": (".npz", stroke3_file),
    "ndjson": (".ndjson", lambda drawing: quickdraw(drawing).encode()),
    "json": (".json", lambda drawing: plain_json(drawing).encode()),
}
