"""What the static site's scripts compute of images and strokes, run by Node, against Python."""

import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import build_site
import jax
import jsonschema
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from dood_jax.config.datasets import CATALOG
from dood_jax.demo import images
from dood_jax.demo.service import PAGE
from dood_jax.evaluation.reconstruction import windows
from dood_jax.vectorize import formats, page, pixels
from dood_jax.vectorize.curves import InkStroke
from dood_jax.vectorize.drawing import InkDrawing

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "dood_jax" / "vectorize" / "drawing.schema.json").read_text())


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """Runs an expression of JavaScript in which `given` is a value, and returns its value."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("there is no node to run the scripts of the site")
    folder = tmp_path_factory.mktemp("scripts")
    (folder / "package.json").write_text('{"type": "module"}')
    for path in build_site.ENGINE.glob("*.js"):
        shutil.copy(path, folder)

    def run(expression: str, given) -> dict:
        (folder / "given.json").write_text(json.dumps(given))
        script = f"""
            import fs from "node:fs";
            import {{ inkOf, modelInput, onSheet }} from "./prepare.js";
            import {{ FORMATS, drawingOf }} from "./drawings.js";
            const given = JSON.parse(fs.readFileSync("given.json"));
            const plain = (_, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
            fs.writeFileSync("found.json", JSON.stringify({expression}, plain));
        """
        (folder / "main.js").write_text(script)
        done = subprocess.run([node, "main.js"], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads((folder / "found.json").read_text())

    return run


def pictures() -> dict[str, Image.Image]:
    """The sheet, a photograph, a few pixels, bright on dark, in colour, on nothing."""
    sheet = Image.fromarray(np.round(255 - 226 * images.drawn(images.shapes()["fish"])).astype(np.uint8))
    photo = Image.new("L", (640, 420), 214)
    ImageDraw.Draw(photo).line([(120, 90), (300, 330), (520, 100)], 70, 14, joint="curve")
    photo = photo.filter(ImageFilter.GaussianBlur(1))
    noise = np.random.default_rng(0).normal(0, 3, (420, 640))
    noisy = Image.fromarray((np.asarray(photo) + noise).clip(0, 255).astype(np.uint8))
    digit = Image.new("L", (28, 28))
    ImageDraw.Draw(digit).line([(8, 6), (19, 6), (11, 22)], 255, 3)
    coloured = Image.new("RGB", (300, 500), (255, 255, 250))
    ImageDraw.Draw(coloured).ellipse((60, 120, 240, 380), outline=(240, 200, 0), width=12)
    clear = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    ImageDraw.Draw(clear).line([(80, 80), (320, 300)], (255, 255, 255, 255), 20)
    return {"sheet": sheet, "photo": noisy, "digit": digit, "coloured": coloured, "clear": clear}


@pytest.mark.parametrize("name", list(pictures()))
def test_an_image_is_prepared_as_the_server_does_it(computed, name):
    picture = pictures()[name]
    found_pixels = pixels.of_image(picture, picture.size)
    wanted_ink = page.remove_background(*found_pixels).ink
    wanted_sheet = images.on_sheet(wanted_ink)
    given = {
        "data": np.asarray(picture.convert("RGBA")).ravel().tolist(),
        "width": picture.width,
        "height": picture.height,
    }
    expression = """(() => {
        const ink = inkOf({ ...given, data: Uint8ClampedArray.from(given.data) });
        const sheet = onSheet(ink);
        return { ink: ink.values, sheet: sheet.values, read: modelInput(sheet, 50, 28) };
    })()"""
    found = {key: np.array(value, np.float32) for key, value in computed(expression, given).items()}
    assert np.abs(found["ink"].reshape(wanted_ink.shape) - wanted_ink).mean() < 0.01
    assert np.abs(found["sheet"].reshape(wanted_sheet.shape) - wanted_sheet).mean() < 0.02
    wanted = images.model_input(wanted_sheet, 50, "mnist")
    assert CATALOG["mnist"].size == 28 and np.abs(found["read"].reshape(50, 50) - wanted).mean() < 0.02


@pytest.mark.parametrize("trained_on", ["mnist", "omniglot", "synthetic"])
def test_a_model_reads_ink_within_two_grey_levels_of_python(computed, trained_on):
    ink = images.drawn(images.shapes()["star"])
    source = CATALOG[trained_on].size if trained_on in CATALOG else 10_000
    given = {"values": ink.ravel().tolist(), "width": 480, "height": 480, "source": source}
    found = computed(
        "modelInput({ ...given, values: Float32Array.from(given.values) }, 50, given.source)", given
    )
    wanted = images.model_input(ink, 50, trained_on)
    assert np.abs(np.array(found).reshape(50, 50) - wanted).max() < 2.5 / 255


def test_an_empty_sheet_is_refused_in_words(computed):
    given = {"data": [255] * 4 * 400, "width": 20, "height": 20}
    expression = """(() => {
        try {
            return inkOf({ ...given, data: Uint8ClampedArray.from(given.data) });
        } catch (error) {
            return error.message;
        }
    })()"""
    assert computed(expression, given) == "nothing is drawn: the strongest mark has a contrast of 0.000"


@pytest.fixture(scope="module")
def drawn(model, computed):
    """Drawings of a tiny model: as Python has them, and as the scripts do."""
    sketch = model.infer(np.random.default_rng(0).uniform(size=(3, 20, 20)).astype(np.float32))
    numbers = lambda leaf: np.asarray(leaf, np.float64).ravel().tolist()
    chain = jax.vmap(jax.vmap(model_points))
    records = [
        {
            "presence": numbers(sketch.strokes.presence[i]),
            "layout": numbers(sketch.strokes.layout[i]),
            "canvas_points": numbers(chain(sketch.strokes.layout, sketch.strokes.control_points)[i]),
            "ink_width": numbers(sketch.brush.ink_width[i]),
            "ink_slope": numbers(sketch.brush.ink_slope[i]),
            "canvas_slope": [float(sketch.brush.canvas_slope[i])],
        }
        for i in range(3)
    ]
    given = {"records": records, "model": build_site.description(model)}
    expression = """given.records.map((record) => {
        const typed = Object.entries(record).map(([name, values]) => [name, Float64Array.from(values)]);
        const found = Object.fromEntries(typed);
        const drawing = drawingOf(found, given.model, { source: "one", hasWindows: true });
        const files = Object.entries(FORMATS).map(([name, [, , write]]) => [name, write(drawing)]);
        return { drawing, files: Object.fromEntries(files) };
    })"""
    return model, sketch, computed(expression, given)


def model_points(layout, points):
    from dood_jax import geometry

    return geometry.place_strokes(layout[None], points[None])[0]


def test_strokes_and_windows_are_those_of_python(drawn):
    model, sketch, found = drawn
    corners = windows(sketch, PAGE)
    for ink, one, seen in zip(model.to_ink(sketch, PAGE), found, corners, strict=True):
        strokes = one["drawing"]["strokes"]
        assert len(strokes) == len(ink.strokes) > 0
        for stroke, wanted, window in zip(strokes, ink.strokes, seen[: len(strokes)], strict=True):
            np.testing.assert_allclose(stroke["points"], wanted.control_points, atol=1e-2)
            assert stroke["width"] == pytest.approx(wanted.width, rel=1e-4)
            np.testing.assert_allclose(stroke["window"], window, atol=1e-2)


def test_files_are_those_that_python_writes(drawn):
    for one in drawn[2]:
        record = json.loads(one["files"]["json"])
        jsonschema.validate(record, SCHEMA)
        strokes = tuple(
            InkStroke(np.array(stroke["points"]), stroke["width"], False, 1.0)
            for stroke in one["drawing"]["strokes"]
        )
        drawing = InkDrawing(strokes, PAGE, PAGE, "one")
        assert record == json.loads(formats.plain_json(drawing))
        assert one["files"]["svg"] == formats.svg(drawing)
        wanted, found = (
            ElementTree.fromstring(text) for text in (formats.inkml(drawing), one["files"]["inkml"])
        )
        trace = "{http://www.w3.org/2003/InkML}trace"
        for left, right in zip(found.iter(trace), wanted.iter(trace), strict=True):
            assert left.attrib == right.attrib
            numbers = [np.array(text.replace(",", " ").split(), float) for text in (left.text, right.text)]
            np.testing.assert_allclose(*numbers, atol=0.02)
        assert timetable(one["files"]["animated-svg"]) == pytest.approx(
            timetable(formats.animated_svg(drawing)), abs=2e-3
        )


def timetable(svg: str) -> list[float]:
    """Begin and duration of each stroke in seconds."""
    animations = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}animate")
    return [float(one.get(name).rstrip("s")) for one in animations for name in ("begin", "dur")]
