"""DooD against its ablations and AIR at equal time: trains each, then measures all on every set.

    python benchmarks/rivals.py [--steps=3000] [--workdir=runs/rivals] [--num_images=256] [--out=FILE]

DooD makes `steps` steps; every rival makes as many as take the same time, its step being timed beside DooD's
first. What was trained or measured before is not done again. `tools/results_page.py` makes the page of
`docs/results/rivals.json`.
"""

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import jax
import run
from absl import app, flags

from configs.ablations import VARIANTS, get_config
from dood_jax.config.datasets import CATALOG
from dood_jax.config.resolving import resolve
from dood_jax.evaluation import results
from dood_jax.model import dood
from dood_jax.model.networks import count

_STEPS = flags.DEFINE_integer("steps", 3000, "Training steps of DooD.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/rivals", "Where runs and measurements are kept.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", 256, "Test images of a set.")
_OUT = flags.DEFINE_string("out", None, "Where the record goes; by default rivals.json in the workdir.")

_ROUNDS = 12  # timed steps of each
_EVERY = 50  # numbers of steps are multiples of it


def main(_: list[str]) -> None:
    """Times a step of each, trains and measures them, and writes the record."""
    workdir, root = Path(_WORKDIR.value), Path(__file__).parents[1]
    milliseconds = _step_times(workdir)
    steps = {name: _steps_in_equal_time(_STEPS.value, milliseconds, name) for name in VARIANTS}
    for name in VARIANTS:
        _call(root, f"--config=configs/ablations.py:{name}", workdir / name, *_schedule(steps[name]))
    checkpoints = ",".join(str((workdir / name).resolve()) for name in VARIANTS)
    sets = f"--config.data.names={','.join(CATALOG)}"
    options = [f"--checkpoint={checkpoints}", "--mode=evaluate", "--task=transfer", sets]
    options.append(f"--config.evaluation.num_images={_NUM_IMAGES.value}")
    _call(root, "--config=configs/mnist.py", workdir / "measured", *options)
    measured = (workdir / "measured" / "results" / "transfer.json").read_text()
    record = json.loads(measured.replace(f"{workdir.resolve()}/", ""))
    record.update(milliseconds_a_step=milliseconds, training_steps=steps, parameters=_parameters())
    results.save(Path(_OUT.value or workdir / "rivals.json"), record)


def _steps_in_equal_time(steps: int, milliseconds: dict[str, float], name: str) -> int:
    """Steps of a rival in the time of so many steps of DooD, rounded to a multiple of `_EVERY`."""
    return max(round(steps * milliseconds["dood"] / milliseconds[name] / _EVERY), 1) * _EVERY


def _schedule(steps: int) -> list[str]:
    """Flags of a short run, in whose first half the floor on prefixes falls."""
    floor = {"floor_start_step": steps // 10, "floor_end_step": steps // 2}
    options = [f"--config.objective.{key}={value}" for key, value in floor.items()]
    return [*options, f"--config.training.steps={steps}"]


def _step_times(workdir: Path) -> dict[str, float]:
    """Milliseconds of a training step of each; they take turns, and are timed once for all."""
    path = workdir / "step_times.json"
    if path.is_file():
        return json.loads(path.read_text())
    forms = [run.training_form(name, 64, **model) for name, model in VARIANTS.items()]
    times = {row["form"]: row["milliseconds"] for row in run.measure("training step", forms, _ROUNDS)}
    results.save(path, times)
    return times


def _parameters() -> dict[str, int]:
    """Number of parameters of each."""
    init = lambda name: jax.eval_shape(
        lambda key: dood.init(resolve(get_config(name)).model, key), jax.random.key(0)
    )
    return {name: count(init(name)) for name in VARIANTS}


def _call(root: Path, config: str, workdir: Path, *options: str) -> None:
    """Runs `dood_jax.main`, which goes on from what is in the workdir."""
    command = [sys.executable, "-m", "dood_jax.main", config, f"--workdir={workdir.resolve()}", *options]
    subprocess.run(command, cwd=root, check=True)


if __name__ == "__main__":
    app.run(main)
