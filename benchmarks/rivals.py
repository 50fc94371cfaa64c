"""DooD against its ablations and AIR at equal time: trains each, then measures all on every set.

    python benchmarks/rivals.py [--steps=3000] [--workdir=runs/rivals] [--num_images=256] [--pages=docs]

DooD makes `steps` steps; every rival makes as many as take the same time, its step being timed beside DooD's
first. What was trained or measured before is not done again. Writes `rivals.json` and `rivals.md`.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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
_PAGES = flags.DEFINE_string("pages", None, "Where the record and the page go; default the workdir.")

_ROUNDS = 12  # timed steps of each
_EVERY = 50  # numbers of steps are multiples of it
_SHOWN = {
    "dood": "DooD",
    "renderer": "− δR: a network draws strokes",
    "guidance": "− EG: the canvas is not seen",
    "prior": "− sequential prior",
    "difference_air": "Difference-AIR",
    "air": "AIR",
    "vae": "VAE",
}


def main(_: list[str]) -> None:
    """Times, trains, measures, writes."""
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
    pages = Path(_PAGES.value or workdir)
    folder = pages / "results" if _PAGES.value else pages
    results.save(folder / "rivals.json", record)
    (pages / "rivals.md").write_text(page(record))


def page(record: dict[str, Any]) -> str:
    """The table, in Markdown."""
    values, settings = record["values"], record["config"]["evaluation"]
    targets = list(values["blank_canvas"])
    lines = [
        "# Rivals and ablations",
        "",
        "Written by `python benchmarks/rivals.py --pages=docs`. All learn on MNIST, with the networks and the"
        " objective of the `fast` preset, for the time that DooD, without further looks, takes for"
        f" {record['training_steps']['dood']:,} steps. Nats an image under the published map,"
        f" {settings['num_images']} images a set, {settings['num_particles']} particles; one seed,"
        f" ± standard error. Measured at commit {record['commit']} on {record['device']}.",
        "",
        "| model | ms a step | steps | parameters | " + " | ".join(targets) + " | strokes | L1 on MNIST |",
        "|---" * (6 + len(targets)) + "|",
    ]
    for name, row in zip(VARIANTS, values["table"]["map"], strict=True):
        cells = values["table"]["map"][row].values()
        nats = [f"{cell['mean']:,.0f} ± {cell['stderr']:,.0f}" for cell in cells]
        about = [f"{record[of][name]:,.0f}" for of in ("milliseconds_a_step", "training_steps", "parameters")]
        strokes, l1 = (next(iter(values[of][row].values()))["mean"] for of in ("strokes", "l1"))
        lines.append("| " + " | ".join([_SHOWN[name], *about, *nats, f"{strokes:.1f}", f"{l1:.0f}"]) + " |")
    blank = " | ".join(f"{values['blank_canvas'][target]:,.0f}" for target in targets)
    lines.append(f"| blank canvas | | | | {blank} | 0 | |")
    return "\n".join(lines) + "\n"


def _steps_in_equal_time(steps: int, milliseconds: dict[str, float], name: str) -> int:
    """A whole number of `_EVERY`."""
    return max(round(steps * milliseconds["dood"] / milliseconds[name] / _EVERY), 1) * _EVERY


def _schedule(steps: int) -> list[str]:
    """Of a short run: the floor on prefixes falls in its first half."""
    floor = {"floor_start_step": steps // 10, "floor_end_step": steps // 2}
    options = [f"--config.objective.{key}={value}" for key, value in floor.items()]
    return [*options, f"--config.training.steps={steps}"]


def _step_times(workdir: Path) -> dict[str, float]:
    """Milliseconds of a training step of each, timed in turns, once for all."""
    path = workdir / "step_times.json"
    if path.is_file():
        return json.loads(path.read_text())
    forms = [run.training_form(name, 64, **model) for name, model in VARIANTS.items()]
    times = {row["form"]: row["milliseconds"] for row in run.measure("training step", forms, _ROUNDS)}
    results.save(path, times)
    return times


def _parameters() -> dict[str, int]:
    init = lambda name: jax.eval_shape(
        lambda key: dood.init(resolve(get_config(name)).model, key), jax.random.key(0)
    )
    return {name: count(init(name)) for name in VARIANTS}


def _call(root: Path, config: str, workdir: Path, *options: str) -> None:
    """Runs `main`, which goes on where it was."""
    command = [sys.executable, "-m", "dood_jax.main", config, f"--workdir={workdir.resolve()}", *options]
    subprocess.run(command, cwd=root, check=True)


if __name__ == "__main__":
    app.run(main)
