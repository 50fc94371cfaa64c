"""Each format is read back by a reader that knows nothing of ours."""

import io
import itertools
import json

import numpy as np
import pytest
import svgpathtools
from lxml import etree
from PIL import Image

from dood_jax.vectorize import curves
from dood_jax.vectorize.curves import InkStroke
from dood_jax.vectorize.drawing import InkDrawing
from dood_jax.vectorize.formats import WRITERS

HOSTILE = "a<b>&\"'</title><script>alert(1)</script>\x00\x1b\ud800"
SVG, INKML = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/2003/InkML}"
XML_ID = "{http://www.w3.org/XML/1998/namespace}id"

# The part of InkML that is written, as the Recommendation's prose (sections 3 to 5) has it, and as the typed
# model of its schema in the Open XML SDK does: the schema itself comes with no package.
INKML_GRAMMAR = """
<element name="ink" xmlns="http://relaxng.org/ns/structure/1.0" ns="http://www.w3.org/2003/InkML"
    datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
 <element name="definitions">
  <element name="context"><attribute name="xml:id"><data type="ID"/></attribute>
   <element name="traceFormat"><oneOrMore><element name="channel">
     <attribute name="name"/><attribute name="type"><choice><value>integer</value><value>decimal</value>
     </choice></attribute><attribute name="units"/></element></oneOrMore></element></element>
  <oneOrMore><element name="brush"><attribute name="xml:id"><data type="ID"/></attribute>
   <oneOrMore><element name="brushProperty"><attribute name="name"/>
    <attribute name="value"><data type="decimal"/></attribute><attribute name="units"/></element></oneOrMore>
  </element></oneOrMore></element>
 <zeroOrMore><element name="annotation"><attribute name="type"/><text/></element></zeroOrMore>
 <oneOrMore><element name="trace"><attribute name="xml:id"><data type="ID"/></attribute>
  <attribute name="contextRef"/><attribute name="brushRef"/>
  <list><oneOrMore><data type="token"><param name="pattern">-?[0-9]+(\\.[0-9]+)?,?</param></data></oneOrMore>
  </list></element></oneOrMore>
</element>
"""


@pytest.fixture(scope="module")
def drawing() -> InkDrawing:
    wave = curves.fit(np.stack([np.linspace(5, 95, 60), 30 + 15 * np.sin(np.arange(60) / 6)], axis=1), 0.05)
    ring = curves.fit(
        np.array([[50 + 12 * np.cos(a), 65 + 12 * np.sin(a)] for a in np.linspace(0, 2 * np.pi, 40)]), 0.05
    )
    dot = np.full((4, 2), [80.0, 70.25])
    strokes = (
        InkStroke(wave, 3.25, False, 0.9),
        InkStroke(ring, 2.0, True, 0.8),
        InkStroke(dot, 5.0, False, 1.0),
    )
    return InkDrawing(strokes, 100, 90, HOSTILE)


def test_svg(drawing):
    root = etree.fromstring(drawing.to_svg().encode())
    paths = root.findall(f".//{SVG}path")
    assert root.get("viewBox") == "0 0 100 90"
    assert [path.get("id") for path in paths] == ["stroke-1", "stroke-2", "stroke-3"]
    assert [path.get("stroke-width") for path in paths] == ["3.25", "2", "5"]
    assert root.find(f"{SVG}g").get("stroke-linecap") == "round"
    for path, stroke in zip(paths[:2], drawing.strokes, strict=False):
        places = [svgpathtools.parse_path(path.get("d")).point(u) for u in np.linspace(0, 1, 50)]
        points = np.array([[place.real, place.imag] for place in places])
        ours = curves.sample(stroke.control_points, 100)
        assert np.linalg.norm(points[:, None] - ours[None], axis=2).min(1).max() < 0.2
    assert svgpathtools.parse_path(paths[1].get("d")).isclosed()
    assert paths[2].get("d") == "M 80 70.25 l 0 0"


def test_animated_svg_draws_one_stroke_after_the_other(drawing):
    root = etree.fromstring(drawing.to_svg(animated=True).encode())
    moves = root.findall(f".//{SVG}animate")
    begin = [float(move.get("begin")[:-1]) for move in moves]
    seconds = [float(move.get("dur")[:-1]) for move in moves]
    assert len(moves) == 3 and all(a + b <= c for a, b, c in zip(begin, seconds, begin[1:], strict=False))
    still = etree.fromstring(drawing.to_svg().encode())
    commands = lambda root: [path.get("d") for path in root.findall(f".//{SVG}path")]
    assert commands(root) == commands(still)


