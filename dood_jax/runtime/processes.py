"""Several processes that train as one: how they find each other, and what the first tells the others.

Only the first process touches the folder of a run. What it reads there, and what it refuses, it sends to the
others, so that all go the same way and the folder need not be shared between hosts. JAX's own runtime watches
over the processes: when one dies or stalls, the others are ended within `training.heartbeat` seconds, and
their logs say which one was lost.
"""

import contextlib
import json
import os
import re
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import jax
import numpy as np
from absl import logging
from jax.experimental import multihost_utils

from dood_jax.config.groups import TrainingConfig
from dood_jax.errors import BadInput, RunFailed, first_line

_LOST = "(?i)gloo|nccl|coordination service|peer|socket closed"  # what JAX says when another process is gone
_NOTHING_FOUND = "coordinator_address should be defined"  # what JAX says when it detects no cluster


class Place(NamedTuple):
    """Where the processes meet, how many they are, and which one this is; None: JAX asks the cluster."""

    coordinator: str | None
    num_processes: int | None
    process_id: int | None


def join(training: TrainingConfig) -> None:
    """Joins the other processes of the run, if there are any; to be called before JAX looks for devices.

    JAX itself detects SLURM, Open MPI, Cloud TPU, GKE and indexed Kubernetes jobs.

    Raises:
      BadInput: `training.distributed` is on and no others are found, or they cannot be joined.
    """
    if training.distributed == "off" or jax.distributed.is_initialized():
        return
    place, optional = _given(training), training.distributed == "auto"
    if optional and not place.coordinator and _is_started_alone():
        return
    try:
        jax.distributed.initialize(
            *place,
            initialization_timeout=training.join_timeout,
            heartbeat_timeout_seconds=training.heartbeat,
            shutdown_timeout_seconds=training.join_timeout,
        )
    except Exception as error:  # JAX raises kinds of its own for each cluster
        if optional and _NOTHING_FOUND in str(error):
            return
        raise BadInput(
            f"training.distributed={training.distributed!r}: the processes do not find each other"
            f" ({place.coordinator or 'no coordinator given'}: {first_line(error)}); give"
            " training.coordinator, num_processes and process_id, or off"
        ) from error
    _introduce()


def _given(training: TrainingConfig) -> Place:
    """What the settings say, and where they are silent the environment."""
    process_id = training.process_id if training.process_id >= 0 else None
    return Place(
        training.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS"),
        training.num_processes or _number("JAX_NUM_PROCESSES"),
        _number("JAX_PROCESS_ID", "JOB_COMPLETION_INDEX") if process_id is None else process_id,
    )


def _number(*names: str) -> int | None:
    """The first of some environment variables that is set; raises BadInput if it is not a number."""
    for name in names:
        if name in os.environ:
            if not os.environ[name].isdecimal():
                raise BadInput(f"${name}={os.environ[name]!r} is no number; give one or unset it")
            return int(os.environ[name])
    return None


def _is_started_alone() -> bool:
    """Whether a scheduler started this process with no others beside it.

    JAX would take a SLURM or Open MPI job of one task for a cluster, and show the task one device only; and
    in any pod of Kubernetes it would ask for the other pods of a job.
    """
    known = os.environ
    if {known[name] for name in ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE") if name in known} == {"1"}:
        return True
    in_job = "JOB_COMPLETION_INDEX" in known or "TPU_WORKER_HOSTNAMES" in known
    return "KUBERNETES_SERVICE_HOST" in known and not in_job


def _introduce() -> None:
    """Writes into the log who the processes are, so that a lost one can be found."""
    name = f"{socket.gethostname()} (pid {os.getpid()})".encode()[:128].ljust(128)
    names = multihost_utils.process_allgather(np.frombuffer(name, np.uint8)).reshape(-1, 128)
    for which, other in enumerate(names):
        host = other.tobytes().decode(errors="replace").strip()
        logging.info("process %d of %d: %s", which, jax.process_count(), host)


def is_first() -> bool:
    """Whether this is the process that reads and writes the run's folder."""
    return is_alone() or jax.process_index() == 0


def is_alone() -> bool:
    """Whether there is one process only. JAX does not look for devices because of this question."""
    return not jax.distributed.is_initialized() or jax.process_count() == 1


@contextlib.contextmanager
def results_folder(workdir: Path) -> Iterator[Path]:
    """The folder for results: `workdir` in the first process, elsewhere one that is thrown away."""
    if is_first():
        yield workdir
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def end_beside_others(error: Exception, is_known: bool, patience: int = 300) -> NoReturn:
    """Ends this process with exit code 1 and without waiting for the others, which find it gone.

    Args:
      error: why it ends. If it is because another process is gone, it first waits for JAX's runtime to tell
        which one, and that ends it, too.
      is_known: whether the error was reported already; else its traceback is printed.
      patience: seconds to wait for the runtime.
    """
    if not isinstance(error, RunFailed) and re.search(_LOST, str(error)):
        said = "another process is gone (%s); JAX's runtime tells within the heartbeat which one"
        logging.error(said, first_line(error)[:200])
        time.sleep(patience)
    elif not is_known:
        traceback.print_exception(error)
    sys.stderr.flush()
    os._exit(1)


def told_by_first(decide: Callable[[], Any]) -> Any:
    """Calls a function in the first process; its result or its BadInput comes out in every process.

    The result must be a plain value that JSON can hold; where there is one process only, it may be anything.
    """
    if is_alone():
        return decide()
    answer: dict[str, Any] = {}
    if is_first():
        try:
            answer = {"decided": decide()}
        except BadInput as refusal:
            answer = {"refused": str(refusal)}
    said = json.loads(_bytes_of_first(json.dumps(answer).encode()))
    if "refused" in said:
        raise BadInput(said["refused"])
    return said["decided"]


def arrays_of_first(tree: Any, shapes: Any) -> Any:
    """The first process's tree of NumPy arrays, bit for bit, in every process.

    Args:
      tree: the arrays; only the first process needs them.
      shapes: in every process, a tree of arrays of the same structure, shapes and types.
    """
    if is_alone():
        return tree
    leaves = jax.tree_util.tree_leaves(tree) if is_first() else []
    content = _bytes_of_first(b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in leaves))
    taken, start = [], 0
    for leaf in jax.tree_util.tree_leaves(shapes):
        dtype, count = np.dtype(leaf.dtype), int(np.prod(leaf.shape))
        taken.append(np.frombuffer(content, dtype, count, start).reshape(leaf.shape).copy())
        start += dtype.itemsize * count
    return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(shapes), taken)


def _bytes_of_first(content: bytes) -> bytes:
    """The first process's bytes, in every process."""
    # JAX broadcasts by summing over processes. Whole numbers of one byte are summed without rounding, so that
    # not even the sign of a zero is lost.
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    mine = np.frombuffer(content.ljust(size) if is_first() else bytes(size), np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(mine)).astype(np.uint8).tobytes()
