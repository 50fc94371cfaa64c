"""The command line as a user meets it: every run in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from compiling import UNOPTIMISED

import dood_jax
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import DataConfig
from dood_jax.inference import bounds, image_sets
from dood_jax.runtime.parallel import DeviceGroup

ROOT = Path(__file__).parent.parent
SMOKE = f"--config={ROOT}/configs/smoke.py"


def command(*flags: str) -> list[str]:
    return [sys.executable, "-m", "dood_jax.main", *flags]


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "DOOD_DATA_DIR"}
    cache = str(ROOT / ".cache" / "jax")
    kept.update(JAX_NUM_CPU_DEVICES="1", JAX_COMPILATION_CACHE_DIR=cache, XLA_FLAGS=UNOPTIMISED)
    return {**kept, "PYTHONPATH": str(ROOT), **changes}


def run(*flags: str, cwd: Path, **changes: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(*flags),
        cwd=cwd,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def lines_of(workdir: Path, kind: str) -> list[dict]:
    lines = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["kind"] == kind]


def params_of(workdir: Path) -> dict:
    """Checksums of every parameter of the last checkpoint."""
    last = max((workdir / "checkpoints").iterdir(), key=lambda step: int(step.name))
    return json.loads((last / "meta" / "metadata").read_text())["sha256"]


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory) -> Path:
    workdir = tmp_path_factory.mktemp("smoke") / "run"
    done = run(SMOKE, f"--workdir={workdir}", cwd=workdir.parent)
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.mark.slow
def test_a_run_leaves_metrics_checkpoints_and_figures(smoke_run):
    assert [line["step"] for line in lines_of(smoke_run, "train")] == list(range(5, 45, 5))
    assert [line["step"] for line in lines_of(smoke_run, "validation")] == [20, 40]
    assert sorted(path.name for path in (smoke_run / "checkpoints").iterdir()) == ["20", "40"]
    assert (smoke_run / "figures" / "reconstruction-000040.png").stat().st_size > 1000
    assert list((smoke_run / "tensorboard").glob("events*"))


@pytest.mark.slow
def test_dood_train_takes_the_same_flags_and_finds_configs_by_name(smoke_run, tmp_path):
    """From a folder without configs; the run has reached its end, so that there is nothing left to do."""
    before = params_of(smoke_run)
    dood = [sys.executable, "-m", "dood_jax.cli", "train", "--config=smoke", f"--workdir={smoke_run}"]
    done = subprocess.run(
        dood, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert params_of(smoke_run) == before and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_fresh_process_measures_the_bound_of_test_images(smoke_run):
    """With programs that are compiled as users' are."""
    done = run(SMOKE, "--mode=evaluate", f"--workdir={smoke_run}", cwd=smoke_run, XLA_FLAGS="")
    assert done.returncode == 0, done.stderr
    result = json.loads((smoke_run / "results" / "likelihood-synthetic.json").read_text())
    model = dood_jax.load(smoke_run)
    stored = model.meta["config"]
    evaluation = EvaluationConfig(**stored["evaluation"])
    images = image_sets.test_images(DataConfig(**stored["data"]), evaluation)
    keys = image_sets.evaluation_keys(evaluation, len(images))
    found = bounds.bound(model.config, model.params, images, keys, evaluation, DeviceGroup.local()).summary()
    expected = pytest.approx(found["log_likelihood"], rel=1e-5)
    assert result["values"]["log_likelihood_map"]["mean"] == expected
    assert result["step"] == 40 and result["n"] == 16
    assert (smoke_run / "results" / "reconstruction-synthetic.png").exists()


@pytest.mark.slow
def test_a_released_model_is_as_good_and_another_architecture_is_refused(smoke_run, tmp_path):
    flags = (SMOKE, "--mode=evaluate", "--task=release", f"--workdir={smoke_run}")
    assert run(*flags, cwd=tmp_path).returncode == 0
    card = json.loads((smoke_run / "release" / "card.json").read_text())
    assert abs(card["metrics"]["cost_of_16_bits"]) < 0.1
    assert card["command"].startswith("python -m dood_jax.main --config=")
    assert card["config"]["model"]["source_size"] == 28
    assert run(*flags, "--config.model.source_size=0", cwd=tmp_path).returncode == 0
    measured_so = json.loads((smoke_run / "release" / "card.json").read_text())
    assert measured_so["config"]["model"]["source_size"] == 0
    flags = (SMOKE, "--mode=evaluate", f"--checkpoint={smoke_run}/release", f"--workdir={tmp_path}")
    refused = run(*flags, "--config.model.features=8", cwd=tmp_path)
    assert refused.returncode == 2 and "contradicts" in refused.stderr
    refused = run(SMOKE, f"--workdir={smoke_run}", "--config.model.features=8", cwd=tmp_path)
    assert refused.returncode == 2 and "model.features=32" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stop_signal_saves_and_a_restart_ends_as_the_unbroken_run(smoke_run, tmp_path, number, code):
    flags = (SMOKE, f"--workdir={tmp_path}", "--config.training.log_every=1")
    process = subprocess.Popen(
        command(*flags), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True
    )
    _wait_for_step(tmp_path, 3)
    process.send_signal(number)
    _, said = process.communicate(timeout=300)
    assert process.returncode == code, said
    assert run(*flags, cwd=tmp_path).returncode == 0
    assert params_of(tmp_path) == params_of(smoke_run)
    assert [line["step"] for line in lines_of(tmp_path, "train")] == list(range(1, 41))


@pytest.mark.slow
@pytest.mark.parametrize("kill_at", [7, 23])
def test_a_killed_run_resumes_and_ends_bit_equal(smoke_run, tmp_path, kill_at):
    flags = (SMOKE, f"--workdir={tmp_path}", "--config.training.log_every=1")
    process = subprocess.Popen(command(*flags), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL)
    _wait_for_step(tmp_path, kill_at)
    process.kill()
    process.wait()
    assert run(*flags, cwd=tmp_path).returncode == 0
    assert params_of(tmp_path) == params_of(smoke_run)
    assert [line["step"] for line in lines_of(tmp_path, "train")] == list(range(1, 41))


def _wait_for_step(workdir: Path, step: int) -> None:
    """Returns when the run in `workdir` has logged a training step."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        path = workdir / "metrics.jsonl"
        if path.exists() and path.read_text().count('"train"') >= step:
            return
        time.sleep(0.02)
    raise TimeoutError(f"step {step} was not reached")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["renderer", "difference_air", "vae"])
def test_rivals_train_go_on_and_are_measured(name, tmp_path):
    small = {"features": 16, "curve_samples": 12, "components": 3, "unroll": 1}
    options = [f"--config.model.{key}={value}" for key, value in small.items()]
    options += ["--config.data.image_size=20", "--config.training.batch_size=4", "--workdir=run"]
    options += ["--config.evaluation.num_images=4", "--config.evaluation.num_particles=2"]
    options += ["--config.training.evaluate_every=2", "--config.training.checkpoint_every=2"]
    config = f"--config={ROOT}/configs/ablations.py:{name},synthetic"
    for steps in (2, 4):
        done = run(config, *options, f"--config.training.steps={steps}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert [line["step"] for line in lines_of(tmp_path / "run", "validation")] == [2, 4]
    done = run(config, *options, "--mode=evaluate", "--task=likelihood,stroke_counts", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run/results/likelihood-synthetic.json").read_text())["values"]
    assert all(abs(found[f"log_likelihood_{scale}"]["mean"]) < 1e6 for scale in ("map", "canvas"))
