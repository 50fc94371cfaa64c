"""Where a run's numbers go: JSON lines always, TensorBoard, the log, and a progress bar on a terminal."""

import json
import os
import sys
import time
from pathlib import Path

import jax
import numpy as np
from absl import logging
from tensorboardX import SummaryWriter
from tqdm import tqdm

_JSON_LINES = "metrics.jsonl"


class MetricWriter:
    """Writes the metrics of a run that goes on at `step`; lines of steps after it are dropped."""

    def __init__(self, workdir: Path, step: int, num_steps: int, batch_size: int) -> None:
        """Opens the files under `workdir`."""
        _drop_lines_after(workdir / _JSON_LINES, step)
        self._lines = (workdir / _JSON_LINES).open("a")
        self._board = SummaryWriter(str(workdir / "tensorboard"), purge_step=step + 1)
        self._bar = tqdm(total=num_steps, initial=step, unit="step", disable=not sys.stderr.isatty())
        self._batch_size = batch_size
        self._last_step, self._last_time = step, time.monotonic()
        self._since_last: list[dict[str, jax.Array]] = []

    def __enter__(self) -> "MetricWriter":
        """Nothing more to open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self._lines.close()
        self._board.close()
        self._bar.close()

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Takes the metrics of one training call, without waiting for them."""
        self._since_last.append(metrics)

    def training(self, step: int) -> None:
        """Writes the means of the metrics added since the last call, and the speed."""
        added = jax.device_get(self._since_last)
        metrics = {name: float(np.mean([one[name] for one in added])) for name in added[0]}
        self._since_last = []
        now = time.monotonic()
        speed = (step - self._last_step) * self._batch_size / max(now - self._last_time, 1e-9)
        self._last_step, self._last_time = step, now
        self._write("train", step, {**metrics, "images_per_second": speed})
        self._bar.update(step - self._bar.n)
        self._bar.set_postfix_str(
            f"{metrics['elbo']:.0f} nats, {metrics['strokes']:.1f} strokes, {speed:.0f} images/s"
        )

    def held_out(self, step: int, metrics: dict[str, float]) -> None:
        """Metrics on held-out pictures."""
        self._write("held_out", step, metrics)
        self._last_time = time.monotonic()

    def _write(self, kind: str, step: int, metrics: dict[str, float]) -> None:
        rounded = {name: float(f"{value:.6g}") for name, value in metrics.items()}
        print(json.dumps({"step": step, "kind": kind, **rounded}), file=self._lines, flush=True)
        for name, value in rounded.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)
        if self._bar.disable or kind == "held_out":
            text = ", ".join(f"{name} {value:g}" for name, value in rounded.items())
            logging.info("step %d %s: %s", step, kind.replace("_", " "), text)


def _drop_lines_after(path: Path, step: int) -> None:
    """Keeps the lines of steps up to `step`, so that a resumed run tells each step once."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (json.JSONDecodeError, KeyError, TypeError):
            continue  # a line torn by a kill
    whole = path.with_suffix(".tmp")
    whole.write_text("".join(line + "\n" for line in kept))
    os.replace(whole, path)
