"""The static site, built whole and served by a plain web server, in a browser.

Skipped where Chromium, npm or the exporter for ONNX cannot be had. `-s` shows sizes and seconds.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import build_site
import jax
import numpy as np
import pytest
from asking import png
from browsing import PHONE, downloaded, draw, drop, fact, message, opened, stroke_by_finger, wait_for
from PIL import Image

import dood_jax
from dood_jax.errors import RunFailed
from dood_jax.export.functions import functions_of
from dood_jax.model.prior import pleasing_spread

pytestmark = pytest.mark.slow
MODELS = ("mnist", "synthetic")
MOST_BYTES = 6e6  # of all files of a model
CORNER = [(0.3, 0.2), (0.3, 0.8), (0.7, 0.8)]
RUN = """async ([model, name, inputs]) => {
    const { engine } = await import("./engine.js");
    const found = await engine.run(model, name, inputs);
    return Object.fromEntries(Object.entries(found).map(([key, values]) => [key, Array.from(values)]));
}"""


@pytest.fixture(scope="module")
def folder(browser, tmp_path_factory) -> Path:
    """A folder that holds the site in a folder of its own."""
    scratch = tmp_path_factory.mktemp("site")
    try:
        build_site.fetch_runtime(scratch / "runtime")
        python = build_site.make_exporter(scratch / "exporter")
    except RunFailed as error:
        pytest.skip(str(error))
    out = scratch / "host" / "some" / "folder"
    build_site.main([f"--out={out}", f"--models={','.join(MODELS)}", f"--exporter-python={python}"])
    return scratch / "host"


def served(folder: Path):
    """The address of the site, by Python's own web server."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind=127.0.0.1", f"--directory={folder}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            host = re.search(r"http://[\d.:]+", server.stdout.readline()).group()
            yield f"{host}/some/folder/", server
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture(scope="module")
def address(folder):
    for found, _ in served(folder):
        yield found


@pytest.fixture
def page(browser, address):
    yield from opened(browser, address, viewport={"width": 1200, "height": 900})


def wait_until_ready(page) -> None:
    page.wait_for_selector("#status:text-is('ready')", timeout=120_000)


def test_what_is_drawn_is_drawn_again_varied_and_completed(page):
    draw(page, CORNER)
    wait_for(page, "redraw")
    strokes = int(fact(page, "strokes"))
    assert 1 <= strokes <= 6 and fact(page, "error") < 80
    for key, kind in (("v", "vary"), ("c", "complete")):
        page.keyboard.press(key)
        wait_for(page, kind)
        tiles = page.locator("#gallery button")
        assert 2 <= tiles.count() <= 8
        link = page.get_attribute("[data-format=svg]", "href")
        tiles.nth(1).click()
        assert page.get_attribute("[data-format=svg]", "href") != link
    assert fact(page, "strokes") > strokes  # of a completion


def test_a_drawing_can_be_saved(page):
    draw(page, CORNER)
    wait_for(page, "redraw")
    root = ElementTree.fromstring(downloaded(page, "svg"))
    paths = root.findall(".//{http://www.w3.org/2000/svg}path")
    assert len(paths) == fact(page, "strokes")
    points = np.concatenate(
        [np.array(re.findall(r"-?[\d.]+", path.get("d")), float).reshape(-1, 2) for path in paths]
    )
    assert np.abs(points.min(0) - [300, 200]).max() < 60 and np.abs(points.max(0) - [700, 800]).max() < 60
    assert len(json.loads(downloaded(page, "json"))["strokes"]) == len(paths)
    assert ElementTree.fromstring(downloaded(page, "inkml")).tag == "{http://www.w3.org/2003/InkML}ink"
    assert page.is_hidden("[data-format=gif]")


def test_it_goes_on_without_a_network(browser, folder):
    for address, server in served(folder):
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        wait_until_ready(page)
        assert page.evaluate("navigator.serviceWorker.ready.then(({ active }) => active.state)") in (
            "activating",
            "activated",
        )
        context.set_offline(True)
        server.terminate()
        server.wait(30)
        page.reload()
        draw(page, CORNER)
        wait_for(page, "redraw")
        assert fact(page, "error") < 80
        page.select_option("#model", "synthetic")  # which was not loaded
        assert "cannot be loaded; is there a network?" in message(page)
        context.close()


