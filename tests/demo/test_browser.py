"""The page in a browser, before the released models: pointer, keyboard, touch, drops, downloads, a phone.

Any Chromium will do: the system's, or the one that Playwright installs.
"""

import io
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from asking import png
from browsing import PHONE, downloaded, draw, drop, fact, message, opened, stroke_by_finger, wait_for
from PIL import Image

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

expect = playwright.expect
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
_START_SECONDS = 900  # while the compiler works, on a busy machine


@pytest.fixture(scope="module")
def address():
    """Of a server in a process of its own, warm for its first model."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DOOD_DATA_DIR", "XLA_FLAGS")}
    environment = {**kept, "PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "1"}
    command = [sys.executable, "-m", "dood_jax.cli", "demo", "--port=0", "--checkpoint=synthetic,mnist"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            found = re.search(r"http://[\d.:]+", server.stdout.readline()).group()
            wait_until_warm(found)
            yield found
        finally:
            server.terminate()
            server.wait(30)


def wait_until_warm(address: str) -> None:
    request = urllib.request.Request(f"{address}/api/status", headers={"x-dood-client": "test"})
    for _ in range(_START_SECONDS):
        with urllib.request.urlopen(request) as response:
            if not json.load(response)["compiling"]:
                return
        time.sleep(1)
    raise AssertionError("the server does not get ready")


@pytest.fixture
def page(browser, address):
    yield from opened(browser, address, viewport={"width": 1200, "height": 900})


@pytest.fixture
def phone(browser, address):
    yield from opened(browser, address, **PHONE)


def test_what_is_drawn_is_drawn_again_by_itself_and_can_be_saved(page):
    draw(page, [(0.3, 0.2), (0.3, 0.8), (0.7, 0.8)])
    wait_for(page, "redraw")
    strokes = int(fact(page, "strokes"))
    assert 1 <= strokes <= 10 and fact(page, "nats") > 5000 and fact(page, "error") < 80
    root = ElementTree.fromstring(downloaded(page, "svg"))
    paths = root.findall(".//{http://www.w3.org/2000/svg}path")
    assert len(paths) == strokes
    points = np.concatenate(
        [np.array(re.findall(r"-?[\d.]+", path.get("d")), float).reshape(-1, 2) for path in paths]
    )
    assert np.abs(points.min(0) - [300, 200]).max() < 60 and np.abs(points.max(0) - [700, 800]).max() < 60
    assert ElementTree.fromstring(downloaded(page, "inkml")).tag == "{http://www.w3.org/2003/InkML}ink"
    assert len(json.loads(downloaded(page, "json"))["strokes"]) == strokes


def test_strokes_appear_one_after_the_other_with_their_window(page):
    draw(page, [(0.3, 0.2), (0.3, 0.8), (0.7, 0.8)], [(0.6, 0.2), (0.8, 0.5)])
    wait_for(page, "redraw")
    count = int(fact(page, "strokes"))
    visible = "#strokes path[visibility=visible]"
    expect(page.locator("#step")).to_have_text(f"stroke {count} of {count}", timeout=30_000)
    assert page.locator(visible).count() == count
    page.focus("#steps")
    for left in range(count - 1, 0, -1):
        page.keyboard.press("ArrowLeft")
        assert page.locator(visible).count() == left
        assert page.get_attribute("#strokes polygon", "visibility") == "visible"
    page.uncheck("#window")
    assert page.get_attribute("#strokes polygon", "visibility") == "hidden"


@pytest.mark.parametrize("kind", ["vary", "complete"])
def test_several_drawings_can_be_looked_at(page, kind):
    draw(page, [(0.4, 0.2), (0.4, 0.8)])
    wait_for(page, "redraw")
    page.keyboard.press(kind[0])
    wait_for(page, kind)
    tiles = page.locator("#gallery button")
    assert 2 <= tiles.count() <= 8
    shown = lambda: page.locator("#strokes path").evaluate_all(
        "paths => paths.map((p) => p.getAttribute('d'))"
    )
    first = shown()
    link = page.get_attribute("[data-format=svg]", "href")
    tiles.nth(1).click()
    assert shown() != first and page.get_attribute("[data-format=svg]", "href") != link


def test_every_line_is_traced(page):
    draw(page, *[[(0.15 + 0.06 * i, 0.2), (0.15 + 0.06 * i, 0.8)] for i in range(0, 12, 2)])
    page.keyboard.press("t")
    wait_for(page, "trace")
    assert fact(page, "strokes") == 6


def test_another_model_draws_what_is_there(page):
    draw(page, [(0.3, 0.2), (0.3, 0.8), (0.7, 0.8)])
    wait_for(page, "redraw")
    before = fact(page, "nats")
    page.select_option("#model", "mnist")
    expect(page.locator("#facts")).not_to_contain_text(f"{before:,.0f}", timeout=60_000)
    assert fact(page, "nats") != before


def test_an_image_is_dropped_and_drawn(page):
    y, x = np.mgrid[:300, :200]
    ring = np.abs(np.hypot(x - 100, y - 150) - 60) < 6
    drop(page, "ring.png", "image/png", png(1.0 - ring))
    wait_for(page, "redraw")
    assert fact(page, "error") < 120
    drawn = "#strokes path"
    boxes = page.locator(drawn).evaluate_all("paths => paths.map((p) => p.getBBox()).map((b) => [b.x, b.y])")
    assert np.abs(np.min(boxes, 0) - 140).max() < 90  # the ring fills 76 of 100
    expect(page.locator("#sheet")).to_have_class("drawn")


def test_what_is_no_image_or_too_large_is_refused_in_words(page):
    drop(page, "notes.txt", "text/plain", b"Dear model,\n")
    assert "notes.txt: This is no image" in message(page)
    file = io.BytesIO()
    Image.new("1", (8000, 6250), 1).save(file, "PNG")
    drop(page, "poster.png", "image/png", file.getvalue())
    said = "poster.png: 8000 x 6250 pixels are more than 20,000,000; make it smaller."
    expect(page.locator("#message")).to_have_text(said, timeout=60_000)
    drop(page, "film.bin", "image/png", b"\0" * (12 * 2**20 + 1))
    expect(page.locator("#message")).to_contain_text("give an image of up to 12 MB")
    page.click("#clear")
    page.keyboard.press("r")
    assert message(page) == "Draw something first."


def test_one_draws_by_keyboard_alone(page):
    page.focus("#sheet")
    page.keyboard.press("Space")
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    wait_for(page, "redraw")
    box = page.locator("#strokes path").first.bounding_box()
    assert box["height"] > 2 * box["width"]


def test_lines_can_be_taken_back(page):
    page.uncheck("#live")
    draw(page, [(0.3, 0.2), (0.3, 0.8)], [(0.5, 0.2), (0.5, 0.8)])
    inked = lambda: page.evaluate(
        """() => {
          const canvas = document.querySelector("#paper");
          const { data } = canvas.getContext("2d").getImageData(0, 240, 480, 1);
          return [144, 240].map((x) => data[4 * x] < 128);
        }"""
    )
    assert inked() == [True, True]
    page.keyboard.press("z")
    assert inked() == [True, False]
    page.keyboard.press("Backspace")
    assert inked() == [False, False] and page.is_visible("#hint")


def test_a_phone_shows_all_of_it_and_is_drawn_on_by_touch(phone):
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    box = phone.locator("#sheet").bounding_box()
    assert box["width"] > 320
    stroke_by_finger(phone, (0.4, 0.2), (0.4, 0.8))
    wait_for(phone, "redraw")
    assert phone.evaluate("scrollY") == 0 and fact(phone, "error") < 60
    assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_examples_are_drawn_by_a_click(page):
    page.click("#by-hand button[title=house]")
    wait_for(page, "redraw")
    assert fact(page, "strokes") >= 3
    page.click(".sets button >> nth=0")
    expect(page.locator("#facts")).to_be_hidden()
    wait_for(page, "redraw")
