"""Each format is read back by a reader that knows nothing of ours."""

import functools
import io
import itertools
import json
import re
from importlib import resources

import jsonschema
import numpy as np
import pytest
import resvg_py
import svgpathtools
from lxml import etree
from PIL import Image

from dood_jax.vectorize import curves
from dood_jax.vectorize.curves import InkStroke, Place
from dood_jax.vectorize.drawing import InkDrawing
from dood_jax.vectorize.formats import WRITERS

HOSTILE = "a<b>&\"'</title><script>alert(1)</script>\x00\x1b\ud800"
SVG, INKML = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/2003/InkML}"
XML_ID = "{http://www.w3.org/XML/1998/namespace}id"

# The part of InkML that is written, as the Recommendation's prose (sections 3 to 5) has it, and as the typed
# model of its schema in the Open XML SDK does: the schema itself comes with no package. A trace's attribute
# `id` without a namespace is not of it, but of the files of CROHME.
INKML_GRAMMAR = """
<element name="ink" xmlns="http://relaxng.org/ns/structure/1.0" ns="http://www.w3.org/2003/InkML"
    datatypeLibrary="http://www.w3.org/2001/XMLSchema-datatypes">
 <element name="definitions">
  <element name="inkSource"><attribute name="xml:id"><data type="ID"/></attribute>
   <attribute name="manufacturer"/><attribute name="model"/><attribute name="description"/>
   <element name="traceFormat"><attribute name="xml:id"><data type="ID"/></attribute>
    <oneOrMore><element name="channel">
     <attribute name="name"/><attribute name="type"><choice><value>integer</value><value>decimal</value>
     </choice></attribute><attribute name="units"/></element></oneOrMore></element>
   <element name="channelProperties"><oneOrMore><element name="channelProperty">
     <attribute name="channel"/><attribute name="name"/><attribute name="value"/>
     <attribute name="units"/></element></oneOrMore></element></element>
  <element name="context"><attribute name="xml:id"><data type="ID"/></attribute>
   <attribute name="inkSourceRef"/><attribute name="traceFormatRef"/></element>
  <oneOrMore><element name="brush"><attribute name="xml:id"><data type="ID"/></attribute>
   <zeroOrMore><element name="annotation"><attribute name="type"/><text/></element></zeroOrMore>
   <oneOrMore><element name="brushProperty"><choice>
     <group><attribute name="name"><choice><value>width</value><value>height</value></choice></attribute>
      <attribute name="value"><data type="decimal"/></attribute><attribute name="units"/></group>
     <group><attribute name="name"><choice><value>color</value><value>tip</value></choice></attribute>
      <attribute name="value"/></group></choice></element></oneOrMore>
  </element></oneOrMore></element>
 <zeroOrMore><element name="annotation"><attribute name="type"/><text/></element></zeroOrMore>
 <oneOrMore><element name="trace"><attribute name="xml:id"><data type="ID"/></attribute>
  <attribute name="id" ns=""><data type="nonNegativeInteger"/></attribute>
  <attribute name="contextRef"/><attribute name="brushRef"/>
  <list><oneOrMore><data type="token"><param name="pattern">-?[0-9]+(\\.[0-9]+)?,?</param></data></oneOrMore>
  </list></element></oneOrMore>
</element>
"""
RED = (200, 30, 10)


@pytest.fixture(scope="module")
def drawing() -> InkDrawing:
    wave = curves.fit(np.stack([np.linspace(5, 95, 60), 30 + 15 * np.sin(np.arange(60) / 6)], axis=1), 0.05)
    ring = curves.fit(
        np.array([[50 + 12 * np.cos(a), 65 + 12 * np.sin(a)] for a in np.linspace(0, 2 * np.pi, 40)]), 0.05
    )
    square = curves.fit(np.array([[10.0, 60], [25, 60], [25, 80], [10, 80], [10, 60]]), 0.05)
    dot = np.full((4, 2), [80.0, 70.25])
    strokes = (
        InkStroke(wave, 3.25, False, 0.9, colour=RED),
        InkStroke(ring, 2.0, True, 0.8),
        InkStroke(square, 2.0, True, 0.7, is_filled=True, colour=(10, 20, 200)),
        InkStroke(dot, 5.0, False, 1.0),
    )
    return InkDrawing(strokes, 100, 90, HOSTILE)


