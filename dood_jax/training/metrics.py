"""What a run tells of itself: metrics.jsonl, TensorBoard, progress lines, and the count of skipped steps.

Where a run's numbers go: JSON lines always, TensorBoard, the log, and a progress bar on a terminal.

When step after step is not finite, a run gives up and says what it knows.
"""

import io
import json
import logging as stdlib_logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging
from tensorboardX import SummaryWriter
from tqdm import tqdm

from dood_jax.checkpointing.restore import JSON_LINES, read_lines
from dood_jax.errors import RunFailed
from dood_jax.runtime import parallel, processes
from dood_jax.training.state import TrainState

Metric = float | np.ndarray

_PACKAGE = str(Path(__file__).parents[1])
_ORBAX = f"{os.sep}orbax{os.sep}"


class _Gate(stdlib_logging.Filter):
    """Holds our lines back until a run's input has been accepted: bad input is answered by one line alone.

    Libraries that share absl's log are heard from warnings upward, Orbax without its tracebacks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held: list[stdlib_logging.LogRecord] | None = []

    def filter(self, record: stdlib_logging.LogRecord) -> bool:
        if not record.pathname.startswith(_PACKAGE):
            if _ORBAX in record.pathname:
                record.exc_info = None
            return record.levelno >= stdlib_logging.WARNING
        if self.held is None:
            return True
        self.held.append(record)
        return False


_GATE = _Gate()


def hold_log() -> None:
    """Logs from INFO upward to stderr, but nothing of ours before `show_log`."""
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(_GATE)
    sys.unraisablehook = _tell_once


def _tell_once(unraisable: Any) -> None:
    """Keeps quiet about writes of a checkpoint that fail after the first one, of which a run tells in a line.

    TensorStore reports each to Orbax's event loop, gone by then, and prints the traceback of that.
    """
    error = unraisable.exc_value
    if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):
        sys.__unraisablehook__(unraisable)


def show_log() -> None:
    """Writes what was held back, and from now on everything at once; all but the first process only warn."""
    if not processes.is_first():
        logging.set_verbosity(logging.WARNING)
    held, _GATE.held = _GATE.held or [], None
    for record in held:
        if record.levelno >= logging.get_absl_logger().level:
            logging.get_absl_handler().handle(record)


class MetricWriter:
    """Writes the metrics of a run that goes on at `step`; lines of steps after it are dropped.

    A metric is a number, or of several models trained side by side an array [N] in their order.
    """

    def __init__(self, workdir: Path, step: int, num_steps: int, batch_size: int) -> None:
        """Opens the files under `workdir`; `batch_size` is that of all models together."""
        self._seconds_before, self.last_held_out = processes.told_by_first(lambda: _go_on(workdir, step))
        self._writes = processes.is_first()
        self._lines = (workdir / JSON_LINES).open("a") if self._writes else io.StringIO()
        self._board = (
            SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1) if self._writes else None
        )
        self._bar = tqdm(total=num_steps, initial=step, unit="step", disable=not self._shows_bar())
        self._batch_size = batch_size
        self._started = time.monotonic()
        self._last_step, self._last_time = step, self._started
        self._has_begun = False
        self._since_last: list[dict[str, jax.Array]] = []

    def __enter__(self) -> "MetricWriter":
        """Nothing more to open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self._lines.close()
        self._bar.close()
        if self._board:
            self._board.close()

    def _shows_bar(self) -> bool:
        return self._writes and sys.stderr.isatty()

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Takes the metrics of one training call, without waiting for them."""
        self._since_last.append(metrics)

    def note_first_call(self) -> None:
        """Logs, once, how long the first training call took to be compiled and begun."""
        if not self._has_begun:
            logging.info("first step after %.1f s, compilation included", time.monotonic() - self._started)
            self._has_begun = True

    def training(self, step: int) -> list[tuple[int, dict[str, Metric]]]:
        """Writes the means of the metrics added since the last time, and the speed.

        Returns how many steps each training call since then made, and its metrics.
        """
        added = parallel.fetch(self._since_last)
        steps_a_call = (step - self._last_step) // len(added)
        metrics = {name: _mean_of_finite([one[name] for one in added]) for name in added[0]}
        self._since_last = []
        now = time.monotonic()
        speed = (step - self._last_step) * self._batch_size / max(now - self._last_time, 1e-9)
        self._last_step, self._last_time = step, now
        self._write("train", step, {**metrics, "images_per_second": speed})
        self._bar.update(step - self._bar.n)
        elbo, strokes = np.mean(metrics["elbo"]), np.mean(metrics["strokes"])
        self._bar.set_postfix_str(f"{elbo:.0f} nats, {strokes:.1f} strokes, {speed:.0f} images/s")
        return [(steps_a_call, one) for one in added]

    def held_out(self, step: int, metrics: dict[str, Metric]) -> None:
        """Metrics on held-out images."""
        self._write("held_out", step, metrics)
        self.last_held_out = step
        self._last_time = time.monotonic()

    def _write(self, kind: str, step: int, metrics: dict[str, Metric]) -> None:
        if not self._writes:
            return
        rounded = {name: _rounded(value) for name, value in metrics.items() if np.any(np.isfinite(value))}
        seconds = round(self._seconds_before + time.monotonic() - self._started, 1)
        self._lines.write(json.dumps({"step": step, "kind": kind, "seconds": seconds, **rounded}) + "\n")
        self._lines.flush()
        for name, value in rounded.items():
            for which, one in enumerate(value if isinstance(value, list) else [value]):
                tag = f"{kind}/{name}/{which}" if isinstance(value, list) else f"{kind}/{name}"
                self._board.add_scalar(tag, np.nan if one is None else one, step)
        if self._bar.disable or kind == "held_out":
            text = ", ".join(f"{name} {_as_text(value)}" for name, value in rounded.items())
            logging.info("step %d %s: %s", step, kind.replace("_", " "), text)


def _mean_of_finite(values: list[Metric]) -> np.ndarray:
    """Mean over steps; skipped steps have no finite loss, and NaN is the mean of none."""
    finite = np.isfinite(values)
    return np.where(finite, values, 0).sum(0) / np.where(finite.any(0), finite.sum(0), np.nan)


def _rounded(value: Metric) -> float | list[float | None]:
    """To six digits, as JSON knows it: None where a model has no finite value."""
    if np.ndim(value):
        return [float(f"{one:.6g}") if np.isfinite(one) else None for one in value]
    return float(f"{value:.6g}")


def _as_text(value: float | list[float | None]) -> str:
    return (
        " ".join("-" if one is None else f"{one:g}" for one in value)
        if isinstance(value, list)
        else f"{value:g}"
    )


def _go_on(workdir: Path, step: int) -> tuple[float, int]:
    """Drops later lines, so that a resumed run tells each step once; seconds, and last step held out."""
    kept = [line for line in read_lines(workdir) if line["step"] <= step]
    whole = workdir / (JSON_LINES + ".tmp")
    whole.write_text("".join(json.dumps(line) + "\n" for line in kept))
    os.replace(whole, workdir / JSON_LINES)
    held_out = [line["step"] for line in kept if line["kind"] == "held_out"]
    return (kept[-1]["seconds"] if kept else 0.0), max(held_out, default=-1)


_REMEDY = "lower optimizer.learning_rate, or set optimizer.clip_norm"


class SkippedInARow:
    """Counts the steps, up to the last, that changed nothing because loss or gradient was not finite.

    Of models trained side by side each is counted; the run ends when all of them are stuck.
    """

    def __init__(self, most: int, workdir: Path) -> None:
        """Gives up after `most` steps; never if that is 0."""
        self._most, self._workdir = most, workdir
        self._count, self._warned = np.zeros(1, int), False

    def note(self, step: int, calls: list[tuple[int, dict[str, Any]]], state: TrainState) -> None:
        """Takes the metrics of training calls.

        Args:
          step: the last one's.
          calls: how many steps each made, and its metrics on the host.
          state: after them.

        Raises:
          RunFailed: nothing was learned for too long; a report is written into the run's folder.
        """
        for steps, metrics in calls:
            stuck = np.atleast_1d(metrics["skipped"]) == 1
            self._count = np.where(stuck, self._count + steps, 0)
        if not self._most:
            return
        too_long = self._count >= self._most
        if too_long.all():
            raise RunFailed(self._report(step, calls[-1][1], state))
        if too_long.any() and not self._warned:
            logging.warning("models %s learn nothing more: %s", np.flatnonzero(too_long).tolist(), _REMEDY)
            self._warned = True

    def _report(self, step: int, last: dict[str, Any], state: TrainState) -> str:
        """Writes what is known; returns it in one line."""
        state = parallel.fetch(state)
        spoilt = [
            jax.tree_util.keystr(path)
            for path, leaf in jax.tree_util.tree_leaves_with_path((state.params, state.optimizer_state))
            if not np.isfinite(leaf).all()
        ]
        path = self._workdir / f"not-finite-{step:06d}.json"
        report = {
            "step": step,
            "skipped_in_a_row": self._count.tolist(),
            "skipped_in_all": np.atleast_1d(state.skipped).tolist(),
            "last_metrics": {name: np.asarray(value).tolist() for name, value in last.items()},
            "not_finite": spoilt,
            "remedy": _REMEDY,
        }
        if processes.is_first():
            path.write_text(json.dumps(report, indent=1) + "\n")
        where = f"{spoilt[0]} is not" if spoilt else "parameters are finite, as before them"
        return (
            f"the last {self._count.min()} steps to step {step} were not finite and changed nothing"
            f" ({where}); {_REMEDY}; {path} tells more"
        )
