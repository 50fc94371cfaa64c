"""When step after step is not finite, a run gives up and says what it knows."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import logging

from dood_jax.errors import RunFailed
from dood_jax.training import distributed, parallel
from dood_jax.training.state import TrainState

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
        if distributed.is_first():
            path.write_text(json.dumps(report, indent=1) + "\n")
        where = f"{spoilt[0]} is not" if spoilt else "parameters are finite, as before them"
        return (
            f"the last {self._count.min()} steps to step {step} were not finite and changed nothing"
            f" ({where}); {_REMEDY}; {path} tells more"
        )