def test_svg(drawing):
    root = etree.fromstring(drawing.to_svg().encode())
    paths = root.findall(f".//{SVG}path")
    assert root.get("viewBox") == "0 0 100 90"
    assert [path.get("id") for path in paths] == ["stroke-1", "stroke-2", "stroke-3", "stroke-4"]
    assert [path.get("stroke-width") for path in paths] == ["3.25", "2", "2", "5"]
    assert root.find(f"{SVG}g").get("stroke-linecap") == "round"
    for path, stroke in zip(paths[:3], drawing.strokes, strict=False):
        places = [svgpathtools.parse_path(path.get("d")).point(u) for u in np.linspace(0, 1, 50)]
        points = np.array([[place.real, place.imag] for place in places])
        ours = curves.sample(stroke.control_points, 100)
        assert np.linalg.norm(points[:, None] - ours[None], axis=2).min(1).max() < 0.2
    assert svgpathtools.parse_path(paths[1].get("d")).isclosed()
    assert 0 < svgpathtools.parse_path(paths[3].get("d")).length() < 0.1  # some readers want a length


@pytest.mark.parametrize("animated", [False, True])
def test_another_renderer_draws_lines_areas_and_dots_in_their_colours(drawing, animated):
    """An animation is shown whole by a reader that does not know it."""
    text = drawing.to_svg(animated)
    png = resvg_py.svg_to_bytes(svg_string=text, background="white", skip_system_fonts=True)
    pixels = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))
    assert pixels.shape == (90, 100, 3)
    assert tuple(pixels[70, 17]) == (10, 20, 200) and tuple(pixels[65, 50]) == (255, 255, 255)
    assert tuple(pixels[70, 80]) == (0, 0, 0)
    x, y = np.floor(drawing.strokes[0].points()[20]).astype(int)
    assert tuple(pixels[y, x]) == RED


def test_animated_svg_draws_one_stroke_after_the_other(drawing):
    root = etree.fromstring(drawing.to_svg(animated=True).encode())
    moves = root.findall(f".//{SVG}animate")
    begin = [float(move.get("begin")[:-1]) for move in moves]
    seconds = [float(move.get("dur")[:-1]) for move in moves]
    assert len(moves) == 4 and all(a + b <= c for a, b, c in zip(begin, seconds, begin[1:], strict=False))
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
    assert [trace.get("id") for trace in traces] == ["0", "1", "2", "3"]
    assert [trace.get(XML_ID) for trace in traces] == [f"stroke-{i}" for i in (1, 2, 3, 4)]
    names = {element.get(XML_ID) for element in root.iter() if element.get(XML_ID)}
    refs = {value for element in root.iter() for name, value in element.items() if name.endswith("Ref")}
    assert refs <= {f"#{name}" for name in names}
    brushes = {f"#{brush.get(XML_ID)}": brush for brush in root.iter(f"{INKML}brush")}
    assert len(brushes) == 4
    for trace, stroke in zip(traces, drawing.strokes, strict=True):
        points = np.array([pair.split() for pair in trace.text.split(",")], float)
        np.testing.assert_allclose(points, stroke.points(), atol=6e-3)
        brush = brushes[trace.get("brushRef")]
        about = {one.get("name"): one.get("value") for one in brush.iter(f"{INKML}brushProperty")}
        assert float(about["width"]) == stroke.width
        assert about["color"] == "#{:02x}{:02x}{:02x}".format(*(stroke.colour or (0, 0, 0)))
        assert (brush.findtext(f"{INKML}annotation") == "true") == stroke.is_filled


