"""Many files in one job: names, what is there already, and that no file stops the others."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import ink_fuzz
import numpy as np
import pytest
from PIL import Image

from dood_jax import api
from dood_jax.errors import BadInput
from dood_jax.vectorize import batch
from dood_jax.vectorize.curves import InkStroke
from dood_jax.vectorize.drawing import InkDrawing

SVG = batch.Options(("svg",))


def vectorize(scan) -> InkDrawing:
    """A line across every image, unless its name asks for an error."""
    errors = {"bad": BadInput("it is bad"), "large": MemoryError(), "odd": RuntimeError("two\nlines")}
    if scan.ident in errors:
        raise errors[scan.ident]
    line = InkStroke(np.linspace([1, 1], [8, 8], 4), 1, False, 1)
    return InkDrawing(
        (line,), *scan.grey.shape[::-1], scan.source, 0.0, ("it is small",) * ("note" in scan.ident)
    )


def write(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9), 255).save(path)


def export(names, out, options=SVG):
    return batch.export(vectorize, batch.gather(names), options, out)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_outputs_tell_their_input(tmp_path):
    write(
        *(tmp_path / name for name in ("a/x.png", "b/x.png", "a/y.png", "a/Y.bmp", "a/z.png", "b/deep/w.png"))
    )
    names = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.png", tmp_path / "a" / "y.png"]
    export([*names, tmp_path / "a" / "Y.bmp", tmp_path / "a" / "z.png", tmp_path / "b"], tmp_path / "out")
    named = {"a-x.png.svg", "b-x.png.svg", "y.png.svg", "Y.bmp.svg", "z.svg", "deep/w.svg"}
    assert files_in(tmp_path / "out") == named  # b/x.png was given twice, and is drawn once
    assert "<title>x.png</title>" in (tmp_path / "out" / "a-x.png.svg").read_text()


def test_pages_never_share_a_name_with_a_file(tmp_path):
    write(tmp_path / "x-1.png", tmp_path / "x-2.png")
    page = Image.new("L", (9, 9), 255)
    page.save(tmp_path / "x.tif", save_all=True, append_images=[page])
    assert len(export([tmp_path], tmp_path / "out").counts) == 4
    assert len(files_in(tmp_path / "out")) == 4


def test_no_error_ends_the_job(tmp_path, capsys):
    write(*(tmp_path / f"{name}.png" for name in ("bad", "good", "large", "note", "odd")))
    outcome = export([tmp_path, tmp_path / "gone"], tmp_path / "out")
    assert files_in(tmp_path / "out") == {"good.svg", "note.svg"}
    said = capsys.readouterr()
    lines = [line.removeprefix("dood_jax: ").replace(f"{tmp_path}/", "") for line in said.err.splitlines()]
    assert lines == [
        "gone is not there; give files or folders",
        "bad.png: it is bad",
        "large.png: there is not enough memory; make it smaller",
        "note.png: it is small",
        "odd.png: it cannot be drawn (RuntimeError: two); please report this file",
    ]
    assert len(outcome.failures) == 4 and len(outcome.counts) == len(said.out.splitlines()) == 2


def test_nothing_is_overwritten_unless_asked(tmp_path, capsys):
    write(tmp_path / "a.png", tmp_path / "b.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.json").write_text("mine")
    both = batch.Options(("svg", "json"), quiet=True)
    assert "--overwrite" in export([tmp_path / "a.png", tmp_path / "b.png"], out, both).failures[0]
    assert files_in(out) == {"a.json", "b.svg", "b.json"} and (out / "a.json").read_text() == "mine"
    assert not export([tmp_path / "a.png"], out, both._replace(overwrite=True)).failures
    assert (out / "a.json").read_text() != "mine"
    assert capsys.readouterr().out == ""


def test_nothing_replaces_the_image_itself(tmp_path):
    picture = tmp_path / "still.gif"
    Image.new("L", (9, 9), 255).save(picture)
    whole = picture.read_bytes()
    options = batch.Options(("gif",), overwrite=True, quiet=True)
    assert "would replace the image itself" in export([picture], tmp_path, options).failures[0]
    assert picture.read_bytes() == whole
    assert not export([picture], tmp_path / "out", options).failures


def test_names_that_are_no_text_are_drawn_and_said(tmp_path, capsys):
    picture = os.fsencode(tmp_path) + b"/\xff.png"
    Image.new("L", (9, 9), 255).save(tmp_path / "x.png")
    os.rename(tmp_path / "x.png", picture)
    assert not export([os.fsdecode(picture)], tmp_path / "out").failures
    assert "\\udcff.png: 1 stroke" in capsys.readouterr().out


def test_groups_are_told_where_they_are_asked_for(tmp_path):
    write(tmp_path / "a.png")
    for groups in (False, True):
        export([tmp_path / "a.png"], tmp_path, batch.Options(("svg", "json"), True, True, groups=groups))
        assert ("character-1" in (tmp_path / "a.svg").read_text()) is groups
        assert ("character" in json.loads((tmp_path / "a.json").read_text())["strokes"][0]) is groups


def test_a_folder_that_cannot_be_written_is_said_for_each_file(tmp_path):
    write(tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / "out").write_text("a file")
    outcome = export([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "out")
    assert len(outcome.failures) == 2 and "give another folder" in outcome.failures[0]


def test_nothing_leaves_the_folder():
    namer = batch.Namer(Path("out"))
    for name in (
        "../../evil",
        "/etc/passwd",
        "..",
        ".hidden",
        "a\x00b",
        "a\\b",
        "",
        "x" * 900,
        "字" * 99,
        "con.svg/..",
    ):
        place = namer.place(Path(), name)
        assert place.parent == Path("out") and place.name.strip(".") and len(place.name.encode()) <= 200
    first, second = namer.place(Path(), "Same"), namer.place(Path(), "same")
    assert first != second and str(first).casefold() != str(second).casefold()


def test_random_pictures_are_drawn_or_refused_in_one_line(tmp_path, tiny, params):
    model = api.Model(tiny, params, None, {}, "tiny")
    for index in range(12):
        picture = ink_fuzz.write_picture(tmp_path, index, np.random.default_rng([7, index]), 60)
        assert ink_fuzz.run(model.vectorize, picture, tmp_path / "out").faults == [], picture.about


def test_a_shape_in_which_no_line_is_found_is_refused_in_one_line(tmp_path, tiny, params):
    model = api.Model(tiny, params, None, {}, "tiny")
    picture = ink_fuzz.write_picture(tmp_path, 700, np.random.default_rng([2, 700]), 400)
    assert ink_fuzz.run(model.vectorize, picture, tmp_path / "out").faults == []
    with pytest.raises(BadInput, match="without lines"):
        model.vectorize(picture.path)


@pytest.mark.slow
def test_many_random_pictures_are_drawn_or_refused_in_bounded_memory():
    command = [sys.executable, ink_fuzz.__file__, "--count=110", "--seed=7", "--side=300"]
    as_users_do = {**os.environ, "XLA_FLAGS": ""}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=as_users_do)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"Most memory (\d+) MB", done.stdout).group(1)) < 2000
