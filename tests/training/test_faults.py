"""What may befall a run: numbers that are not finite, a second run, a full disk, other devices."""

import fcntl
import json
import logging
import shutil
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import processes
import pytest
import tiny_config
from processes import lines_of

import dood_jax
from dood_jax.checkpointing import restore
from dood_jax.checkpointing.manager import Checkpoints
from dood_jax.config.groups import Config
from dood_jax.config.resolving import resolve
from dood_jax.errors import BadInput, RunFailed
from dood_jax.inference import bounds, image_sets
from dood_jax.runtime import parallel
from dood_jax.runtime.signals import RunLock
from dood_jax.training import loop
from dood_jax.training import state as train_state
from dood_jax.training.metrics import NanGuard
from dood_jax.training.state import TrainState, fresh_state
from dood_jax.training.step import make_optimizer
from dood_jax.types import BrushParams


def config_of(**training) -> Config:
    settings = tiny_config.get_config()
    settings.training.update(**training)
    return resolve(settings)


def note(guard: NanGuard, step: int, *skipped: float | list[float], steps: int = 1) -> None:
    """Notes calls that skipped so much, ending at a step."""
    brush = BrushParams(np.float32(0), np.float32(0), np.float32(0))
    params = {"layout_rnn": np.ones(2, np.float32)}
    state = TrainState(np.int32(step), params, (), brush, np.int32(0))
    calls = [(steps, {"skipped": np.asarray(one), "elbo": np.float32("nan")}) for one in skipped]
    guard.check(step, calls, state)


def test_a_run_gives_up_after_so_many_skipped_steps_in_a_row(tmp_path):
    guard = NanGuard(4, tmp_path)
    note(guard, 3, 1, 1, 1)
    note(guard, 5, 0, 1)
    note(guard, 7, 1, 1)
    with pytest.raises(RunFailed, match=r"the last 4 steps to step 8 .*parameters are finite.*learning_rate"):
        note(guard, 8, 1)
    report = json.loads((tmp_path / "not-finite-000008.json").read_text())
    assert (report["step"], report["skipped_in_a_row"], report["not_finite"]) == (8, [4], [])


def test_calls_of_several_steps_count_as_many(tmp_path):
    guard = NanGuard(20, tmp_path)
    note(guard, 10, 1, steps=10)
    note(guard, 20, 0.9, steps=10)  # one step of it was finite
    note(guard, 30, 1, steps=10)
    with pytest.raises(RunFailed, match="the last 20 steps"):
        note(guard, 40, 1, steps=10)


def test_one_of_two_models_that_is_stuck_is_named_and_does_not_stop_the_other(tmp_path, caplog):
    guard = NanGuard(2, tmp_path)
    with caplog.at_level(logging.WARNING, logger="absl"):
        note(guard, 4, *[[0, 1]] * 4)
    assert caplog.text.count("models [1] learn nothing more") == 1
    with pytest.raises(RunFailed):
        note(guard, 6, [1, 1], [1, 1])