PLACES = [(1, 1, 1), (1, 2, 2), (1, 1, 1), (2, 3, 3)]  # line, word, character of each stroke


@pytest.fixture
def grouped(drawing) -> InkDrawing:
    strokes = [one._replace(place=Place(*place)) for one, place in zip(drawing.strokes, PLACES, strict=True)]
    return InkDrawing(tuple(strokes), 100, 90)


@pytest.mark.parametrize(
    ("encode", "tag", "group", "name"),
    [
        (InkDrawing.to_svg, f"{SVG}path", f"{SVG}g", "id"),
        (functools.partial(InkDrawing.to_svg, animated=True), f"{SVG}path", f"{SVG}g", "id"),
        (InkDrawing.to_inkml, f"{INKML}trace", f"{INKML}traceGroup", XML_ID),
    ],
)
def test_strokes_lie_in_the_groups_of_their_character_word_and_line(grouped, encode, tag, group, name):
    root = etree.fromstring(encode(grouped).encode())
    found = {}
    for element in root.iter(tag):
        around = [one.get(name) for one in element.iterancestors(group) if one.get(name)]
        found[element.get(name)] = around[::-1]
    assert found == {
        f"stroke-{i}": [f"line-{a}", f"word-{b}", f"character-{c}"] for i, (a, b, c) in enumerate(PLACES, 1)
    }
    names = [element.get(name) for element in root.iter() if element.get(name)]
    assert len(names) == len(set(names))
    assert len(root.findall(f".//{group}[@{name}]")) == 2 + 3 + 3


def test_json_numbers_groups(grouped):
    schema = json.loads((resources.files("dood_jax.vectorize") / "drawing.schema.json").read_text())
    record = json.loads(grouped.to_json())
    jsonschema.validate(record, schema)
    assert [(one["line"], one["word"], one["character"]) for one in record["strokes"]] == PLACES


def test_stroke3_is_what_sketch_models_load(drawing):
    with np.load(io.BytesIO(WRITERS["stroke3"][1](drawing)), allow_pickle=False) as file:
        assert {"train", "valid", "test"} <= set(file.files)
        sketch = file["train"][0]
    assert sketch.dtype == np.float32 and sketch.shape[1] == 3
    places = np.cumsum(sketch[:, :2], axis=0)
    ends = np.flatnonzero(sketch[:, 2])
    assert len(ends) == 4 and ends[-1] == len(sketch) - 1
    np.testing.assert_allclose(places[ends[0]], drawing.strokes[0].control_points[-1], atol=1e-3)
    np.testing.assert_allclose(places[ends[0] + 1], drawing.strokes[1].control_points[0], atol=1e-3)


def test_stroke3_is_simplified_until_it_fits():
    """Twelve waves: 250 points keep them within a pixel, and more points keep more."""
    lines = [
        np.stack([np.arange(400.0), 40 * i + 15 * np.sin(np.arange(400) / 20)], axis=1) for i in range(12)
    ]
    strokes = tuple(InkStroke(curves.fit(line, 0.5), 2, False, 1) for line in lines)
    drawing = InkDrawing(strokes, 400, 480)
    off = {}
    for most in (250, 500):
        sketch = drawing.to_stroke3(most)
        assert most / 2 < len(sketch) <= most
        points = np.split(np.cumsum(sketch[:, :2], axis=0), np.flatnonzero(sketch[:, 2])[:-1] + 1)
        off[most] = max(
            float(np.abs(np.interp(line[:, 0], *one.T) - line[:, 1]).max())
            for line, one in zip(lines, points, strict=True)
        )
    assert off[500] < off[250] < 3
    many = InkDrawing(strokes * 20, 400, 480)
    assert len(many.to_stroke3()) > 250  # so many strokes are not straightened to two points each


