"""Photographs the page of `dood demo`, and its static site, with the models that are released now.

    dood demo --checkpoint=synthetic,mnist,emnist &
    python tools/screenshots.py demo http://127.0.0.1:8000
    python tools/screenshots.py site http://127.0.0.1:8001

Writes `docs/demo.png`, or `docs/site.png` and `docs/site-phone.png`. Needs Playwright, and a Chromium: the
one at $CHROMIUM, or else the one that Playwright installed.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

DOCS = Path(__file__).parents[1] / "docs"
SHOTS = {  # what is photographed -> file, window, example, what the model does, share that is played
    "demo": [("demo.png", (1180, 820), 6, "vary", 0.76)],
    "site": [
        ("site.png", (1100, 850), 6, "complete", 1.0),
        ("site-phone.png", (375, 700), 0, "redraw", 1.0),
    ],
}
MODEL = "synthetic"
_WAIT = 600_000  # milliseconds, while programs are compiled


def main(arguments: Sequence[str]) -> int:
    """Takes the pictures of one of the two."""
    what, address = arguments if len(arguments) == 2 else ("", "")
    if what not in SHOTS:
        sys.stderr.write(
            f"screenshots.py: {' '.join(arguments)!r}; give {' or '.join(SHOTS)}, and an address\n"
        )
        return 2
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM"), args=["--no-sandbox"]
        )
        for name, size, example, kind, share in SHOTS[what]:
            photograph(browser, address, DOCS / name, size, example, kind, share)
    return 0


def photograph(
    browser: Browser, address: str, path: Path, size: tuple[int, int], example: int, kind: str, share: float
) -> None:
    """An example of the page, what the model makes of it, and the strokes up to a share of the time."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.set_default_timeout(_WAIT)
    page.goto(address)
    page.wait_for_selector("#model option", state="attached")
    page.select_option("#model", MODEL)
    page.locator("#by-hand button").nth(example).click()
    page.click(f"[data-kind={kind}]")
    page.wait_for_selector(f"[data-kind={kind}][aria-pressed=true]")
    page.wait_for_selector("#play:enabled")
    page.wait_for_timeout(8_000)  # the drawing is played, and the examples are generated
    page.locator("#steps").evaluate(
        """(steps, share) => {
          steps.value = steps.max * share;
          steps.dispatchEvent(new Event("input"));
        }""",
        share,
    )
    page.evaluate("window.scrollTo(0, 0)")
    page.wait_for_timeout(500)
    page.screenshot(path=path)
    page.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
