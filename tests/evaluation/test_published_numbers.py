"""The published numbers are those of the tables that they were taken from."""

import re

import pytest

from dood_jax.evaluation import published_results

TABLES = {"DooD": "### 11.1", "AIR": "### 11.2"}


def rows_of(text: str, heading: str) -> dict[str, list[str]]:
    """Cells of the rows of the first table under a heading."""
    section = text.partition(heading)[2].partition("\n### ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {row[0].split()[0].lower(): row[1:] for row in reversed(rows)}  # of two alike the first


@pytest.mark.parametrize("model", TABLES)
def test_likelihoods_are_those_of_the_tables(specification, model):
    rows = rows_of(specification, TABLES[model])
    if model == "DooD":
        rows["synthetic"] = rows_of(specification, "### 11.3")["synthetic"]
    ours = published_results.numbers()["likelihood"][model]
    assert set(ours) == set(rows) - {"source"}
    for source, row in ours.items():
        wanted = [
            re.findall(r"[−\d.]+", cell.replace("−", "-").replace("-", "−")) for cell in rows[source][:5]
        ]
        number = lambda text: float(text.replace("−", "-"))
        assert row["mean"] == [number(mean) for mean, _ in wanted]
        assert row["sd"] == [number(sd) for _, sd in wanted]
        assert row["runs"] == int(re.findall(r"\d+", rows[source][5])[0])


def test_a_number_is_found_by_model_source_and_target():
    assert published_results.log_likelihood("DooD", "mnist", "kmnist") == -2859.4
    assert published_results.log_likelihood("AIR", "synthetic", "mnist") is None
    assert published_results.log_likelihood("DooD", "mnist", "folder") is None