def test_ndjson_is_in_the_simplified_form(drawing):
    (line,) = drawing.to_ndjson().splitlines()
    record = json.loads(line)
    assert record["word"] == HOSTILE and record["key_id"].isdigit()
    numbers = np.concatenate([np.array(stroke).T for stroke in record["drawing"]])
    assert numbers.dtype.kind == "i" and numbers.min() == 0 and numbers.max() == 255
    assert len(record["drawing"]) == 4 and len(record["drawing"][0][0]) < 40
    scale = 255 / 90
    for (x, y), stroke in zip(record["drawing"][:2], drawing.strokes, strict=False):
        low = np.min([one.control_points.min(0) for one in drawing.strokes], axis=0)
        ours = (stroke.points(0.5) - [5, low[1]]) * scale
        off = np.linalg.norm(np.stack([x, y], axis=1)[:, None] - ours[None], axis=2).min(1)
        assert off.max() < 12  # the corner is that of the points, which lie inside the control points'


def test_json_has_everything_that_its_schema_promises(drawing):
    schema = json.loads((resources.files("dood_jax.vectorize") / "drawing.schema.json").read_text())
    record = json.loads(drawing.to_json())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(record, schema)
    assert (record["source"], record["width"], record["height"]) == (HOSTILE, 100, 90)
    for stroke, ours in zip(record["strokes"], drawing.strokes, strict=True):
        np.testing.assert_allclose(stroke["control_points"], ours.control_points, atol=6e-3)
        assert stroke["width"] == ours.width and stroke["closed"] == ours.is_closed
        assert stroke["confidence"] == ours.confidence and stroke["filled"] == ours.is_filled
    assert [stroke["colour"] for stroke in record["strokes"][:2]] == ["#c81e0a", "#000000"]
    assert not re.search(r"\.\d{3}", drawing.to_json())
    described = schema["$defs"]["stroke"]["properties"]
    assert all(field["description"] for field in [*described.values(), *schema["properties"].values()])


@pytest.mark.parametrize("name", WRITERS)
def test_a_drawing_without_strokes_has_every_format(name):
    blank = WRITERS[name][1](InkDrawing((), 100, 90, "blank", 0.0))
    if "svg" in name:
        assert not etree.fromstring(blank).findall(f".//{SVG}path")
    elif name == "gif":
        assert np.asarray(Image.open(io.BytesIO(blank)).convert("L")).min() == 255
    elif name == "stroke3":
        with np.load(io.BytesIO(blank), allow_pickle=False) as file:
            assert file["train"].shape == (1, 0, 3)
    elif name == "inkml":
        assert not etree.fromstring(blank).findall(f"{INKML}trace")
    else:
        assert json.loads(blank)[{"ndjson": "drawing", "json": "strokes"}[name]] == []


def test_gif_grows_to_the_whole_drawing(drawing):
    film = Image.open(io.BytesIO(drawing.to_gif()))
    ink = []
    for frame in range(film.n_frames):
        film.seek(frame)
        ink.append(float((255 - np.asarray(film.convert("L"), float)).sum()))
    assert film.n_frames > 20 and film.info["loop"] == 0
    assert all(b >= 0.99 * a for a, b in itertools.pairwise(ink)) and ink[-1] > 5 * ink[0]
    last = np.asarray(film.convert("RGB").resize((100, 90)), int)
    assert np.abs(last[70, 17] - [10, 20, 200]).max() < 20 and last[65, 50].min() > 235


def test_black_and_other_sizes(drawing):
    assert all(stroke.colour is None for stroke in drawing.in_black().strokes)
    twice = drawing.resized(200, 180)
    assert (twice.width, twice.height, twice.source) == (200, 180, drawing.source)
    np.testing.assert_allclose(twice.strokes[0].control_points, 2 * drawing.strokes[0].control_points)
    assert twice.strokes[0].width == pytest.approx(6.5)
