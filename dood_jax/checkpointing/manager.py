"""The checkpoints of a run: Orbax writes `DIR/checkpoints/<step>` in the background.

A step holds params, the rest of the state, and a JSON meta with a sha256 of every array. It is there whole or
not at all. Of several processes the first writes and reads; what it read goes to the others over the wire, so
that a run goes on with any number of devices and processes.
"""

import dataclasses
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint import checkpoint_managers

from dood_jax.checkpointing import metadata, restore
from dood_jax.checkpointing.metadata import Damaged
from dood_jax.checkpointing.restore import checksums, verify
from dood_jax.config.groups import Config
from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput, RunFailed, first_line
from dood_jax.runtime import parallel, processes
from dood_jax.training.state import TrainState
from dood_jax.version import VERSION

_FIRST_ALONE = ocp.options.MultiprocessingOptions(
    primary_host=0, active_processes={0}, barrier_sync_key_prefix="first"
)


class NewestAndBest(checkpoint_managers.PreservationPolicy):
    """Keeps the newest steps, and the one with the best bound on held-out images so far."""

    def __init__(self, workdir: Path, newest: int) -> None:
        """Bounds are those in the metrics of the run in `workdir`."""
        self._workdir, self._newest = workdir, newest

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """For each checkpoint, oldest first, whether it stays."""
        del context
        steps = [one.step for one in checkpoints]
        stay = {*sorted(steps)[-self._newest :], restore.best_of(self._workdir, steps)}
        return [step in stay for step in steps]


class Checkpoints:
    """Saves and restores the state of one run; in every process of it."""

    def __init__(self, workdir: Path, keep: int = 3) -> None:
        """Opens `workdir/checkpoints`, creating it, to keep so many; raises BadInput if it cannot be."""
        restore.commit()  # now: the source may have another by the first save
        self._directory = (workdir / "checkpoints").resolve()
        self._policy = NewestAndBest(workdir, keep)
        self._manager: ocp.CheckpointManager | None = None
        processes.told_by_first(self._open)

    def _open(self) -> None:
        together = jax.process_count() > 1
        options = ocp.CheckpointManagerOptions(
            preservation_policy=self._policy,
            cleanup_tmp_directories=True,
            create=not together,
            **({"multiprocessing_options": _FIRST_ALONE} if together else {}),
        )
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._manager = ocp.CheckpointManager(self._directory, options=options)
        except OSError as error:
            raise BadInput(
                f"{self._directory} cannot be written ({error}); give another --workdir"
            ) from error

    def __enter__(self) -> "Checkpoints":
        """Nothing more to open."""
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

    def save(self, config: Config, state: TrainState) -> None:
        """Writes the state in the background; a step already on disk is left alone.

        Raises RunFailed if this or the last write failed.
        """
        state = parallel.fetch(state)
        if not self._manager or state.steps_done in self._manager.all_steps():
            return
        items = ocp.args.Composite(
            params=ocp.args.StandardSave(_arrays(state.params)),
            state=ocp.args.StandardSave(_arrays(state._replace(params=()))),
            meta=ocp.args.JsonSave(_meta(config, state)),
        )
        try:
            saved = self._manager.save(state.steps_done, args=items)
        except Exception as error:  # of the disk, by way of Orbax and TensorStore
            raise self._failed(error) from error
        if not saved:
            raise self._failed(RuntimeError(f"step {state.steps_done} was not taken"))

    def _failed(self, error: Exception) -> RunFailed:
        """Says what is left."""
        whole = sorted(int(path.name) for path in self._directory.glob("[0-9]*") if path.name.isdigit())
        kept = (
            f"step {whole[-1]} is whole, and the same command goes on from it" if whole else "none is there"
        )
        return RunFailed(
            f"no checkpoint could be written to {self._directory} ({first_line(error)[:200]}); {kept}"
        )

    def restore_latest(self, config: Config, template: TrainState) -> TrainState | None:
        """The newest state that is whole, as NumPy arrays, or None if there is none.

        Damaged ones are passed over, loudly. Raises BadInput for a run of another model, or if every
        checkpoint is damaged.
        """
        shapes = jax.tree_util.tree_map(lambda leaf: np.zeros(np.shape(leaf), leaf.dtype), template)
        found = []

        def newest() -> bool:
            found.append(self._newest(config, shapes))
            return found[0] is not None

        if not processes.told_by_first(newest):
            return None
        return processes.arrays_of_first(found[0] if found else None, shapes)

    def _newest(self, config: Config, shapes: TrainState) -> TrainState | None:
        steps = sorted(self._manager.all_steps(), reverse=True)
        damaged: list[int] = []
        for step in steps:
            try:
                meta = restore.read_meta(self._directory / str(step))
                _check_same_run(meta, config, self._directory)
                state = self._restore(step, meta, shapes)
                self._set_aside(damaged)
                return state
            except Damaged as error:
                logging.warning("checkpoint %d is damaged (%s); trying the one before", step, error)
                damaged.append(step)
        if steps:
            raise BadInput(f"no checkpoint in {self._directory} is readable; move it away to start afresh")
        return None

    def _set_aside(self, damaged: list[int]) -> None:
        """Renames damaged steps: Orbax saves nothing at or below the newest step that it sees."""
        for step in damaged:
            aside = self._directory / f"damaged-{step}"
            shutil.rmtree(aside, ignore_errors=True)
            (self._directory / str(step)).rename(aside)
        self._manager.reload()

    def _restore(self, step: int, meta: dict, shapes: TrainState) -> TrainState:
        params, rest = shapes.params, shapes._replace(params=())
        try:
            for item, wanted in (("params", params), ("state", rest)):
                restore.require_stored(self._directory / str(step) / item, wanted)
            items = ocp.args.Composite(
                params=ocp.args.StandardRestore(params), state=ocp.args.StandardRestore(rest)
            )
            restored = self._manager.restore(step, args=items)
        except Exception as error:  # Orbax raises many kinds
            raise Damaged(first_line(error)) from error
        verify(restored["params"], meta)
        verify(restored["state"], meta)
        return restored["state"]._replace(params=restored["params"])


