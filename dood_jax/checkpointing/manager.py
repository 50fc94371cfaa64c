"""The checkpoints of a run: Orbax writes `RUN/checkpoints/<step>` in the background.

A step holds named pytrees, their metadata with a sha256 of every array, and the bound on validation images if
it was measured. A step is there whole or not at all. Of several processes the first one writes and reads;
what it read it sends to the others, so that a run can go on with any number of devices and processes.
"""

import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from dood_jax.checkpointing import metadata, restore
from dood_jax.checkpointing.metadata import Damaged, Meta
from dood_jax.checkpointing.restore import BOUND, PyTree
from dood_jax.errors import BadInput, RunFailed, first_line
from dood_jax.runtime import parallel, processes

Trees = dict[str, PyTree]  # by name; each is stored in a folder of its own

_FIRST_ALONE = ocp.options.MultiprocessingOptions(
    primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
)


def _bound(metrics: Mapping[str, float]) -> float:
    """What the best step is chosen by: a step that was not measured is worse than all others."""
    return metrics.get(BOUND, -math.inf)


class Checkpoints:
    """Saves and restores the state of one run; to be used alike in every process of the run."""

    def __init__(self, workdir: Path, keep: int = 3) -> None:
        """Opens `workdir/checkpoints`, creating it.

        Args:
          workdir: the folder of the run.
          keep: how many of the newest steps stay; the one with the best bound stays besides.

        Raises:
          BadInput: the folder cannot be written.
        """
        metadata.commit()  # asked for now, because the source may have changed by the first save
        self._directory = (workdir / "checkpoints").resolve()
        self._keep = keep
        self._manager: ocp.CheckpointManager | None = None  # in the first process only
        processes.told_by_first(self._open)

    def _open(self) -> None:
        """Opens Orbax's manager, in the first process."""
        options: dict[str, Any] = {"create": True}
        if jax.process_count() > 1:
            options = {"create": False, "multiprocessing_options": _FIRST_ALONE}
        newest = LatestN(self._keep)
        best = BestN(get_metric_fn=_bound, n=1, keep_checkpoints_without_metrics=False)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(
                self._directory,
                options=ocp.CheckpointManagerOptions(
                    best_fn=_bound,
                    preservation_policy=AnyPreservationPolicy([newest, best]),
                    cleanup_tmp_directories=True,
                    **options,
                ),
            )
        except OSError as error:
            raise BadInput(
                f"{self._directory} cannot be written ({error}); give another --workdir"
            ) from error

    def __enter__(self) -> "Checkpoints":
        """Everything is open already."""
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        """Waits for the last write; raises RunFailed if it failed and nothing else did."""
        if not self._manager:
            return
        try:
            self._manager.wait_until_finished()
        except Exception as error:  # of the disk, by way of Orbax and TensorStore
            if kind is None:
                raise self._failed(error) from error
        finally:
            self._manager.close()

    def save(self, step: int, trees: Trees, meta: Meta, bound: float | None = None) -> None:
        """Writes a step in the background; one that is already on disk is left alone.

        Args:
          step: its number.
          trees: what to keep, by name.
          meta: what to say about it; checksums are added.
          bound: on validation images, in nats, if it was measured at this step.

        Raises:
          RunFailed: this write failed, or the last one did.
        """
        trees = parallel.fetch(trees)
        if not self._manager or step in self._manager.all_steps():
            return
        # Orbax does not take NumPy's scalars for arrays.
        trees = {name: jax.tree_util.tree_map(np.asarray, tree) for name, tree in trees.items()}
        sha256 = {path: one for tree in trees.values() for path, one in restore.checksums(tree).items()}
        items = {name: ocp.args.StandardSave(tree) for name, tree in trees.items()}
        items["meta"] = ocp.args.JsonSave({**meta, "sha256": sha256})
        metrics = {BOUND: bound} if bound is not None and math.isfinite(bound) else {}
        try:
            saved = self._manager.save(step, args=ocp.args.Composite(**items), metrics=metrics)
        except Exception as error:  # of the disk, by way of Orbax and TensorStore
            raise self._failed(error) from error
        if not saved:
            raise self._failed(RuntimeError(f"step {step} was not taken"))

    def _failed(self, error: Exception) -> RunFailed:
        """The error of a write, with what is left to go on from."""
        whole = sorted(int(path.name) for path in self._directory.glob("[0-9]*") if path.name.isdigit())
        left = (
            f"step {whole[-1]} is whole, and the same command goes on from it" if whole else "none is there"
        )
        return RunFailed(
            f"no checkpoint could be written to {self._directory} ({first_line(error)[:200]}); {left}"
        )

    def restore_latest(self, templates: Trees, check: Callable[[Meta, Path], None]) -> Trees | None:
        """The trees of the newest step that is whole, or None if the run has no step yet.

        Damaged steps are passed over with a warning.

        Args:
          templates: trees of the same structure, with arrays of the same shapes and types.
          check: called with the metadata and the folder of the steps; raises BadInput if the step is one of
            another run.

        Returns:
          The trees, with NumPy arrays.

        Raises:
          BadInput: from `check`, or every step is damaged.
        """
        shapes = jax.tree_util.tree_map(lambda leaf: np.zeros(np.shape(leaf), leaf.dtype), templates)
        found: list[Trees | None] = []

        def newest() -> bool:
            found.append(self._newest(self._manager, shapes, check) if self._manager else None)
            return found[0] is not None

        if not processes.told_by_first(newest):
            return None
        return processes.arrays_of_first(found[0] if found else None, shapes)

    def _newest(
        self, manager: ocp.CheckpointManager, shapes: Trees, check: Callable[[Meta, Path], None]
    ) -> Trees | None:
        """The trees of the newest step that is whole."""
        steps = sorted(manager.all_steps(), reverse=True)
        damaged: list[int] = []
        for step in steps:
            try:
                meta = metadata.read_meta(self._directory / str(step))
                check(meta, self._directory)
                trees = self._restore(manager, step, meta, shapes)
            except Damaged as error:
                logging.warning("checkpoint %d is damaged (%s); trying the one before", step, error)
                damaged.append(step)
            else:
                self._set_aside(manager, damaged)
                return trees
        if steps:
            raise BadInput(f"no checkpoint in {self._directory} is readable; move it away to start afresh")
        return None

    def _restore(self, manager: ocp.CheckpointManager, step: int, meta: Meta, shapes: Trees) -> Trees:
        """The trees of one step; raises Damaged unless they are what was written."""
        try:
            for name, tree in shapes.items():
                restore.require_stored(self._directory / str(step) / name, tree)
            items = {name: ocp.args.StandardRestore(tree) for name, tree in shapes.items()}
            restored = manager.restore(step, args=ocp.args.Composite(**items))
        except Exception as error:  # Orbax raises many kinds
            raise Damaged(first_line(error)) from error
        trees = {name: restored[name] for name in shapes}
        for tree in trees.values():
            restore.verify(tree, meta)
        return trees

    def _set_aside(self, manager: ocp.CheckpointManager, damaged: list[int]) -> None:
        """Renames damaged steps: Orbax saves nothing at or below the newest step that it sees."""
        for step in damaged:
            aside = self._directory / f"damaged-{step}"
            shutil.rmtree(aside, ignore_errors=True)
            (self._directory / str(step)).rename(aside)
        manager.reload()
