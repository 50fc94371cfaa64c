"""Records of results, and the published numbers, which are those of the tables that they were taken from."""

import dataclasses
import importlib.metadata
import json
from pathlib import Path

import distrax
import numpy as np
import optax
import pytest

from dood_jax.evaluation import release, results

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


def test_libraries_without_metadata_are_asked_for_their_version_or_left_out(monkeypatch):
    """As in a checkout whose libraries were copied and not installed."""
    version = importlib.metadata.version

    def installed(name: str) -> str:
        if name in ("optax", "distrax"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", installed)
    monkeypatch.delattr(distrax, "__version__")
    found = results.dependency_versions()
    assert found["optax"] == optax.__version__ and found["jax"] == version("jax")
    assert "distrax" not in found


def test_names_say_how_settings_differ(models, config):
    evaluation = dataclasses.replace(config.evaluation, optimize_steps=3, brush_bits=6, revisions=2)
    asked = dataclasses.replace(config, evaluation=evaluation)
    with_size = dataclasses.replace(models[0], config=dataclasses.replace(models[0].config, source_size=10))
    assert results.suffix(config, models) == ""
    assert results.suffix(asked, [*models, with_size]) == "-source-size-10-revised-optimized-brush-bits"
    stored = models[0].meta["config"]
    trained_with = {**stored, "model": {**stored["model"], "source_size": 10}}
    without = dataclasses.replace(models[0], meta={**models[0].meta, "config": trained_with})
    assert results.suffix(config, [without]) == "-without-source-size"
    trained_with = {**stored, "model": {**stored["model"], "iterations": 5}}
    fewer = dataclasses.replace(models[0], meta={**models[0].meta, "config": trained_with})
    changed = {"iterations": 2, "newton_steps": 9, "settle": True, "brush": "soft_distance"}
    fewer = dataclasses.replace(fewer, config=dataclasses.replace(fewer.config, **changed))
    assert results.suffix(config, [fewer]) == "-iterations-2-newton-steps-9"


def test_a_card_names_no_folder_or_machine():
    given = ["--config=configs/mnist.py", "--workdir", "/home/ann/x", "-config.data.dir=/home/ann/data"]
    given += ["--config.training.coordinator=node0:1234", "--config.training.steps", "5"]
    kept = ["--config=configs/mnist.py", "--config.training.steps", "5"]
    assert release._without_local_flags(given) == kept
