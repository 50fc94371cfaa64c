"""The published numbers are those of the tables that they were taken from."""

import json
from pathlib import Path

import numpy as np
import pytest

from dood_jax.evaluation import results

TABLES = json.loads((Path(__file__).parents[1] / "golden" / "published_tables.json").read_text())
SEEDS = TABLES["DooD, one row a seed"]


@pytest.mark.parametrize("source", SEEDS)
def test_means_and_deviations_of_the_paper_are_those_of_its_seeds(source):
    row, seeds = results.published()["likelihood"]["DooD"][source], np.array(SEEDS[source])
    assert row["runs"] == len(seeds)
    np.testing.assert_allclose(row["mean"], seeds.mean(0), atol=0.1)
    np.testing.assert_allclose(row["sd"], seeds.std(0), atol=0.1)


@pytest.mark.parametrize("model", TABLES["means and deviations"])
def test_rows_without_seeds_are_those_of_the_tables(model):
    ours = results.published()["likelihood"][model]
    theirs = TABLES["means and deviations"][model]
    assert set(ours) == set(theirs) | (set(SEEDS) if model == "DooD" else set())
    assert {source: ours[source] for source in theirs} == theirs


def test_a_number_is_found_by_model_source_and_target():
    assert results.published_log_likelihood("DooD", "mnist", "kmnist") == -2859.4
    assert results.published_log_likelihood("AIR", "synthetic", "mnist") is None
    assert results.published_log_likelihood("DooD", "mnist", "folder") is None
