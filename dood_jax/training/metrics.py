"""Where the numbers of a run go, and the guard that ends a run whose steps are not finite.

They go to JSON lines always, to TensorBoard, the log, and a progress bar on a terminal. A line of
`metrics.jsonl` has the step, its kind (`train` or `validation`), the seconds that the run has taken so far,
and metrics by name. Of several models trained side by side a metric is a list with a number for each.
"""

import io
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from tensorboardX import SummaryWriter
from tqdm import tqdm

from dood_jax.errors import RunFailed
from dood_jax.runtime import parallel, processes
from dood_jax.training.state import TrainState

JSON_LINES = "metrics.jsonl"
Metric = float | np.ndarray  # of one model, or [N] of N models

_NEEDED = {"step": int, "kind": str, "seconds": int | float}  # in every line


def read_lines(workdir: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics, oldest first; a line that was torn by a kill is left out."""
    path = workdir / JSON_LINES
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and all(isinstance(found.get(key), kind) for key, kind in _NEEDED.items()):
            lines.append(found)
    return lines


class MetricWriter:
    """Writes the metrics of a run that starts or goes on at some step; lines of later steps are dropped.

    Of several processes the first one writes; all of them must call every method.
    """

    def __init__(self, workdir: Path, step: int, num_steps: int, batch_size: int) -> None:
        """Opens the files.

        Args:
          workdir: the folder of the run.
          step: at which it goes on.
          num_steps: at which it ends.
          batch_size: of all models together, to tell the speed.
        """
        self._seconds_before, self.last_validation = processes.told_by_first(lambda: _resume(workdir, step))
        self._writes = processes.is_first()
        self._lines = (workdir / JSON_LINES).open("a") if self._writes else io.StringIO()
        self._board = (
            SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1) if self._writes else None
        )
        shows_bar = self._writes and sys.stderr.isatty()
        self._bar = tqdm(total=num_steps, initial=step, unit="step", disable=not shows_bar)
        self._batch_size = batch_size
        self._started = time.monotonic()
        self._last_step, self._last_time = step, self._started
        self._has_begun = False
        self._since_last: list[dict[str, jax.Array]] = []

    def __enter__(self) -> "MetricWriter":
        """The files are open already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self._lines.close()
        self._bar.close()
        if self._board:
            self._board.close()

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Takes the metrics of one training call, without waiting for them."""
        self._since_last.append(metrics)
        if not self._has_begun:
            logging.info("first step after %.1f s, compilation included", time.monotonic() - self._started)
            self._has_begun = True

    def write_training(self, step: int) -> list[tuple[int, dict[str, Metric]]]:
        """Writes the means of the metrics added since the last time, and the speed.

        Args:
          step: after the last of the training calls.

        Returns:
          For each of the calls, how many steps it made, and its metrics on the host.
        """
        added = parallel.fetch(self._since_last)
        steps_per_call = (step - self._last_step) // len(added)
        metrics = {name: _mean_of_finite([one[name] for one in added]) for name in added[0]}
        self._since_last = []
        now = time.monotonic()
        speed = (step - self._last_step) * self._batch_size / max(now - self._last_time, 1e-9)
        self._last_step, self._last_time = step, now
        self._write("train", step, {**metrics, "images_per_second": speed})
        self._bar.update(step - self._bar.n)
        elbo, strokes = np.mean(metrics["elbo"]), np.mean(metrics["strokes"])
        self._bar.set_postfix_str(f"{elbo:.0f} nats, {strokes:.1f} strokes, {speed:.0f} images/s")
        return [(steps_per_call, one) for one in added]

    def write_validation(self, step: int, metrics: Mapping[str, Metric]) -> None:
        """Writes what was measured on validation images after a step."""
        self._write("validation", step, metrics)
        self.last_validation = step
        self._last_time = time.monotonic()  # so that the time it took does not count as time of training

    def _write(self, kind: str, step: int, metrics: Mapping[str, Metric]) -> None:
        if not self._board:
            return
        rounded = {name: _rounded(value) for name, value in metrics.items() if np.any(np.isfinite(value))}
        seconds = round(self._seconds_before + time.monotonic() - self._started, 1)
        self._lines.write(json.dumps({"step": step, "kind": kind, "seconds": seconds, **rounded}) + "\n")
        self._lines.flush()
        for name, value in rounded.items():
            for which, one in enumerate(value if isinstance(value, list) else [value]):
                tag = f"{kind}/{name}/{which}" if isinstance(value, list) else f"{kind}/{name}"
                self._board.add_scalar(tag, np.nan if one is None else one, step)
        if self._bar.disable or kind == "validation":
            text = ", ".join(f"{name} {_as_text(value)}" for name, value in rounded.items())
            logging.info("step %d %s: %s", step, kind, text)


def _mean_of_finite(values: list[Metric]) -> np.ndarray:
    """Mean over training calls; a call of skipped steps has no finite loss, and the mean of none is NaN."""
    of_calls = np.asarray(values)
    finite = np.isfinite(of_calls)
    return np.where(finite, of_calls, 0).sum(0) / np.where(finite.any(0), finite.sum(0), np.nan)


def _rounded(value: Metric) -> float | list[float | None]:
    """A metric to six digits, in the types of JSON: None for a model that has no finite value."""
    if isinstance(value, np.ndarray) and value.ndim:
        return [float(f"{one:.6g}") if np.isfinite(one) else None for one in value]
    return float(f"{value:.6g}")


def _as_text(value: float | list[float | None]) -> str:
    """A metric for the log, as in `12.5`, or `12.5 -` of two models, the second of which has no value."""
    if isinstance(value, list):
        return " ".join("-" if one is None else f"{one:g}" for one in value)
    return f"{value:g}"


def _resume(workdir: Path, step: int) -> tuple[float, int]:
    """Drops the lines of later steps, so that a run that goes on at `step` writes each step once.

    Returns:
      The seconds that the run has taken so far, and its last step with a validation line (-1 if there is
      none).
    """
    kept = [line for line in read_lines(workdir) if line["step"] <= step]
    rewritten = workdir / (JSON_LINES + ".tmp")
    rewritten.write_text("".join(json.dumps(line) + "\n" for line in kept))
    os.replace(rewritten, workdir / JSON_LINES)
    validated = [line["step"] for line in kept if line["kind"] == "validation"]
    return (kept[-1]["seconds"] if kept else 0.0), max(validated, default=-1)


_REMEDY = "lower optimizer.learning_rate, or set optimizer.clip_norm"


class NanGuard:
    """Counts the latest steps in a row that changed nothing because loss or gradient was not finite.

    Of models that are trained side by side each is counted; the run ends when all of them are stuck.
    """

    def __init__(self, max_skipped: int, workdir: Path) -> None:
        """Gives up after `max_skipped` steps, or never if that is 0; reports go to `workdir`."""
        self._max_skipped, self._workdir = max_skipped, workdir
        self._count, self._warned = np.zeros(1, int), False

    def check(self, step: int, calls: Sequence[tuple[int, Mapping[str, Any]]], state: TrainState) -> None:
        """Counts the steps of some training calls.

        Args:
          step: after the last call.
          calls: how many steps each made, and its metrics on the host.
          state: after the last call.

        Raises:
          RunFailed: nothing was learned for too long; a report is written into the run's folder.
        """
        for num_steps, metrics in calls:
            all_skipped = np.atleast_1d(metrics["skipped"]) == 1  # the mean over the steps of the call
            self._count = np.where(all_skipped, self._count + num_steps, 0)
        if not self._max_skipped:
            return
        is_stuck = self._count >= self._max_skipped
        if is_stuck.all():
            raise RunFailed(self._report(step, calls[-1][1], state))
        if is_stuck.any() and not self._warned:
            logging.warning("models %s learn nothing more: %s", np.flatnonzero(is_stuck).tolist(), _REMEDY)
            self._warned = True

    def _report(self, step: int, last_metrics: Mapping[str, Any], state: TrainState) -> str:
        """Writes a report of what is not finite; returns it in one line."""
        state = parallel.fetch(state)
        not_finite = [
            jax.tree_util.keystr(path)
            for path, leaf in jax.tree_util.tree_leaves_with_path((state.params, state.optimizer_state))
            if not np.isfinite(leaf).all()
        ]
        path = self._workdir / f"not-finite-{step:06d}.json"
        report = {
            "step": step,
            "skipped_in_a_row": self._count.tolist(),
            "skipped_in_all": np.atleast_1d(state.skipped).tolist(),
            "last_metrics": {name: np.asarray(value).tolist() for name, value in last_metrics.items()},
            "not_finite": not_finite,
            "remedy": _REMEDY,
        }
        if processes.is_first():
            path.write_text(json.dumps(report, indent=1) + "\n")
        where = f"{not_finite[0]} is not" if not_finite else "parameters are finite, as before them"
        return (
            f"the last {self._count.min()} steps to step {step} were not finite and changed nothing"
            f" ({where}); {_REMEDY}; {path} tells more"
        )
