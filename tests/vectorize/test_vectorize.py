"""From a user's image to files: the Python interface, the command, and what it refuses."""

import dataclasses
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from known_strokes import SIZE, STROKES, WIDTH, ink_of
from PIL import Image

from dood_jax import api, cli
from dood_jax.errors import BadInput
from dood_jax.vectorize import colours, curves, reading
from dood_jax.vectorize.curves import InkStroke

ROOT = Path(__file__).parents[2]
SUFFIXES = (".svg", ".animated.svg", ".gif", ".inkml", ".npz", ".ndjson", ".json")


@pytest.fixture(scope="module")
def model(tiny, params):
    """A model that knows nothing; the lines of an image are found all the same."""
    meta = {"step": 0, "commit": "", "sha256": {}, "config": {"model": dataclasses.asdict(tiny)}}
    return api.Model(tiny, params, None, meta, "tiny")


@pytest.fixture(autouse=True)
def loads_the_tiny_model(request, monkeypatch, model):
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr(api, "load", lambda name: model)


@pytest.fixture
def image(ink) -> Image.Image:
    return Image.fromarray(np.round(255 * (1 - ink)).astype(np.uint8))


def run(*arguments: str) -> int:
    """The command in this process; its exit code."""
    try:
        cli.main(["vectorize", *map(str, arguments)])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_an_image_becomes_its_strokes(model, ink):
    drawing = model.vectorize(ink, "name")
    assert len(drawing.strokes) == len(STROKES)
    assert (drawing.height, drawing.width) == ink.shape and drawing.source == "name"
    assert drawing.l1 < 0.15 * ink.sum()
    again = model.vectorize((255 * (1 - ink)).astype(np.uint8))
    assert len(again.strokes) == len(STROKES)


@pytest.mark.slow
def test_the_released_model_draws_a_small_image_within_a_second(ink):
    model = api.load("synthetic")
    assert len(model.vectorize(ink).strokes) == len(STROKES)
    started = time.process_time()
    model.vectorize(ink)
    assert time.process_time() - started < 2  # on two cores


@pytest.mark.slow
def test_a_large_page_is_drawn_in_bounded_memory(tmp_path):
    """4000 x 4000 pixels with 1,600 strokes, in a process of its own."""
    program = """if True:
        import numpy as np, dood_jax
        ink = np.zeros((4000, 4000), np.float32)
        for y in range(50, 4000, 100):
            for x in range(50, 4000, 100):
                ink[y : y + 5, x : x + 60] = 1
        print(len(dood_jax.load('synthetic').vectorize(ink).strokes))
        print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])
        """
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    strokes, kilobytes = map(int, done.stdout.split())
    assert strokes == 1600 and kilobytes < 2_000_000


