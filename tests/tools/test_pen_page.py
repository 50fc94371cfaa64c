"""The page on strokes of people holds what was measured, and nothing else."""

import json
from pathlib import Path

import pen_page
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def record():
    return json.loads((ROOT / "docs" / "results" / "pen.json").read_text())


@pytest.fixture
def groups():
    return json.loads((ROOT / "docs" / "results" / "groups.json").read_text())


def test_the_page_is_up_to_date(record, groups):
    assert pen_page.page(record, groups) == (ROOT / "docs" / "pen.md").read_text()


def test_every_set_has_a_row_for_every_tool_that_was_measured(record, groups):
    lines = pen_page.page(record, groups).splitlines()
    for name, tables in record["sets"].items():
        start = lines.index(f"## {pen_page._TITLES[name]}")
        rows = [
            line.split(" | ")[0].removeprefix("| ") for line in lines[start + 4 : start + 4 + len(tables)]
        ]
        assert rows == list(tables)


def test_a_cell_is_a_mean_and_its_error():
    values = {"order": [0.876, 0.012], "ldtw": [0.0512, 0.004]}
    assert pen_page.cell(values, "order") == "0.88 ± 0.01"
    assert pen_page.cell(values, "ldtw") == "5.1 ± 0.4"
    assert pen_page.cell(values, "direction") == "–"


def test_groups_have_a_row_for_every_alphabet(groups):
    rows = pen_page.of_groups(groups["sets"]).splitlines()[2:]
    assert len(rows) == len(groups["sets"])
    assert rows[0].split(" | ")[1:2] == [pen_page.cell(groups["sets"]["futural"], "lines")]
