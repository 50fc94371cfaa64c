"""From a user's image to files: the Python interface, the command, and what it refuses."""

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from known_strokes import STROKES
from PIL import Image

from dood_jax import api, cli
from dood_jax.errors import BadInput
from dood_jax.vectorize import batch

ROOT = Path(__file__).parents[2]
SUFFIXES = (".svg", ".animated.svg", ".gif", ".inkml", ".npz", ".ndjson", ".json")


@pytest.fixture(scope="module")
def model(tiny, params):
    """A model that knows nothing; the lines of an image are found all the same."""
    meta = {"step": 0, "commit": "", "sha256": {}, "config": {"model": dataclasses.asdict(tiny)}}
    return api.Model(tiny, params, None, meta, "tiny")


@pytest.fixture(autouse=True)
def loads_the_tiny_model(request, monkeypatch, model):
    if "slow" not in request.keywords:
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
    assert written == {name + suffix for name in ("a", "a-2", "deep/b") for suffix in SUFFIXES}
    assert all((out / name).stat().st_size > 100 for name in written)
    assert len(json.loads((out / "deep" / "b.json").read_text())["strokes"]) == len(STROKES)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255)])
@pytest.mark.parametrize("hidden", [(0, 0, 0), (255, 255, 255)])
def test_transparent_files_are_drawn_whatever_colour_is_hidden_in_them(tmp_path, ink, colour, hidden):
    """Black or white ink on nothing, where a clear pixel has some colour of its own."""
    opaque = np.round(255 * ink).astype(np.uint8)
    colours = np.where(opaque[..., None] > 0, colour, hidden).astype(np.uint8)
    Image.fromarray(np.dstack([colours, opaque])).save(tmp_path / "clear.png")
    assert run(tmp_path / "clear.png", "--to=json", f"--out={tmp_path}/out") == 0
    drawn = json.loads((tmp_path / "out" / "clear.json").read_text())
    assert len(drawn["strokes"]) == len(STROKES)


def test_one_line_for_each_failure_and_the_rest_is_done(tmp_path, image, capfd):
    image.save(tmp_path / "good.png")
    Image.new("L", (40, 40), 255).save(tmp_path / "blank.png")
    (tmp_path / "broken.png").write_text("nothing")
    assert run(tmp_path, f"--out={tmp_path}/out") == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 2 and all(line.startswith("dood_jax: ") for line in lines)
    assert "blank.png" in lines[0] and "broken.png" in lines[1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.svg"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "FILES"),
        (("--nope", "x"), "--nope"),
        (("nowhere.png",), "nowhere.png"),
        ((".", "--to=pdf"), "pdf"),
        ((".", "--to=,"), "--to"),
    ],
)
def test_bad_commands_are_one_line(tmp_path, monkeypatch, capfd, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.png").write_text("")
    assert run(*arguments) == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.startswith("dood_jax: ") and said in line


def test_nothing_leaves_the_folder():
    namer = batch.Namer(Path("out"))
    for name in ("../../evil", "/etc/passwd", "..", ".hidden", "a\x00b", "a\\b", "", "x" * 900, "con.svg/.."):
        place = namer.place(Path(), name)
        assert place.parent == Path("out") and place.name.strip(".") and len(place.name) < 130
    first, second = namer.place(Path(), "Same"), namer.place(Path(), "same")
    assert first != second and str(first).casefold() != str(second).casefold()


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
