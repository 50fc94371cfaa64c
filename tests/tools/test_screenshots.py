"""What is photographed, and the answer to wrong arguments."""

import pytest

pytest.importorskip("playwright", reason="playwright is not installed")

import screenshots


def test_what_is_no_page_is_refused_in_a_line(capsys):
    assert screenshots.main(["demos", "http://127.0.0.1:1"]) == 2
    assert "'demos http://127.0.0.1:1'; give demo or site, and an address" in capsys.readouterr().err


def test_the_pictures_are_those_that_pages_show():
    shown = "".join((screenshots.DOCS / name).read_text() for name in ("demo.md", "site.md"))
    for shots in screenshots.SHOTS.values():
        for name, *_ in shots:
            assert f"]({name})" in shown and (screenshots.DOCS / name).is_file()