def test_no_limit_is_no_limit(tmp_path):
    note(NanGuard(0, tmp_path), 1000, *[1] * 1000)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run of the command line: six steps on two devices, a checkpoint and a bound at every second."""
    folder = tmp_path_factory.mktemp("command")
    workdir = folder / "run"
    settings = {"steps": 6, "checkpoint_every": 2, "evaluate_every": 2, "keep_checkpoints": 2}
    flags = [f"--config.training.{name}={value}" for name, value in settings.items()]
    command = ["-m", "dood_jax.main", processes.TINY, f"--workdir={workdir}", *flags]
    process = processes.start(command, folder / "log", JAX_NUM_CPU_DEVICES="2")
    assert process.wait(timeout=900) == 0, (folder / "log").read_text()
    return workdir


@pytest.mark.slow
def test_parameters_that_are_not_finite_end_a_run_and_are_named(run, tmp_path):
    """NaN in a checkpoint that is otherwise whole: every step is skipped from there on."""
    workdir = shutil.copytree(run, tmp_path / "run")
    config = config_of(steps=12, checkpoint_every=4, evaluate_every=12, max_skipped=4)
    template = fresh_state(config, make_optimizer(config.optimizer, 12))
    with Checkpoints(workdir) as checkpoints:
        state = train_state.restore_latest(checkpoints, config, template)
        state.params["stroke_decoder"]["out"]["bias"][0] = np.nan
        train_state.save(checkpoints, config, state._replace(step=np.int32(8)))
    with pytest.raises(RunFailed, match=r"to step 12 .*stroke_decoder.* is not"):
        loop.train(config, workdir)
    report = json.loads((workdir / "not-finite-000012.json").read_text())
    assert report["skipped_in_a_row"] == [4] and any(
        "stroke_decoder" in name for name in report["not_finite"]
    )
    assert {int(path.name) for path in (workdir / "checkpoints").iterdir()} >= {6, 8}


@pytest.mark.slow
def test_a_run_leaves_metrics_and_figures(run):
    assert [line["step"] for line in lines_of(run, "train")] == [1, 2, 3, 4, 5, 6]
    assert (run / "figures" / "reconstruction-000006.png").stat().st_size > 1000
    assert list((run / "tensorboard").glob("events*"))


@pytest.mark.slow
def test_the_best_step_is_kept_beside_the_newest_and_found_by_name(run):
    bounds = {line["step"]: line["log_likelihood"] for line in lines_of(run, "validation")}
    assert sorted(bounds) == [2, 4, 6]
    best = max(bounds, key=bounds.__getitem__)
    steps = {int(path.name) for path in (run / "checkpoints").iterdir()}
    assert steps == {4, 6, best}
    assert restore.find(str(run / "best")).name == str(best)
    assert restore.find(str(run)).name == "6"
    assert dood_jax.load(run / "best").meta["step"] == best


def test_a_second_run_in_a_folder_is_refused_by_process_and_host(tmp_path):
    with RunLock(tmp_path):
        held = json.loads((tmp_path / "run.holder.json").read_text())
        with pytest.raises(BadInput, match=f"in use by process {held['pid']} on {held['host']} since"):
            loop.train(config_of(), tmp_path)
    with RunLock(tmp_path):
        pass
    assert not (tmp_path / "checkpoints").exists()


def test_a_lock_that_nobody_holds_any_more_is_no_hindrance(tmp_path):
    (tmp_path / "run.lock").touch()
    (tmp_path / "run.holder.json").write_text('{"pid": 1, "host": "gone", "since": "long ago"}')
    with RunLock(tmp_path):
        assert "gone" not in (tmp_path / "run.holder.json").read_text()


def test_where_nothing_can_be_locked_a_run_goes_on_with_a_warning(tmp_path, monkeypatch, caplog):
    def unknown(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with caplog.at_level(logging.WARNING, logger="absl"), RunLock(tmp_path):
        assert "cannot be locked (Operation not supported)" in caplog.text


@pytest.mark.slow
def test_a_checkpoint_gives_the_same_evaluation_on_one_device_and_on_two(run):
    """It was written on two."""
    config = config_of()
    images = image_sets.validation_images(config.data, config.evaluation)
    keys = image_sets.evaluation_keys(config.evaluation, len(images))
    model = dood_jax.load(run)
    about = (model.config, model.params, images, keys, config.evaluation)
    found = [
        bounds.bound(*about, parallel.DeviceGroup(tuple(jax.local_devices()[:count]))) for count in (1, 2)
    ]
    np.testing.assert_allclose(found[0].log_likelihood, found[1].log_likelihood, rtol=1e-5)
    seen = lines_of(run, "validation")[-1]["log_likelihood"]
    assert seen == pytest.approx(found[0].summary()["log_likelihood"], rel=1e-5)


@pytest.mark.slow
def test_a_state_is_placed_on_any_number_of_devices_bit_for_bit(run):
    config = config_of()
    template = fresh_state(config, make_optimizer(config.optimizer, 3))
    with Checkpoints(run) as checkpoints:
        state = train_state.restore_latest(checkpoints, config, template)
    for count in (1, 2):
        placed = parallel.replicate(state, jax.local_devices()[:count])
        jax.tree_util.tree_map(np.testing.assert_array_equal, parallel.fetch(placed), state)


@pytest.mark.slow
def test_a_checkpoint_goes_on_on_one_two_and_four_devices_alike(run, tmp_path):
    """Two steps more, each in a process that has so many; all within rounding of each other."""
    lines = []
    for count in (1, 2, 4):
        workdir = shutil.copytree(run, tmp_path / str(count))
        command = [
            *("-m", "dood_jax.main", processes.TINY, f"--workdir={workdir}", "--config.training.steps=8"),
            *("--config.training.evaluate_every=8", "--config.training.checkpoint_every=8"),
        ]
        process = processes.start(command, tmp_path / f"{count}.log", JAX_NUM_CPU_DEVICES=str(count))
        assert process.wait(timeout=900) == 0, (tmp_path / f"{count}.log").read_text()
        lines.append([lines_of(workdir, kind)[-1] for kind in ("train", "validation")])
    for other in lines[1:]:
        for one, two in zip(lines[0], other, strict=True):
            assert one["step"] == 8
            for name in ("elbo", "log_likelihood", "strokes"):
                np.testing.assert_allclose(one[name], two[name], rtol=2e-5)


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_written_fails_the_run_and_says_what_is_left(run, tmp_path, monkeypatch):
    workdir = shutil.copytree(run, tmp_path / "run")
    config = config_of()
    template = fresh_state(config, make_optimizer(config.optimizer, 3))

    def full(*_, **__):
        raise OSError(28, "disk is full")

    with Checkpoints(workdir) as checkpoints:
        state = train_state.restore_latest(checkpoints, config, template)
        monkeypatch.setattr(ocp.CheckpointManager, "save", full)
        with pytest.raises(RunFailed, match=r"disk is full\); step 6 is whole, and the same command goes on"):
            train_state.save(checkpoints, config, state._replace(step=np.int32(7)))


@pytest.mark.slow
def test_a_full_disk_ends_a_run_in_its_own_words_and_room_lets_it_go_on(run, tmp_path):
    """No file may grow beyond 100 KiB; a checkpoint needs more."""
    workdir = shutil.copytree(run, tmp_path / "run")
    flags = (
        processes.TINY,
        f"--workdir={workdir}",
        "--config.training.steps=10",
        "--config.training.evaluate_every=10",
    )
    program = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (102400, 102400));"
        "sys.argv[0] = 'main'; runpy.run_module('dood_jax.main', run_name='__main__')"
    )
    process = processes.start(["-c", program, *flags], tmp_path / "full.log")
    assert process.wait(timeout=900) == 1
    log = (tmp_path / "full.log").read_text()
    (said,) = [line for line in log.splitlines() if line.startswith("dood_jax:")]
    assert "no checkpoint could be written to" in said and "step 6 is whole" in said
    assert "Traceback" not in log
    process = processes.start(["-m", "dood_jax.main", *flags], tmp_path / "room.log")
    assert process.wait(timeout=900) == 0
    assert [line["step"] for line in lines_of(workdir, "train")] == list(range(1, 11))
    assert not list((workdir / "checkpoints").glob("*tmp*"))
