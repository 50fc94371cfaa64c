"""One command measures a release: its records are those of docs/results, measured as their files say."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import measure
import pytest

from dood_jax.config.resolving import resolve

ROOT = Path(__file__).parents[2]
OTHERWISE = {"floors", "groups", "pen", "rivals", "scaling", "vectorize", "seeds-mnist"}
RECORDS = {path.stem: path for path in (ROOT / "docs" / "results").glob("*.json")}


def configured(record: measure.Record) -> dict:
    """The settings that a record's command resolves to."""
    config = importlib.import_module(f"configs.{record.config}").get_config()
    for key, value in record.settings.items():
        group, name = key.split(".")
        config[group][name] = value
    return resolve(config).as_dict()


def test_every_record_of_the_pages_is_measured_by_a_command():
    assert set(RECORDS) - OTHERWISE == set(measure.all_records())


@pytest.mark.parametrize(
    "name", [name for name in RECORDS if name.startswith(("likelihood", "transfer", "lying"))]
)
def test_a_bound_is_measured_as_its_file_says(name):
    record, stored = measure.all_records()[name], json.loads(RECORDS[name].read_text())
    ours = configured(record)
    assert stored["task"] == record.task
    assert ours["evaluation"]["num_images"] in (stored["n"], 0)
    assert stored["checkpoint"] == record.checkpoint
    assert {key: ours["evaluation"][key] for key in stored["config"]["evaluation"]} == stored["config"][
        "evaluation"
    ]
    assert stored["config"]["data"]["transpose"] == ours["data"]["transpose"]
    assert (stored["config"]["model"]["source_size"] == 0) == ("model.source_size" in record.settings)
    assert stored["config"]["model"].get("newton_steps", 0) == record.settings.get("model.newton_steps", 0)


def test_a_record_of_another_model_is_measured_again(tmp_path):
    assert measure.is_current(RECORDS["transfer-mnist"])
    record = json.loads(RECORDS["transfer-mnist"].read_text())
    record["checkpoint_sha256"] = "0" * 64
    (tmp_path / "transfer.json").write_text(json.dumps(record))
    assert not measure.is_current(tmp_path / "transfer.json")
    assert not measure.is_current(tmp_path / "missing.json")


def test_the_command_shows_what_it_would_run_and_refuses_what_is_no_record():
    call = lambda *given: subprocess.run(
        [sys.executable, ROOT / "tools" / "measure.py", *given], capture_output=True, text=True, check=False
    )
    shown = call("--show", "fid-kmnist")
    assert shown.returncode == 0
    assert shown.stdout.strip() == (
        "fid-kmnist: python -m dood_jax.main --config=configs/kmnist.py"
        " --mode=evaluate --task=fid --checkpoint=kmnist"
    )
    refused = call("fid-cats")
    assert refused.returncode == 2 and refused.stderr.startswith(
        "fid-cats is no record; choose from completion-mnist,"
    )