def test_models_are_loaded_when_they_are_chosen(page):
    asked = []
    page.context.on("request", lambda request: asked.append(request.url))
    wait_until_ready(page)
    assert not [url for url in asked if "/models/synthetic/" in url]
    page.select_option("#model", "synthetic")
    page.click("#by-hand button[title=house]")
    wait_for(page, "redraw")
    assert [url for url in asked if url.endswith("/models/synthetic/infer.onnx.gz")]


def test_what_is_no_image_or_too_large_is_refused_in_words(page):
    drop(page, "notes.txt", "text/plain", b"Dear model,\n")
    assert "notes.txt: This is no image" in message(page)
    file = io.BytesIO()
    Image.new("1", (8000, 6250), 1).save(file, "PNG")
    drop(page, "poster.png", "image/png", file.getvalue())
    said = "poster.png: 8000 x 6250 pixels are more than 20,000,000; make it smaller."
    page.wait_for_selector(f"#message:text-is('{said}')")
    draw(page, CORNER)
    page.keyboard.press("t")
    assert "Trace needs the server of this page" in message(page) and "dood demo" in message(page)


def test_an_image_is_dropped_and_drawn(page):
    y, x = np.mgrid[:300, :200]
    drop(page, "ring.png", "image/png", png(1.0 - (np.abs(np.hypot(x - 100, y - 150) - 60) < 6)))
    wait_for(page, "redraw")
    assert fact(page, "error") < 120
    page.click(".sets button >> nth=0")
    page.wait_for_selector("#facts", state="hidden")
    wait_for(page, "redraw")


def test_a_phone_shows_all_of_it_and_is_drawn_on_by_touch(browser, address):
    for page in opened(browser, address, **PHONE):
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        stroke_by_finger(page, (0.4, 0.2), (0.4, 0.8))
        wait_for(page, "redraw")
        assert page.evaluate("scrollY") == 0 and fact(page, "error") < 60


@pytest.mark.parametrize("name", MODELS)
def test_the_browser_computes_what_jax_does(page, name):
    """Dozens of iterations of `infer` amplify the rounding of some drawings, in JAX as well.

    So half of its drawings are near, and all of them fit their images as well in the mean.
    """
    model = dood_jax.load(name)
    functions = {one.name: one for one in functions_of(model.config)}
    call = {
        kind: jax.jit(lambda arrays, one=one: one.call(model.params, arrays))
        for kind, one in functions.items()
    }
    random = np.random.default_rng(0)
    off: dict[str, list[float]] = {kind: [] for kind in build_site.FUNCTIONS}
    fits = []
    for image in np.asarray(model.sample(12, spread=pleasing_spread(model.config)).canvases[:, -1]):
        given = {"image": image, "num_prefix_strokes": 1, "strength": 1}
        for kind in build_site.FUNCTIONS:
            inputs = {
                port.name: np.asarray(given.get(port.name, drawn_from(port, random)), port.dtype)
                for port in functions[kind].inputs
            }
            wanted = jax.device_get(call[kind](inputs))
            flat = {port: np.ravel(values).tolist() for port, values in inputs.items()}
            found = page.evaluate(RUN, [name, kind, flat])
            assert found["presence"] == wanted["presence"].tolist()
            points = (
                np.reshape(found["canvas_points"], wanted["canvas_points"].shape) - wanted["canvas_points"]
            )
            off[kind].append(np.abs(points[wanted["presence"] > 0]).max(initial=0))
            if kind == "infer":  # what is drawn is completed and varied
                given.update(as_inputs(wanted))
                canvases = np.reshape(found["canvases"], wanted["canvases"].shape), wanted["canvases"]
                fits.append([np.abs(image - one[-1]).sum() for one in canvases])
    for kind, errors in off.items():
        print(f"{name}, {kind}: points differ by {np.median(errors):.1e} (median), {max(errors):.1e} (most)")
        assert np.quantile(errors, 0.5 if kind == "infer" else 1) < 1e-3
    in_browser, in_jax = np.mean(fits, 0)
    assert in_browser == pytest.approx(in_jax, rel=0.05)


