"""No result is of a model that is not shipped: each names the parameters that it was measured with."""

import json
import re
from pathlib import Path

import pytest
import result_tables

from dood_jax.checkpointing.arrays import checksum

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_NO_MODEL = ("rivals", "scaling", "vectorize")  # models trained for the comparison, none, rules alone
RECORDS = [path for path in sorted(RESULTS.glob("*.json")) if path.stem not in OF_NO_MODEL]
SHIPPED = {
    path.parent.name: checksum(json.loads(path.read_text()))
    for path in sorted((ROOT / "checkpoints").glob("*/card.json"))
}


def foreign(record: dict) -> list[str]:
    """What a record says of models that are not the shipped ones; nothing where it says nothing of any."""
    names = result_tables.as_list(record.get("checkpoint", []))
    sums = result_tables.as_list(record.get("checkpoint_sha256", []))
    if len(sums) != len(names):
        return [f"{len(names)} checkpoints, {len(sums)} checksums"]
    return [name for name, one in zip(names, sums, strict=True) if SHIPPED.get(name) != one]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_result_is_of_shipped_models_or_of_none(path):
    record = json.loads(path.read_text())
    assert "checkpoint" in record and not foreign(record)
    assert path.stem == "floors" or not record["commit"].endswith("-dirty")


def test_the_check_can_fail():
    record = json.loads((RESULTS / "transfer.json").read_text())
    assert not foreign(record)
    assert foreign({**record, "checkpoint_sha256": ["0" * 64, *record["checkpoint_sha256"][1:]]})
    assert foreign({**record, "checkpoint": ["runs/mine", *record["checkpoint"][1:]]})
    assert foreign({key: value for key, value in record.items() if key != "checkpoint_sha256"})


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_results_that_a_page_names_are_there(page):
    named = re.findall(r"results/([\w.-]+\.(?:json|jsonl))", page.read_text())
    assert all((RESULTS / name).is_file() for name in named), named


def test_the_mnist_model_keeps_its_likelihood():
    values = json.loads((RESULTS / "likelihood-mnist.json").read_text())["values"]
    assert values["log_likelihood_map"]["mean"] >= 7460


def test_the_readme_measures_likelihoods_alone():
    """Reconstruction besides takes twenty minutes without a word."""
    commands = re.findall(r"--mode=evaluate.*?\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert commands and any("--task=likelihood" in command for command in commands)


def test_the_tables_of_the_readme_are_those_of_the_results():
    assert result_tables.readme_table(RESULTS) in (ROOT / "README.md").read_text()