@pytest.mark.parametrize("size", [(10, 10), (28, 28), (7, 300)])
def test_tiny_and_lengthy_images(model, size):
    ink = np.zeros(size, np.float32)
    ink[size[0] // 2, 2:-2] = 1
    (stroke,) = model.vectorize(ink).strokes
    points = stroke.points()
    assert np.abs(points[:, 1] - size[0] // 2 - 0.5).max() < 0.3
    assert abs(np.ptp(points[:, 0]) - (size[1] - 5)) < 1.5


@pytest.mark.parametrize("image", [np.ones((40, 40)), np.zeros(5), np.full((40, 40), 300.0)])
def test_what_is_no_drawing_is_refused(model, image):
    with pytest.raises(BadInput):
        model.vectorize(image)


def test_the_command_writes_every_format(tmp_path, image):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    image.save(tmp_path / "in" / "a.png")
    image.save(tmp_path / "in" / "a.bmp")
    image.save(tmp_path / "in" / "deep" / "b.jpg")
    out = tmp_path / "out"
    formats = "svg,animated-svg,gif,inkml,stroke3,ndjson,json"
    assert run(tmp_path / "in", f"--to={formats}", f"--out={out}") == 0
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert written == {name + suffix for name in ("a.png", "a.bmp", "deep/b") for suffix in SUFFIXES}
    assert all((out / name).stat().st_size > 100 for name in written)
    assert len(json.loads((out / "deep" / "b.json").read_text())["strokes"]) == len(STROKES)


TRANSPARENT = {  # of [H, W, 4] pixels, an image
    "rgba.png": Image.fromarray,
    "rgba.webp": Image.fromarray,
    "rgba.tif": Image.fromarray,
    "la.png": lambda pixels: Image.fromarray(pixels).convert("LA"),
    "palette.png": lambda pixels: Image.fromarray(pixels).quantize(60),
    "clear.gif": Image.fromarray,
}


@pytest.mark.parametrize(
    ("name", "colour", "hidden"),
    [
        *((name, 0, 255) for name in TRANSPARENT),
        ("rgba.png", 0, 0),
        ("rgba.png", 255, 0),
        ("la.png", 255, 255),
    ],
)
def test_transparent_files_are_drawn_whatever_colour_is_hidden_in_them(tmp_path, ink, name, colour, hidden):
    """Black or white ink on nothing, where a clear pixel has some colour of its own."""
    opaque = np.round(255 * ink).astype(np.uint8)
    level = np.where(opaque > 0, colour, hidden).astype(np.uint8)
    TRANSPARENT[name](np.dstack([level] * 3 + [opaque])).save(tmp_path / name)
    assert run(tmp_path / name, "--to=json", f"--out={tmp_path}/out") == 0
    drawn = json.loads((tmp_path / "out" / name).with_suffix(".json").read_text())
    assert len(drawn["strokes"]) == len(STROKES)
    assert {stroke["colour"] for stroke in drawn["strokes"]} == {"#000000"}


PENS = [(200, 30, 10), (20, 110, 30), (10, 20, 200), (0, 0, 0)]


def in_colours(paper: int) -> np.ndarray:
    """uint8 [H, W, 3] the drawing with a pen of another colour for each stroke."""
    pixels = np.full((*SIZE, 3), paper, float)
    for stroke, colour in zip(STROKES, PENS, strict=True):
        amount = ink_of([stroke], WIDTH, SIZE)[..., None]
        pixels += amount * (np.array(colour) - pixels)
    return np.round(pixels).astype(np.uint8)


def test_strokes_keep_the_colours_of_their_pens(tmp_path):
    Image.fromarray(in_colours(250)).save(tmp_path / "pens.png")
    for flags, true in (((), PENS), (("--monochrome", "--overwrite"), [(0, 0, 0)] * 4)):
        assert run(tmp_path / "pens.png", "--to=json", f"--out={tmp_path}/out", *flags) == 0
        strokes = json.loads((tmp_path / "out" / "pens.json").read_text())["strokes"]
        found = np.array([[int(one["colour"][i : i + 2], 16) for i in (1, 3, 5)] for one in strokes])
        off = np.abs(found[:, None] - np.array(true)[None]).max(2)
        assert off.min(1).max() <= 12 and off.min(0).max() <= 12


def test_strokes_of_one_pen_have_one_colour():
    image = np.full((30, 60, 3), 250, np.uint8)
    image[4:8], image[14:18], image[24:28] = (200, 30, 10), (204, 27, 14), (10, 30, 200)
    lines = [
        InkStroke(np.linspace([4, y], [end, y], 4), 4, False, 1) for y, end in ((6, 50), (16, 40), (26, 50))
    ]
    found = colours.coloured(lines, image, (image[..., 1] < 200).astype(np.float32))
    assert [one.colour for one in found] == [(200, 30, 10), (200, 30, 10), (10, 30, 200)]


def test_white_chalk_is_written_black():
    board = np.full((20, 60, 3), (20, 50, 30), np.uint8)
    board[8:12, 5:55] = 240
    line = InkStroke(np.linspace([6, 10], [54, 10], 4), 4, False, 1)
    ink = (board[..., 0] > 200).astype(np.float32)
    assert colours.coloured([line], board, ink)[0].colour is None
    assert colours.coloured([line], 255 - board, ink)[0].colour == (15, 15, 15)


def test_the_colour_of_an_area_is_that_inside_its_outline():
    image = np.full((40, 40, 3), 255, np.uint8)
    image[10:30, 10:30] = 0
    image[12:28, 12:28] = (200, 30, 10)
    square = curves.fit(np.array([[10.0, 10], [30, 10], [30, 30], [10, 30], [10, 10]]), 0.1)
    outline = InkStroke(square, 1, True, 1, is_filled=True)
    (found,) = colours.coloured([outline], image, (image[..., 1] < 200).astype(np.float32))
    assert found.colour == (200, 30, 10)


def test_a_large_image_gives_strokes_in_its_own_pixels(tmp_path, model, ink, monkeypatch, capfd):
    large = Image.fromarray(np.round(255 * (1 - ink)).astype(np.uint8)).resize((400, 384))
    large.save(tmp_path / "large.png")
    monkeypatch.setattr(reading, "TRACED_PIXELS", ink.size)
    assert run(tmp_path / "large.png", "--to=json", f"--out={tmp_path}/out") == 0
    record = json.loads((tmp_path / "out" / "large.json").read_text())
    assert (record["width"], record["height"]) == large.size and len(record["strokes"]) == len(STROKES)
    assert np.median([one["width"] for one in record["strokes"]]) == pytest.approx(16, rel=0.1)
    points = np.concatenate([curves.sample(np.array(one["control_points"])) for one in record["strokes"]])
    true = 4 * np.concatenate(STROKES)
    np.testing.assert_allclose(points.max(0), true.max(0), atol=3)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"dood_jax: {tmp_path}/large.png: 400 x 384 pixels were traced at 100 x 96")


def test_pages_are_drawn_each_and_name_their_source_in_every_format(tmp_path, image):
    image.save(tmp_path / "scan.tif", save_all=True, append_images=[image.rotate(180, fillcolor=255)])
    out = tmp_path / "out"
    assert run(tmp_path / "scan.tif", "--to=svg,animated-svg,inkml,stroke3,ndjson,json", f"--out={out}") == 0
    texts = {path.name: path.read_text() for path in out.iterdir() if path.suffix != ".npz"}
    assert len(texts) == 10
    for name, text in texts.items():
        assert f"scan.tif, page {name[5]} of 2" in text
    with np.load(out / "scan-2.npz") as file:
        assert str(file["source"]) == "scan.tif, page 2 of 2"


def test_one_line_for_each_failure_and_the_rest_is_done(tmp_path, image, capfd):
    (tmp_path / "in").mkdir()
    image.save(tmp_path / "in" / "good.png")
    Image.new("L", (40, 40), 255).save(tmp_path / "in" / "blank.png")
    (tmp_path / "in" / "broken.png").write_text("nothing")
    names = (tmp_path / "in", tmp_path / "gone.png", tmp_path / "in" / "good.png")
    assert run(*names, f"--out={tmp_path}/out") == 2
    said = capfd.readouterr()
    lines = said.err.strip().splitlines()
    assert all(line.startswith("dood_jax: ") for line in lines)
    assert [name in line for name, line in zip(("gone", "blank", "broken"), lines, strict=True)] == [True] * 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.svg"]
    (line,) = said.out.splitlines()
    assert re.fullmatch(r"\S*/in/good\.png: 4 strokes, \d+\.\d s -> \S*/out/good\.svg", line)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "FILES"),
        (("--nope", "x"), "--nope"),
        (("nowhere.png",), "nowhere.png"),
        ((".", "--to=pdf"), "pdf"),
        ((".", "--to=,"), "--to"),
        ((".", "--stroke3-points=1"), "--stroke3-points"),
    ],
)
def test_bad_commands_are_one_line(tmp_path, monkeypatch, capfd, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.png").write_text("")
    assert run(*arguments) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("dood_jax: ") and said in line


def test_help_answers_without_jax():
    program = "import sys; sys.modules['jax'] = None\nfrom dood_jax.cli import main\nmain(['--help'])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0 and b"vectorize" in done.stdout


def test_the_task_writes_a_result(tmp_path, model, image):
    from dood_jax.config.resolving import default_config, resolve
    from dood_jax.evaluation import reconstruction

    image.save(tmp_path / "a.png")
    values = reconstruction.run_vectorize([model], resolve(default_config()), tmp_path, f"{tmp_path}/*.png")
    record = json.loads((tmp_path / "results" / "vectorize.json").read_text())
    assert record["values"] == values and values["strokes"] == len(STROKES)
    assert record["dataset"] == f"{tmp_path}/*.png" and record["split"] is None
    pixels = image.width * image.height
    assert values["seconds_per_megapixel"] == pytest.approx(values["seconds"] / pixels * 1e6, rel=0.01)
    assert (tmp_path / "vectorize" / "a.svg").exists()
    with pytest.raises(BadInput, match="--input"):
        reconstruction.run_vectorize([model], resolve(default_config()), tmp_path, None)