def drawn_from(port, random: np.random.Generator) -> np.ndarray:
    """Noise for an input, or its default."""
    draw_of = {"uniform in 0..1": random.uniform, "standard normal": random.standard_normal}
    if port.distribution:
        return draw_of[port.distribution](size=port.shape)
    return np.full(port.shape, np.nan if port.default is None else port.default)


def as_inputs(drawn: dict) -> dict:
    """Outputs of a function by the names that they have as inputs of another."""
    of_strokes = ("presence", "layout", "control_points")
    return {f"{'strokes' if name in of_strokes else 'brush'}_{name}": value for name, value in drawn.items()}


def test_a_model_is_small(folder):
    for name in MODELS:
        files = (folder / "some" / "folder" / "models" / name).iterdir()
        size = sum(path.stat().st_size for path in files)
        print(f"{name}: {size / 1e6:.2f} MB")
        assert size <= MOST_BYTES
    runtime = folder / "some" / "folder" / "runtime"
    assert "Microsoft" in (runtime / build_site.LICENCE).read_text()
    print(f"runtime: {sum(path.stat().st_size for path in runtime.iterdir()) / 1e6:.2f} MB")


def test_how_long_it_takes(browser, address):
    """Prints seconds, and asserts none."""
    context = browser.new_context()
    page = context.new_page()
    started = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("#model option", state="attached")
    print(f"interactive after {time.perf_counter() - started:.2f} s")
    wait_until_ready(page)
    print(f"the first model is ready after {time.perf_counter() - started:.2f} s")
    page.uncheck("#live")
    draw(page, CORNER)
    for key, kind in 5 * [("r", "redraw")] + [("v", "vary"), ("c", "complete")]:
        page.keyboard.press(key)
        page.wait_for_selector(".working", state="attached")
        page.wait_for_selector(".working", state="detached")
        print(f"{kind}: {fact(page, 'seconds'):.2f} s")
    context.close()


def test_a_drawing_is_put_into_any_page(browser, tmp_path, model):
    """By one file, without a framework."""
    sketch = model.infer(np.random.default_rng(0).uniform(size=(1, 20, 20)).astype(np.float32))
    (ink,) = model.to_ink(sketch, 240)
    host = tmp_path / "some" / "folder"
    host.mkdir(parents=True)
    shutil.copy(build_site.PAGE / "player.js", host)
    (host / "drawing.json").write_text(ink.to_json())
    policy = '<meta http-equiv="Content-Security-Policy" content="default-src \'self\'">'
    script = '<script type="module" src="player.js"></script>'
    shown = "".join(f"<dood-drawing src='{name}'></dood-drawing>" for name in ("drawing.json", "none.json"))
    (host / "index.html").write_text(f"<!doctype html>{policy}{script}<p>Before.</p>{shown}")
    for address, _ in served(tmp_path):
        page = browser.new_context().new_page()
        page.goto(address)
        playing = page.locator("dood-drawing >> nth=0")
        count = len(ink.strokes)
        playing.locator(f"output:text-is('stroke {count} of {count}')").wait_for(timeout=30_000)
        paths = playing.locator("path[visibility=visible]")
        assert paths.count() == count
        box = paths.first.evaluate("path => [path.getBBox().x, path.getBBox().y]")
        points = ink.strokes[0].points()
        assert np.abs(np.array(box) - points.min(0)).max() < 1
        assert playing.locator("svg").get_attribute("viewBox") == "0 0 240 240"
        playing.locator("input").focus()
        page.keyboard.press("ArrowLeft")
        assert paths.count() == count - 1
        refused = page.locator("dood-drawing >> nth=1")
        assert "none.json cannot be shown: the host answers 404" in refused.evaluate(
            "one => one.shadowRoot.textContent"
        )
        page.context.close()
