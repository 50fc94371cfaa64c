"""The study: which runs it has, what it does again, and its table."""

import importlib.util
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAILING: set[str] = set()
_SPEC = importlib.util.spec_from_file_location("sweep", ROOT / "launch" / "sweep.py")
sweep = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(sweep)


@pytest.fixture(autouse=True)
def in_a_checkout(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def called(monkeypatch) -> list[list[str]]:
    """What would have been run; commands with a word of `FAILING` fail."""
    commands = []

    def call(command):
        commands.append(command)
        return int(not FAILING.isdisjoint(command))

    monkeypatch.setattr(sweep.subprocess, "call", call)
    return commands


def printed(capsys, *words: str) -> list[list[str]]:
    assert sweep.main(["--dry-run", *words]) == 0
    return [shlex.split(line)[3:] for line in capsys.readouterr().out.splitlines()]


def test_every_set_seed_and_variant_is_a_run(capsys):
    *runs, table = printed(
        capsys,
        "--configs=mnist,omniglot",
        "--seeds=2",
        "--variant=plain:model.iterations=0,model.final_stop=True",
    )
    assert len(runs) == 8
    assert len({run[1] for run in runs}) == 8  # a folder each
    assert runs[0] == [
        "--config=configs/mnist.py",
        "--workdir=runs/sweep/mnist-0",
        "--config.training.seed=0",
    ]
    assert {
        "--config.model.iterations=0",
        "--config.model.final_stop=True",
        "--config.training.seed=1",
    } <= set(runs[3])
    names = next(word for word in table if word.startswith("--checkpoint=")).partition("=")[2].split(",")
    assert names == [run[1].partition("=")[2] for run in runs]
    assert "--task=transfer" in table


def test_seeds_of_a_set_can_be_one_program(capsys):
    run, table = printed(capsys, "--configs=mnist", "--seeds=3", "--stacked")
    assert "--config.training.num_models=3" in run
    assert "--checkpoint=runs/sweep/mnist:0,runs/sweep/mnist:1,runs/sweep/mnist:2" in table


def test_runs_are_handed_to_a_queue_and_flags_to_all(capsys):
    words = ["--configs=mnist", "--seeds=1", "--submit=launch/slurm.sh --gpus=2 --", "--", "--config.x=a b"]
    assert sweep.main(["--dry-run", *words]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert shlex.split(line)[:4] == ["launch/slurm.sh", "--gpus=2", "--", "--config=configs/mnist.py"]
    assert shlex.split(line)[-1] == "--config.x=a b"


def test_the_table_is_told_where_data_are_and_how_to_evaluate(capsys):
    more = ["--config.data.dir=DATA", "--config.evaluation.num_images=9", "--config.training.steps=5"]
    *runs, table = printed(capsys, "--configs=mnist", "--seeds=1", "--", *more)
    assert set(more) <= set(runs[0])
    assert set(more[:2]) <= set(table) and more[2] not in table


def test_all_are_trained_and_then_weighed(called):
    assert sweep.main(["--configs=mnist", "--seeds=2"]) == 0
    assert [command[-1] for command in called[:2]] == [f"--config.training.seed={i}" for i in (0, 1)]
    assert len(called) == 3 and "--mode=evaluate" in called[2]


def test_a_run_that_fails_is_named_the_others_go_on_and_there_is_no_table(called, capsys, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "FAILING", {"--config.training.seed=1"})
    assert sweep.main(["--configs=mnist", "--seeds=3"]) == 1
    assert len(called) == 3 and not any("--mode=evaluate" in command for command in called)
    assert "runs/sweep/mnist-1 failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--configs=nowhere"], "configs/nowhere.py is not there"),
        (["--seeds=0"], "--seeds=0"),
        (["--seeds=few"], "few"),
        (["--variant=model.iterations=0"], "NAME:KEY=VALUE"),
        (["--sets=mnist"], "--sets"),
    ],
)
def test_bad_input_is_one_line(called, capsys, words, said):
    with pytest.raises(SystemExit) as ended:
        sweep.main(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2 and said in error and error.count("\n") == 1 and not called


@pytest.mark.slow
def test_two_tiny_models_are_trained_and_make_a_table(tmp_path):
    command = [sys.executable, "launch/sweep.py", "--configs=smoke", "--seeds=2", "--targets=synthetic"]
    command += [f"--out={tmp_path}", "--", "--config.training.steps=20"]
    for _ in range(2):  # the second time all is there
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    cell = json.loads((tmp_path / "results" / "transfer.json").read_text())["values"]["table"]["map"]
    assert cell["synthetic"]["synthetic"]["n"] == 2
    assert (tmp_path / "results" / "transfer.md").exists()
    for seed in (0, 1):
        assert [step.name for step in (tmp_path / f"smoke-{seed}" / "checkpoints").iterdir()] == ["20"]
