"""The record of seeds: runs are measured as released models are, and one of them is the released one."""

import json
import shutil

import measure
import pytest
import seeds

from dood_jax.checkpointing.metadata import CARD_FILE
from dood_jax.checkpointing.restore import checksum


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """What was measured, as (task, run, config, settings); the numbers tell the runs apart."""
    calls = []

    def measure_one(name, record):
        run = record.checkpoint.split("/")[-2]
        calls.append((record.task, run, record.config, dict(record.settings)))
        nats = 7000.0 + int(run[-1])
        values = {
            "transfer": {"table": {"map": {"mnist": nats}}, "l1": {"mnist": nats / 100}},
            "fid": {"ratio": nats / 1000},
            "completion": {"class_consistency": nats / 10000},
        }
        (tmp_path / f"{name}.json").write_text(json.dumps({"values": values[record.task]}))
        return 0

    monkeypatch.setattr(measure, "measure", measure_one)
    monkeypatch.setattr(measure, "WORKDIR", tmp_path)
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    monkeypatch.setattr(measure, "ROOT", tmp_path)
    monkeypatch.setattr(seeds, "commit", lambda: "abc1234")
    monkeypatch.setattr(seeds.os, "nice", lambda _: 0)
    return calls


def run_of(folder, seed: int, validated: tuple[float, ...], sum_of: str = ""):
    """A run of one seed with its release, and the checksum of that."""
    card = {
        "config": {"training": {"seed": seed}},
        "commit": f"c{seed}",
        "seconds": 90.0,
        "sha256": {"a": sum_of or str(seed)},
    }
    (folder / "release").mkdir(parents=True)
    (folder / "release" / CARD_FILE).write_text(json.dumps(card))
    lines = [{"kind": "train", "log_likelihood": 9e9}]
    lines += [{"kind": "validation", "log_likelihood": nats, "stderr": 2.0} for nats in validated]
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    return folder, checksum(card)


def release(tmp_path, run) -> None:
    shutil.copytree(run / "release", tmp_path / "checkpoints" / "mnist")


def test_the_record_is_of_the_seed_that_is_released(tmp_path, measured, capsys):
    late, _ = run_of(tmp_path / "run-4", 4, (10.0, 30.0))
    early, released = run_of(tmp_path / "run-3", 3, (50.0, 20.0))
    release(tmp_path, early)
    assert seeds.main(["mnist", str(late)]) == 2 and not measured
    assert "no run is that of the released mnist" in capsys.readouterr().err
    assert seeds.main(["mnist", str(late), str(early)]) == 0
    record = json.loads((tmp_path / "seeds-mnist.json").read_text())
    named = (record["checkpoint"], record["checkpoint_sha256"], record["commit"])
    assert named == ("mnist", released, "abc1234")
    third, fourth = record["seeds"]
    assert [third["seed"], fourth["seed"]] == [3, 4]
    assert fourth["validation"] == {"log_likelihood": 30.0, "stderr": 2.0}
    assert fourth["minutes"] == 1.5 and fourth["trained_at_commit"] == "c4"
    assert (third["map"], third["l1"], third["fid_ratio"], third["kept"]) == (7003.0, 70.03, 7.003, 0.7003)
    assert fourth["map"] == 7004.0


def test_runs_are_measured_as_released_models_are(tmp_path, measured):
    folder, _ = run_of(tmp_path / "run-1", 1, (10.0,))
    release(tmp_path, folder)
    assert seeds.main(["mnist", str(folder)]) == 0
    records = measure.all_records()
    expected = [records[name] for name in ("transfer-mnist", "fid-mnist", "completion-mnist")]
    assert measured == [(one.task, "run-1", one.config, dict(one.settings)) for one in expected]


def test_seeds_that_were_measured_stay_and_are_replaced_by_their_own_run(tmp_path, measured):
    runs = [run_of(tmp_path / f"run-{i}", seed, (10.0,))[0] for i, seed in enumerate((5, 6, 6))]
    release(tmp_path, runs[0])
    assert [seeds.main(["mnist", str(run)]) for run in runs] == [0, 0, 0]
    other, _ = run_of(tmp_path / "run-3", 5, (10.0,), sum_of="another")
    assert seeds.main(["mnist", str(other)]) == 2  # it would take the place of the released model
    record = json.loads((tmp_path / "seeds-mnist.json").read_text())
    assert [(one["seed"], one["map"]) for one in record["seeds"]] == [(5, 7000.0), (6, 7002.0)]


def test_what_is_no_run_is_refused_in_a_line(tmp_path, measured, monkeypatch, capsys):
    folder, _ = run_of(tmp_path / "run-1", 1, (10.0,))
    assert seeds.main(["mnist", str(folder), str(tmp_path / "none")]) == 2
    assert f"{tmp_path / 'none'} holds no release; run --task=release there" in capsys.readouterr().err
    assert seeds.main(["cats", str(folder)]) == 2
    assert "give mnist or synthetic, and folders of runs" in capsys.readouterr().err
    monkeypatch.setattr(seeds, "commit", lambda: "abc1234-dirty")
    assert seeds.main(["mnist", str(folder)]) == 2
    assert "commit first" in capsys.readouterr().err
    assert not measured
