"""Ends a run in which step after step is not finite, and says what is known about it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from dood_jax.errors import RunFailed
from dood_jax.runtime import parallel, processes
from dood_jax.training.state import TrainState

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
