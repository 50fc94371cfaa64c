"""The table of docs/generation.md is made of the files beside it; released models keep what they can do."""

import json
from pathlib import Path

import pytest
import result_tables

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "results"


def values(task: str, name: str = "mnist") -> dict:
    return json.loads((RESULTS / f"{task}-{name}.json").read_text())["values"]


def test_the_table_is_up_to_date():
    assert result_tables.generation_table(RESULTS) in (DOCS / "generation.md").read_text()


@pytest.mark.parametrize("name", [*result_tables.SETS, "synthetic"])
def test_generation_was_measured_of_the_model_of_every_set(name):
    record = json.loads((RESULTS / f"fid-{name}.json").read_text())
    assert record["checkpoint"] == name and record["n"] >= 500


def test_the_mnist_model_has_not_forgotten_how_to_generate():
    """A model that drew doubled digits had a ratio of 11.5, and .69 of its completions kept their class."""
    assert values("fid")["ratio"] <= 1.7
    assert values("completion")["class_consistency"] >= 0.83
    assert values("fid")["confident"] >= 0.88


def test_a_number_that_was_not_measured_is_a_dash(tmp_path):
    (tmp_path / "fid-mnist.json").write_text(json.dumps({"values": {"ratio": 1.234}}))
    table = result_tables.generation_table(tmp_path)
    assert "| … ratio | 1.23 | – | – | – | – | – |" in table


def test_figures_are_there_and_small():
    figures = sorted(DOCS.glob("generation-*.png"))
    assert len(figures) >= 3 and all(path.stat().st_size < 150_000 for path in figures)
