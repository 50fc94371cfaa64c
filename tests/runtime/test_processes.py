"""Several processes on one machine train like one, stop together, and end when one of them is gone."""

import dataclasses
import json
import signal
import subprocess
import time
from pathlib import Path

import jax
import numpy as np
import processes
import pytest
import tiny_config
from processes import lines_of, logs_of

import dood_jax
from dood_jax.config.groups import TrainingConfig
from dood_jax.config.resolving import resolve
from dood_jax.errors import BadInput
from dood_jax.runtime import processes as runtime_processes
from dood_jax.training import loop

COLLECTIVES = """
import sys
import numpy as np
import jax
from dood_jax.errors import BadInput
from dood_jax.config.groups import TrainingConfig
from dood_jax.runtime import parallel, processes
from dood_jax.runtime.parallel import DeviceGroup

given = eval(sys.argv[1])
processes.join(TrainingConfig(**given))
me, count = jax.process_index(), jax.process_count()
assert (count, len(jax.devices()), len(jax.local_devices())) == (2, 2, 1), (count, jax.devices())
assert processes.told_by_first(lambda: [me, "the first"]) == [0, "the first"]


def refuse():
    raise BadInput(f"refused by {me}")


try:
    processes.told_by_first(refuse)
except BadInput as error:
    assert str(error) == "refused by 0"
else:
    raise AssertionError
odd = {"zero": np.float32(-0.0), "nan": np.array([np.nan, 1.5], np.float32), "step": np.int32(7)}
mine = odd if me == 0 else None
found = processes.arrays_of_first(mine, odd)
for name, value in odd.items():
    assert found[name].tobytes() == value.tobytes() and found[name].shape == value.shape, name
devices = jax.devices()
split = parallel.distribute({"x": np.arange(6.0)}, devices)
assert not split["x"].is_fully_addressable
np.testing.assert_array_equal(parallel.fetch(split)["x"], np.arange(6.0))
np.testing.assert_array_equal(parallel.fetch(parallel.replicate(np.arange(3), devices)), np.arange(3))
double = parallel.map_examples(lambda params, images, keys: {"y": params * images + keys}, DeviceGroup.all())
result = double(2.0, np.arange(4.0), np.ones(4))
np.testing.assert_array_equal(result["y"], 2 * np.arange(4.0) + 1)
print("agreed", me)
"""


def run_both(folder: Path, given: list[dict], environments: list[dict]) -> str:
    started = [
        processes.start(["-c", COLLECTIVES, repr(settings)], folder / f"{which}.log", **around)
        for which, (settings, around) in enumerate(zip(given, environments, strict=True))
    ]
    codes = [process.wait(timeout=300) for process in started]
    said = logs_of(folder)
    assert codes == [0, 0], said
    return said


def test_two_processes_find_each_other_by_config_and_agree(tmp_path):
    address = f"127.0.0.1:{processes.free_port()}"
    given = [{"coordinator": address, "num_processes": 2, "process_id": which} for which in range(2)]
    said = run_both(tmp_path, given, [{}, {}])
    assert "agreed 0" in said and "agreed 1" in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["variables", "slurm", "indexed job"])