@pytest.mark.parametrize("encode", [InkDrawing.to_svg, InkDrawing.to_inkml])
def test_hostile_names_stay_text(drawing, encode):
    root = etree.fromstring(encode(drawing).encode())
    assert not [element for element in root.iter() if "script" in str(element.tag)]
    assert "<script>alert(1)</script>" in "".join(root.itertext())


def test_inkml(drawing):
    root = etree.fromstring(drawing.to_inkml().encode())
    etree.RelaxNG(etree.fromstring(INKML_GRAMMAR)).assertValid(root)
    traces = root.findall(f"{INKML}trace")
    assert [trace.get(XML_ID) for trace in traces] == ["stroke-1", "stroke-2", "stroke-3"]
    widths = {
        f"#{brush.get(XML_ID)}": float(brush.find(f"{INKML}brushProperty[@name='width']").get("value"))
        for brush in root.iter(f"{INKML}brush")
    }
    for trace, stroke in zip(traces, drawing.strokes, strict=True):
        points = np.array([pair.split() for pair in trace.text.split(",")], float)
        np.testing.assert_allclose(points, stroke.points(), atol=1e-3)
        assert widths[trace.get("brushRef")] == stroke.width


def test_stroke3_is_what_sketch_models_load(drawing):
    with np.load(io.BytesIO(WRITERS["stroke3"][1](drawing)), allow_pickle=False) as file:
        assert {"train", "valid", "test"} <= set(file.files)
        sketch = file["train"][0]
    assert sketch.dtype == np.float32 and sketch.shape[1] == 3
    places = np.cumsum(sketch[:, :2], axis=0)
    ends = np.flatnonzero(sketch[:, 2])
    assert len(ends) == 3 and ends[-1] == len(sketch) - 1
    np.testing.assert_allclose(places[ends[0]], drawing.strokes[0].control_points[-1], atol=1e-3)
    np.testing.assert_allclose(places[ends[0] + 1], drawing.strokes[1].control_points[0], atol=1e-3)


def test_ndjson_is_in_the_simplified_form(drawing):
    (line,) = drawing.to_ndjson().splitlines()
    record = json.loads(line)
    assert record["word"] == HOSTILE and record["key_id"].isdigit()
    numbers = np.concatenate([np.array(stroke).T for stroke in record["drawing"]])
    assert numbers.dtype.kind == "i" and numbers.min() == 0 and numbers.max() == 255
    assert len(record["drawing"]) == 3 and len(record["drawing"][0][0]) < 40
    scale = 255 / 90
    for (x, y), stroke in zip(record["drawing"][:2], drawing.strokes, strict=False):
        low = np.min([one.control_points.min(0) for one in drawing.strokes], axis=0)
        ours = (stroke.points(0.5) - [5, low[1]]) * scale
        off = np.linalg.norm(np.stack([x, y], axis=1)[:, None] - ours[None], axis=2).min(1)
        assert off.max() < 12  # the corner is that of the points, which lie inside the control points'


def test_json_has_everything(drawing):
    record = json.loads(drawing.to_json())
    assert (record["source"], record["width"], record["height"]) == (HOSTILE, 100, 90)
    for stroke, ours in zip(record["strokes"], drawing.strokes, strict=True):
        np.testing.assert_allclose(stroke["control_points"], ours.control_points, atol=1e-3)
        assert stroke["width"] == ours.width and stroke["closed"] == ours.is_closed
        assert stroke["confidence"] == ours.confidence


def test_gif_grows_to_the_whole_drawing(drawing):
    film = Image.open(io.BytesIO(drawing.to_gif()))
    ink = []
    for frame in range(film.n_frames):
        film.seek(frame)
        ink.append(float((255 - np.asarray(film.convert("L"), float)).sum()))
    assert film.n_frames > 20 and film.info["loop"] == 0
    assert all(b >= 0.99 * a for a, b in itertools.pairwise(ink)) and ink[-1] > 5 * ink[0]
