"""How the tests use the page in a browser."""

import base64
from pathlib import Path

import numpy as np

PHONE = {"viewport": {"width": 375, "height": 700}, "has_touch": True, "is_mobile": True}


def opened(browser, address: str, **shape):
    """The page; nothing fails on it, and nothing is asked of anybody else."""
    context = browser.new_context(**shape)
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda one: one.url.startswith((address, "blob:", "data:")) or wrong.append(one.url))
    page.goto(address)
    page.wait_for_selector("#model option", state="attached")
    yield page
    context.close()
    assert wrong == []


def draw(page, *lines) -> None:
    """Lines of (x, y), 0..1 of the sheet, by the mouse."""
    box = page.locator("#sheet").bounding_box()
    place = lambda point: (box["x"] + point[0] * box["width"], box["y"] + point[1] * box["height"])
    for line in lines:
        page.mouse.move(*place(line[0]))
        page.mouse.down()
        for point in line[1:]:
            page.mouse.move(*place(point), steps=12)
        page.mouse.up()


def wait_for(page, kind: str) -> None:
    page.wait_for_selector(f"[data-kind={kind}][aria-pressed=true]", timeout=60_000)


def fact(page, name: str) -> float:
    row = page.locator("#facts div", has=page.locator(f"dt:text-is('{name}')"))
    return float(row.locator("dd").inner_text().replace(",", ""))


def message(page) -> str:
    page.wait_for_selector("#message:not([hidden])", timeout=60_000)
    return page.inner_text("#message")


def downloaded(page, kind: str) -> str:
    with page.expect_download() as download:
        page.click(f"[data-format={kind}]")
    return Path(download.value.path()).read_text()


def drop(page, name: str, kind: str, data: bytes) -> None:
    """As a file from the desktop."""
    page.evaluate(
        """([name, type, data]) => {
          const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name, { type }));
          const event = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
          document.querySelector("#sheet").dispatchEvent(event);
        }""",
        [name, kind, base64.b64encode(data).decode()],
    )


def stroke_by_finger(page, start, end) -> None:
    """A line between two (x, y), 0..1 of the sheet, by touch."""
    box = page.locator("#sheet").bounding_box()
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points) -> None:
        places = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in points]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    touch("touchStart", start)
    for point in np.linspace(start, end, 13)[1:].tolist():
        touch("touchMove", point)
    touch("touchEnd")
