"""The static site's files, as far as neither a network nor a browser is needed."""

import dataclasses
import json
import re
import stat

import build_site
import numpy as np
import pytest

from dood_jax.api import Model
from dood_jax.errors import BadInput, RunFailed
from dood_jax.rendering import source_grid

ADDRESS = re.compile(r"""(?:from |import |Scripts\(|fetch\(|register\(|src=|href=)["'`]([^"'`]+)["'`]""")


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    site = tmp_path_factory.mktemp("site") / "site"
    build_site._copy_page(site)
    return site


def test_the_page_names_files_of_the_site_alone_and_none_from_the_root(copied):
    texts = {path.name: path.read_text() for path in copied.iterdir() if path.suffix in (".js", ".html")}
    found = {(name, address) for name, text in texts.items() for address in ADDRESS.findall(text)}
    assert {("index.html", "page.js"), ("page.js", "./engine.js"), ("worker.js", "./prepare.js")} <= found
    written = {"site.json", "files.js", "examples.json", f"runtime/{build_site.PROGRAM}"}
    there = {path.name for path in copied.iterdir()} | written
    elsewhere = {(name, address) for name, address in found if address.removeprefix("./") not in there}
    assert {address for _, address in elsewhere} == {"drawing.json"}  # an example in a comment
    everything = "".join(texts.values()).replace("http://www.w3.org/", "")
    assert "http" not in re.sub(r"http-equiv", "", everything)


def test_the_engine_is_that_of_the_browser_and_the_policy_comes_first(copied):
    assert "worker.js" in (copied / "engine.js").read_text() and not (copied / "server_engine.js").exists()
    head = (copied / "index.html").read_text().partition("<title>")[0]
    assert f'content="{build_site.POLICY}"' in head
    assert head.index("Content-Security-Policy") < head.index("viewport")
    assert "unsafe-inline" not in build_site.POLICY and "unsafe-eval'" in build_site.POLICY.replace(
        "wasm-", ""
    )
    inline = re.compile(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)")
    assert not inline.search((copied / "index.html").read_text())  # which the policy would forbid


def test_both_engines_have_all_that_the_page_asks_for():
    page = (build_site.PAGE / "page.js").read_text()
    asked = set(re.findall(r"engine\.(\w+)", page)) - {"js"}
    assert asked == {"formats", "status", "draw", "sheetOf", "examples", "file"}
    for path in (build_site.PAGE / "server_engine.js", build_site.ENGINE / "browser_engine.js"):
        members = set(re.findall(r"^  (?:async )?(\w+)(?: = |\()", path.read_text(), re.MULTILINE))
        assert asked <= members, path.name


def test_the_matrices_of_a_model_do_what_python_does(model):
    found = build_site.description(dataclasses.replace(model, config=dataclasses.replace(model.config)))
    assert found["source_size"] == 28 and found["projection"] is None  # the tiny model has 20 pixels
    large = dataclasses.replace(model.config, image_size=50, source_size=28)
    found = build_site.description(dataclasses.replace(model, config=large))
    canvas = np.random.default_rng(0).uniform(size=(50, 50)).astype(np.float32)
    matrix = np.array(found["projection"])
    wanted = source_grid.nearest_enlarged(28, canvas)
    np.testing.assert_allclose(matrix @ canvas @ matrix.T, wanted, atol=1e-4)


def test_models_that_the_page_cannot_have_are_refused_at_once(model, tmp_path, monkeypatch):
    other = Model(
        dataclasses.replace(model.config, placement="glimpse"), {}, model.brush, model.meta, "other"
    )
    monkeypatch.setattr(build_site.api, "load", lambda name: other)
    with pytest.raises(BadInput, match=r"model\.placement='glimpse'"):
        build_site.build(tmp_path / "site", ["other"], None)
    with pytest.raises(BadInput, match="two would have the same address"):
        build_site.build(tmp_path / "site", ["other", "runs/other"], None)


def test_what_npm_brings_is_unpacked_only_with_the_right_checksum(monkeypatch, tmp_path):
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text('#!/bin/sh\nfor last; do :; done\necho other > "${last#*=}/package.tgz"\n')
    npm.chmod(npm.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(npm.parent), prepend=":")
    with pytest.raises(RunFailed, match="has the checksum sha512-"):
        build_site.fetch_runtime(tmp_path / "runtime")
    assert not (tmp_path / "runtime").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "--out"),
        (["--models=,", "--out=new"], 2, "--models names no model"),
        (["--models=nowhere", "--out=new"], 2, "nowhere"),
        (["--out=here"], 2, "--out=here is there already"),
        (["--models=mnist", "--out=new"], 1, "npm cannot be run (No such file or directory)"),
    ],
)
def test_what_cannot_be_built_is_one_line_and_leaves_nothing(
    monkeypatch, capsys, tmp_path, arguments, code, said
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "here").mkdir()
    with pytest.raises(SystemExit) as ended:
        build_site.main(arguments)
    line = capsys.readouterr().err
    assert ended.value.code == code and said in line and line.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_files_that_are_kept_at_once_are_all_but_models_and_the_binary(tmp_path):
    for name in ("index.html", "service_worker.js", "runtime/program.mjs", "models/mnist/infer.onnx"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "runtime" / build_site.BINARY).write_bytes(b"wasm")
    build_site._describe(tmp_path, ["mnist"])
    version, files = (
        json.loads(text.partition(" = ")[2].rstrip(";"))
        for text in (tmp_path / "files.js").read_text().splitlines()
    )
    assert files == ["./", "index.html", "site.json", f"runtime/{build_site.PROGRAM}"]
    assert json.loads((tmp_path / "site.json").read_text()) == {
        "version": version,
        "models": ["mnist"],
        "runtime_bytes": 4,
    }
    (tmp_path / "index.html").write_text("another")
    build_site._describe(tmp_path, ["mnist"])
    assert version not in (tmp_path / "files.js").read_text()