def test_processes_find_each_other_by_their_surroundings(tmp_path, kind):
    port = processes.free_port()
    common = {
        "variables": {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2"},
        "slurm": {
            "SLURM_JOB_ID": str(port),
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_NTASKS": "2",
            "JAX_COORDINATOR_PORT": str(port),
        },
        "indexed job": {"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}", "JAX_NUM_PROCESSES": "2"},
    }[kind]
    own = {
        "variables": ["JAX_PROCESS_ID"],
        "slurm": ["SLURM_PROCID", "SLURM_LOCALID"],
        "indexed job": ["JOB_COMPLETION_INDEX"],
    }[kind]
    around = [{**common, **{name: str(which) for name in own}} for which in range(2)]
    run_both(tmp_path, [{}, {}], around)


ALONE = """
import sys
from dood_jax.config.groups import TrainingConfig
from dood_jax.runtime import processes

processes.join(TrainingConfig(**eval(sys.argv[1])))
import jax
assert processes.is_alone() and not jax.distributed.is_initialized()
assert processes.is_first() and processes.told_by_first(lambda: "said") == "said"
"""


@pytest.mark.parametrize(
    ("given", "around"),
    [
        ({}, {}),
        ({}, {"SLURM_JOB_ID": "7", "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "1"}),
        ({}, {"KUBERNETES_SERVICE_HOST": "localhost"}),
        ({"distributed": "off"}, {"JAX_COORDINATOR_ADDRESS": "127.0.0.1:1"}),
    ],
    ids=["nowhere", "slurm", "pod", "off"],
)
def test_a_process_alone_joins_nobody(tmp_path, monkeypatch, given, around):
    for name in ("JAX_COORDINATOR_ADDRESS", "SLURM_STEP_NODELIST", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    ids = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0"} if "SLURM_NTASKS" in around else {}
    process = processes.start(["-c", ALONE, repr(given)], tmp_path / "0.log", **around, **ids)
    assert process.wait(timeout=300) == 0, logs_of(tmp_path)


def test_others_that_are_not_there_are_missed(monkeypatch):
    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS", raising=False)
    with pytest.raises(BadInput, match=r"do not find each other.*give training\.coordinator"):
        runtime_processes.join(TrainingConfig(distributed="on"))
    monkeypatch.setenv("JAX_NUM_PROCESSES", "many")
    with pytest.raises(BadInput, match=r"\$JAX_NUM_PROCESSES='many' is no number"):
        runtime_processes.join(TrainingConfig(distributed="on"))


def finish(started: list[subprocess.Popen], folder: Path) -> None:
    codes = [process.wait(timeout=1200) for process in started]
    assert codes == [0] * len(started), logs_of(folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Path:
    """A run of one process: four steps, their lines, checkpoints."""
    folder = tmp_path_factory.mktemp("alone")
    process = processes.start(
        ["-m", "dood_jax.main", processes.TINY, f"--workdir={folder / 'run'}"], folder / "0.log"
    )
    finish([process], folder)
    return folder / "run"


def assert_same_run(found: Path, wanted: Path) -> None:
    """Loss and norms at rtol 1e-5 (of six digits kept), parameters at atol 1e-6 nearly everywhere."""
    for kind in ("train", "validation"):
        ours, theirs = lines_of(found, kind), lines_of(wanted, kind)
        assert len(ours) == len(theirs) > 0
        for one, other in zip(ours, theirs, strict=True):
            assert one.keys() == other.keys()
            numbers = [name for name in one if name != "kind"]
            np.testing.assert_allclose(
                [one[name] for name in numbers], [other[name] for name in numbers], rtol=2e-5
            )
    ours, theirs = (jax.tree_util.tree_leaves(dood_jax.load(str(path)).params) for path in (found, wanted))
    for one, other in zip(ours, theirs, strict=True):
        difference = np.abs(np.asarray(one) - np.asarray(other))
        assert (difference > 1e-6).sum() <= 1 + difference.size // 1000
        assert difference.max() <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("count", "mode"), [(2, "pmap"), (2, "shard_map"), (4, "pmap")])
def test_processes_train_like_one(alone, tmp_path, count, mode):
    flags = (f"--workdir={tmp_path / 'run'}", f"--config.training.parallel={mode}")
    finish(processes.start_together(count, tmp_path, *flags), tmp_path)
    assert_same_run(tmp_path / "run", alone)


@pytest.mark.slow
def test_processes_share_out_the_images_of_an_evaluation(alone, tmp_path):
    flags = ("--mode=evaluate", "--task=likelihood", f"--checkpoint={alone}")
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    command = ["-m", "dood_jax.main", processes.TINY, *flags, f"--workdir={one / 'run'}"]
    finish([processes.start(command, one / "0.log")], one)
    finish(processes.start_together(2, two, *flags, f"--workdir={two / 'run'}"), two)
    means = [
        json.loads((folder / "run" / "results" / "likelihood-synthetic.json").read_text())["values"][
            "log_likelihood_map"
        ]["mean"]
        for folder in (one, two)
    ]
    assert means[0] == pytest.approx(means[1], rel=1e-5)


@pytest.mark.slow
def test_models_side_by_side_are_split_over_processes(tmp_path):
    flags = (
        "--config.training.num_models=2",
        "--config.training.steps=2",
        "--config.training.evaluate_every=2",
    )
    alone, together = tmp_path / "alone", tmp_path / "together"
    for folder in (alone, together):
        folder.mkdir()
    command = ["-m", "dood_jax.main", processes.TINY, f"--workdir={alone / 'run'}", *flags]
    finish([processes.start(command, alone / "0.log")], alone)
    finish(processes.start_together(2, together, f"--workdir={together / 'run'}", *flags), together)
    for kind in ("train", "validation"):
        for one, other in zip(lines_of(together / "run", kind), lines_of(alone / "run", kind), strict=True):
            np.testing.assert_allclose(one["elbo"], other["elbo"], rtol=2e-5)


ENDLESS = ("--config.training.steps=100000", "--config.training.evaluate_every=100000")


def wait_for_step(workdir: Path, step: int, started: list[subprocess.Popen]) -> None:
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        if any(line["step"] >= step for line in lines_of(workdir, "train")):
            return
        assert all(process.poll() is None for process in started), logs_of(workdir.parent)
        time.sleep(0.2)
    raise TimeoutError(logs_of(workdir.parent))


@pytest.mark.slow
def test_a_stop_signal_to_one_process_stops_all_after_the_same_step_and_one_process_goes_on(tmp_path):
    workdir = tmp_path / "run"
    started = processes.start_together(2, tmp_path, f"--workdir={workdir}", *ENDLESS)
    wait_for_step(workdir, 5, started)
    started[1].send_signal(signal.SIGTERM)
    assert [process.wait(timeout=300) for process in started] == [143, 143], logs_of(tmp_path)
    stopped = lines_of(workdir, "train")[-1]["step"]
    saved = max(int(path.name) for path in (workdir / "checkpoints").iterdir())
    assert saved == stopped
    settings = tiny_config.get_config()
    settings.training.update(steps=saved + 2, evaluate_every=saved + 2, checkpoint_every=saved + 2)
    loop.train(resolve(settings), workdir)  # on the two devices of this process
    assert [line["step"] for line in lines_of(workdir, "train")] == list(range(1, saved + 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "lost"), [(signal.SIGKILL, 1), (signal.SIGSTOP, 1), (signal.SIGKILL, 0)], ids=str
)
def test_the_others_end_when_one_is_gone_and_say_which(tmp_path, number, lost):
    workdir, heartbeat = tmp_path / "run", 15
    flags = (f"--workdir={workdir}", f"--config.training.heartbeat={heartbeat}", *ENDLESS)
    started = processes.start_together(2, tmp_path, *flags)
    wait_for_step(workdir, 3, started)
    started[lost].send_signal(number)
    try:
        code = started[1 - lost].wait(timeout=20 * heartbeat)
    finally:
        started[lost].kill()
        started[lost].wait()
    assert code != 0
    said = (tmp_path / f"{1 - lost}.log").read_text()
    if lost:
        assert "unhealthy (stopped sending heartbeats):\n1\n" in said
    else:
        assert "leader task" in said


def test_settings_that_name_no_place_are_refused():
    with pytest.raises(BadInput, match=r"training\.process_id=2 of num_processes=2; give 0 to 1"):
        dataclasses.replace(TrainingConfig(), num_processes=2, process_id=2)
    with pytest.raises(BadInput, match="is no HOST:PORT"):
        TrainingConfig(coordinator="somewhere")
