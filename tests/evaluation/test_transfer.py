"""The table of sources and targets: means over seeds, remembered cells, published numbers beside ours."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from dood_jax.evaluation import likelihood, transfer


@pytest.fixture
def measured(monkeypatch):
    """Stands in for the likelihood, which has tests of its own; counts its calls."""
    calls = []

    def measure(model, config, images, workdir, params):
        calls.append((model.name, config.data.name))
        assert images.shape == (5, 20, 20)
        nats = {"one": 10, "other": 30, "brushes": -5}[model.name] + (
            100 if config.data.name == "kmnist" else 0
        )
        values = {f"log_likelihood_{scale}": {"mean": nats, "stderr": 0.5} for scale in ("map", "canvas")}
        return {**values, "blank_canvas": -70.0, "l1": 1.5, "strokes": 2.0}, []

    monkeypatch.setattr(likelihood, "measure", measure)
    return calls


def test_cells_are_means_over_seeds_and_are_measured_once(models, config, tmp_path, measured):
    values = transfer.run(models, config, tmp_path)
    assert values["table"]["map"]["mnist"]["kmnist"] == {"mean": 120, "sd": 10, "n": 2, "stderr": 0.5}
    assert values["table"]["canvas"]["synthetic"]["mnist"] == {"mean": -5, "sd": 0, "n": 1, "stderr": 0.5}
    assert values["l1"]["mnist"]["mnist"] == {"mean": 1.5, "sd": 0, "n": 2}
    assert values["reduced"] == ["mnist"]  # 40 of 60,000 images
    assert len(measured) == 6
    assert transfer.run(models, config, tmp_path) == values
    assert len(measured) == 6


def test_results_are_json_a_table_and_two_heat_maps(models, config, tmp_path, measured):
    values = transfer.run(models, config, tmp_path)
    folder = tmp_path / "results"
    record = json.loads((folder / "transfer.json").read_text())
    assert record["values"] == values
    assert record["dataset"] == ["mnist", "kmnist"]
    assert record["checkpoint"] == ["one", "other", "brushes"] and record["step"] == [10, 11, 12]
    table = (folder / "transfer.md").read_text().splitlines()
    assert "| mnist† | map | 20 ± 10 | 120 ± 10 |" in table
    assert "| synthetic | canvas | -5 ± 0 | 95 ± 0 |" in table
    assert table[0] == "Nats an image of 20 × 20, 5 images a set, 2 particles; images compared as they are."
    assert not any("published DooD" in row for row in table)  # they are of another size
    of_50 = transfer.markdown(values, config, 50).splitlines()
    assert "| mnist† | published DooD, map | 7,094 | -2,859 |" in of_50
    assert "| mnist† | published AIR, map | 7,021 | -6,602 |" in of_50
    assert "| blank canvas | map | -70 | -70 |" in table
    for scale in ("map", "canvas"):
        assert np.asarray(Image.open(folder / f"transfer-{scale}.png")).std() > 10


def test_models_of_different_kinds_have_rows_of_their_own(models, config, tmp_path, measured):
    settings = {**models[1].meta["config"], "model": {"preset": "published"}}
    other = dataclasses.replace(models[1], meta={**models[1].meta, "config": settings})
    values = transfer.run([models[0], other], config, tmp_path)
    assert set(values["table"]["map"]) == {"mnist (one)", "mnist (other)"}
    assert values["reduced"] == ["mnist (one)", "mnist (other)"]


def test_other_images_are_measured_anew(models, config, tmp_path, measured):
    transfer.run(models[:1], config, tmp_path)
    settings = dataclasses.replace(config.evaluation, seed=1)
    transfer.run(models[:1], dataclasses.replace(config, evaluation=settings), tmp_path)
    assert len(measured) == 4
