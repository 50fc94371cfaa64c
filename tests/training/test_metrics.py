"""The JSON lines of a run that is broken off and goes on."""

import json

import pytest

from dood_jax.training.metrics import MetricWriter, read_lines


def write_steps(workdir, resumed_at: int, steps: range, elbo: float) -> None:
    """Two training calls and one line at each step, and a validation line at the last."""
    with MetricWriter(workdir, resumed_at, 100, 8) as writer:
        for step in steps:
            writer.add({"elbo": elbo, "strokes": 1.0})
            writer.add({"elbo": elbo + 2, "strokes": 2.0})
            writer.write_training(step)
        writer.write_validation(steps[-1], {"log_likelihood": -3.0})


def steps_of(workdir, kind: str) -> list[int]:
    return [line["step"] for line in read_lines(workdir) if line["kind"] == kind]


def test_a_line_holds_the_means_since_the_last_one(tmp_path):
    write_steps(tmp_path, 0, range(5, 15, 5), 10.0)
    train = [line for line in read_lines(tmp_path) if line["kind"] == "train"]
    assert [line["step"] for line in train] == [5, 10]
    assert [(line["elbo"], line["strokes"]) for line in train] == [(11.0, 1.5)] * 2
    assert all(line["images_per_second"] > 0 for line in train)
    validation = read_lines(tmp_path)[-1]
    assert (validation["kind"], validation["step"], validation["log_likelihood"]) == ("validation", 10, -3.0)


def test_a_resumed_run_tells_each_step_once(tmp_path):
    write_steps(tmp_path, 0, range(1, 9), 0.0)
    write_steps(tmp_path, 5, range(6, 11), 100.0)
    assert steps_of(tmp_path, "train") == list(range(1, 11))
    assert steps_of(tmp_path, "validation") == [10]
    elbos = [line["elbo"] for line in read_lines(tmp_path) if line["kind"] == "train"]
    assert elbos == [1.0] * 5 + [101.0] * 5


def test_a_run_that_starts_afresh_drops_every_line(tmp_path):
    write_steps(tmp_path, 0, range(1, 4), 0.0)
    write_steps(tmp_path, 0, range(1, 3), 100.0)
    assert [line["elbo"] for line in read_lines(tmp_path) if line["kind"] == "train"] == [101.0, 101.0]


def test_a_torn_last_line_is_dropped(tmp_path):
    write_steps(tmp_path, 0, range(1, 4), 0.0)
    path = tmp_path / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 4, "kind": "tra')
    assert steps_of(tmp_path, "train") == [1, 2, 3]
    write_steps(tmp_path, 3, range(4, 6), 0.0)
    assert steps_of(tmp_path, "train") == [1, 2, 3, 4, 5]
    for line in path.read_text().splitlines():
        json.loads(line)


def test_seconds_go_on_from_those_already_spent(tmp_path):
    line = {"step": 1, "kind": "train", "seconds": 1000.0, "elbo": 0.0}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    write_steps(tmp_path, 1, range(2, 4), 0.0)
    seconds = [line["seconds"] for line in read_lines(tmp_path)]
    assert seconds == sorted(seconds)
    assert seconds[1] == pytest.approx(1000, abs=30)


def test_a_run_without_lines_has_none(tmp_path):
    assert read_lines(tmp_path) == []
