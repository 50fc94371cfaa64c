"""The table of ratios: every group runs at tiny size and gives whole rows."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def run():
    spec = importlib.util.spec_from_file_location("run", BENCHMARKS / "run.py")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(BENCHMARKS))  # as when it is run as a command
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def small(run, monkeypatch):
    """Pictures of the size of the tiny model, few particles."""
    monkeypatch.setattr(run, "SIZE", (20, 20))
    monkeypatch.setattr(run, "PARTICLES", 2)
    run.pictures.cache_clear()
    yield run
    run.pictures.cache_clear()


@pytest.mark.parametrize("group", ["brushes", "infer", "likelihood", "refine"])
def test_rows_are_whole(small, tiny, group):
    rows = small.table([group], tiny, 2, 2)
    assert rows and rows[0]["ratio"] == rows[0]["core_ratio"] == 1
    forms = {(row["group"], row["form"]) for row in rows}
    assert len(forms) == len(rows)
    for row in rows:
        numbers = [value for value in row.values() if not isinstance(value, str)]
        assert len(numbers) == 5 and np.isfinite(numbers).all()
        assert row["milliseconds"] > 0 and row["ratio"] > 0 and row["memory_mib"] >= 0
        assert (row["group"], row["against"]) in forms


def test_every_target_is_of_a_row(small, tiny):
    rows = small.table(["brushes", "likelihood", "refine"], tiny, 1, 1)
    groups = {row["group"] for row in rows}
    assert {(row["group"], row["form"]) for row in rows if row["target"]} == {
        target for target in small.TARGETS if target[0] in groups
    }


def test_a_row_is_held_against_the_form_it_names(run):
    rows = [
        {"form": "a", "against": "", "milliseconds": 6.0, "core_milliseconds": 8.0},
        {"form": "b", "against": "", "milliseconds": 2.0, "core_milliseconds": 2.0},
        {"form": "c", "against": "b", "milliseconds": 1.0, "core_milliseconds": 4.0},
    ]
    assert [row["ratio"] for row in run.timing.compared(rows)] == [1, 3, 2]
    assert [row["core_ratio"] for row in rows] == [1, 4, 0.5]


def test_json_is_whole(small, tmp_path):
    small.timing.save(tmp_path / "rows.json", [{"group": "g", "form": "f"}], rounds=2)
    saved = json.loads((tmp_path / "rows.json").read_text())
    assert saved["rows"] == [{"group": "g", "form": "f"}] and saved["rounds"] == 2
    assert {"device", "commit", "jax", "jaxlib", "numpy"} <= set(saved)


def test_brushes_as_written_paint_what_ours_paint(run):
    random = np.random.default_rng(0)
    curve = (0.5 + np.cumsum(random.normal(0, 0.02, (24, 2)), axis=0)).astype(np.float32)
    for written, ours in (
        (run.splat_as_written, run.brushes.splat),
        (run.distance_as_written, run.brushes.distance),
    ):
        np.testing.assert_allclose(
            written(curve, 0.02, (30, 20)), ours(curve, np.float32(0.02), (30, 20)), atol=2e-4
        )
