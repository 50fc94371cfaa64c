"""Every number in the table of docs/invent.md is that of the file and key beside it, as rounded there."""

import functools
import json
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
ROWS = [
    [cell.strip() for cell in line.strip("| \n").split("|")]
    for line in (DOCS / "invent.md").read_text().splitlines()
    if line.startswith("| ")
][1:]


def test_there_are_numbers():
    assert len(ROWS) > 20 and all(len(row) == 3 for row in ROWS)


@pytest.mark.parametrize(("what", "value", "place"), ROWS)
def test_a_number_is_that_of_its_file(what, value, place):
    name, *keys = place.split()
    record = json.loads((DOCS / "results" / f"{name}.json").read_text())
    start = record if keys == ["seconds"] else record["values"]
    found = functools.reduce(lambda part, key: part[key], keys, start)
    decimals = len(value.partition(".")[2])
    assert f"{found:.{decimals}f}" == value, what


def test_figures_are_there_and_small():
    figures = sorted(DOCS.glob("invent-*.png"))
    assert len(figures) >= 5 and all(path.stat().st_size < 150_000 for path in figures)