def _arrays(tree: Any) -> Any:
    """Of no rank too: Orbax does not take NumPy's scalars for arrays."""
    return jax.tree_util.tree_map(np.asarray, tree)


def _meta(config: Config, state: TrainState) -> dict[str, Any]:
    several = {"members": config.members} if len(config.members) > 1 else {}
    return {
        "format": metadata.FORMAT,
        "step": state.steps_done,
        "config": config.as_dict(),
        **several,
        "brush": {name: np.asarray(value).tolist() for name, value in state.brush._asdict().items()},
        "arguments": sys.argv[1:],
        "commit": restore.commit(),
        "version": VERSION,
        "device": parallel.device_name(),
        "dtype": "float32",
        "sha256": {**checksums(state.params), **checksums(state._replace(params=()))},
    }


def _check_same_run(meta: dict[str, Any], config: Config, directory: Path) -> None:
    """A run goes on with the model, the images and the seed it began with."""
    stored, given = meta["config"], config.as_dict()
    fixed = [("model", key) for key in given["model"] if key != "unroll"]
    fixed += [("data", "name"), ("data", "names"), ("training", "seed"), ("training", "num_models")]
    fixed += [("objective", "stopping")]
    defaults = {**dataclasses.asdict(ModelConfig()), "names": "", "num_models": 1}  # of runs begun before
    for group, key in fixed:
        value, wanted = stored.get(group, {}).get(key, defaults.get(key)), given[group].get(key)
        if wanted != value:
            raise BadInput(
                f"{directory} holds a run with {group}.{key}={value!r}, not {wanted!r};"
                " give another --workdir or the same settings"
            )
