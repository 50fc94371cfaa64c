"""What every step of one-shot classification by registration is worth.

    python benchmarks/one_shot.py --workdir=DIR [--runs] [--json=FILE]

For each step the weights of the energy are calibrated on episodes of the background alphabets, and accuracy
is measured on these; with --runs also, with the same weights, on the 20 runs. What is drawn and registered is
stored in DIR, so that a killed measurement goes on. Needs Omniglot in DOOD_DATA_DIR.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import app, flags, logging

from dood_jax import api
from dood_jax.checkpointing.metadata import commit
from dood_jax.config.groups import Config
from dood_jax.config.resolving import resolve
from dood_jax.evaluation import results
from dood_jax.evaluation.one_shot import registration, task
from dood_jax.evaluation.one_shot.registration import DeformationPrior, EnergyTerms, Registration, Solver
from dood_jax.evaluation.resume_cache import CachedArrays
from dood_jax.runtime import parallel

_WORKDIR = flags.DEFINE_string("workdir", "runs/one_shot", "Where what is drawn and registered is stored.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", "omniglot", "The model that draws.")
_RUNS = flags.DEFINE_bool("runs", False, "Whether to measure on the 20 runs too.")
_ONLY = flags.DEFINE_list("only", None, "Steps to measure; all if not given.")
_JSON = flags.DEFINE_string("json", None, "Where the table is written as JSON.")

STILL = DeformationPrior(shift=1e-3, linear=0, smooth=0, stroke_shift=0, stroke_linear=0, jitter=0)
LINEAR = STILL._replace(shift=DeformationPrior().shift, linear=DeformationPrior().linear)
SMOOTH = LINEAR._replace(smooth=DeformationPrior().smooth)
SCALES = Solver().length_scales
FINE = Solver(length_scales=(SCALES[-1],) * len(SCALES), start_angles=(0.0,))
ONE_START = Solver(start_angles=(0.0,))
DISTANCES = ("distance_to_target", "distance_from_target")
ANGLES = (*DISTANCES, "angle_to_target", "angle_from_target")
DEFORMATION = (*ANGLES, "deformation")


class Step(NamedTuple):
    """One form of the registration."""

    name: str
    how: Registration
    used: tuple[str, ...] = EnergyTerms._fields  # terms of the energy
    strokes: str = "model"


STEPS = (
    Step("distances of segments, place and size normalised", Registration(STILL, FINE), DISTANCES),
    Step("angles of segments", Registration(STILL, FINE), ANGLES),
    Step("linear map of the whole", Registration(LINEAR, FINE), DEFORMATION),
    Step("smooth displacements", Registration(SMOOTH, FINE), DEFORMATION),
    Step("strokes move and jitter", Registration(DeformationPrior(), FINE), DEFORMATION),
    Step("coarse to fine", Registration(DeformationPrior(), ONE_START), DEFORMATION),
    Step("three starts", Registration(), DEFORMATION),
    Step("place and size as terms", Registration()),
    Step("traced lines instead of the model's strokes", Registration(), strokes="traced"),
    Step("both", Registration(), strokes="model+traced"),
)


def main(_: list[str]) -> None:
    """Measures all steps and writes the table."""
    logging.set_verbosity(logging.WARNING)
    parallel.keep_compiled_programs()
    model = api.load(_CHECKPOINT.value)
    started, rows = time.monotonic(), []
    for step in STEPS:
        if _ONLY.value is None or step.name in _ONLY.value:
            rows.append(_row(model, step))
            print(rows[-1], flush=True)
            if _JSON.value:
                _save(Path(_JSON.value), rows, started)


def _row(model: api.Model, step: Step) -> dict[str, Any]:
    """Accuracies and weights of one step."""
    sides, answers = _terms(model, step, "validation")
    weights = [registration.calibrate(side, _for_all(side, answers), step.used) for side in sides]
    row = {"step": step.name, "validation": _accuracies(sides, weights, answers)}
    if _RUNS.value:
        sides, answers = _terms(model, step, "runs")
        row["runs"] = _accuracies(sides, weights, answers)
    names = ("one_way", "two_way")
    return {**row, "weights": {name: one._asdict() for name, one in zip(names, weights, strict=True)}}


def _terms(model: api.Model, step: Step, episodes: str) -> tuple[tuple[EnergyTerms, EnergyTerms], np.ndarray]:
    """One-way and two-way terms with axes [K, R, Q, S], and the [R, Q] answers."""
    config = _config(episodes, step.strokes)
    runs = task.load(config)
    folder, about = Path(_WORKDIR.value), [_CHECKPOINT.value, episodes]
    drawings = task.draw(model, config, runs, CachedArrays(folder, "drawn", about))
    cache = CachedArrays(folder, "registered", [*about, repr(step.how)])
    forward, backward = task.register_runs(drawings, step.how, cache)
    return (forward, registration.sum_of_directions(forward, backward)), runs.answers


def _config(episodes: str, strokes: str) -> Config:
    return resolve({"data": {"name": "omniglot"}, "one_shot": {"episodes": episodes, "strokes": strokes}})


def _for_all(side: EnergyTerms, answers: np.ndarray) -> np.ndarray:
    """[K, R, Q] the same answers for every way to draw."""
    return np.broadcast_to(answers, (len(np.asarray(side.shift)), *answers.shape))


def _accuracies(
    sides: tuple[EnergyTerms, EnergyTerms], weights: list[EnergyTerms], answers: np.ndarray
) -> dict[str, float]:
    right = {}
    for name, side, one in zip(("one_way", "two_way"), sides, weights, strict=True):
        energies = registration.average_energy(registration.energy(side, one))
        right[name] = float((energies.argmin(-1) == answers).mean())
    return right


def _save(path: Path, rows: list[dict[str, Any]], started: float) -> None:
    record = {
        "task": "one_shot-steps",
        "values": rows,
        "checkpoint": _CHECKPOINT.value,
        "commit": commit(),
        "device": parallel.device_name(),
        "seconds": round(time.monotonic() - started, 1),
    }
    results.save(path, record)
    path.with_suffix(".md").write_text(_table(rows))


def _table(rows: list[dict[str, Any]]) -> str:
    """The accuracies in percent, in Markdown."""
    columns = [(where, way) for where in ("validation", "runs") for way in ("one_way", "two_way")]
    lines = [
        "| step | validation, one-way | two-way | 20 runs, one-way | two-way |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [f"{100 * row[where][way]:.2f}" if where in row else "–" for where, way in columns]
        lines.append(f"| {row['step']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app.run(main)
