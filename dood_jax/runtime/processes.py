"""Several processes that train as one: how they find each other, and what the first tells the others.

Only the first process touches the folder of a run; what it reads there, and what it refuses, it tells the
rest, so that all go the same way and a folder need not be shared between hosts. JAX's own runtime watches
over them: when one dies or stalls, the others are ended within `training.heartbeat` seconds, and told which.
"""

import contextlib
import importlib.util
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

_TPU_DEVICES = ("/dev/accel0", "/dev/vfio/0")
_LOST = "(?i)gloo|nccl|coordination service|peer|socket closed"  # what JAX says when another process is gone


class Place(NamedTuple):
    """Where the processes meet, how many they are, and which one this is; None: the cluster knows."""

    coordinator: str | None
    num_processes: int | None
    process_id: int | None


def join(training: TrainingConfig) -> None:
    """Joins the other processes of the run, if there are any; to be called before JAX is asked for devices.

    Raises BadInput where `training.distributed` is on and no others are found, or they cannot be joined.
    """
    if training.distributed == "off" or jax.distributed.is_initialized():
        return
    place, cluster = _given(training), _cluster()
    if training.distributed == "auto" and not place.coordinator and not cluster:
        return
    try:
        jax.distributed.initialize(
            *place,
            initialization_timeout=training.join_timeout,
            heartbeat_timeout_seconds=training.heartbeat,
            shutdown_timeout_seconds=training.join_timeout,
        )
    except Exception as error:  # JAX raises kinds of its own for each cluster
        where = place.coordinator or cluster or "no cluster found"
        raise BadInput(
            f"training.distributed={training.distributed!r}: the processes do not find each other ({where}:"
            f" {first_line(error)}); give training.coordinator, num_processes and process_id, or off"
        ) from error
    _introduce()


def _given(training: TrainingConfig) -> Place:
    """What the settings and the environment say."""
    number = lambda given, *names: (
        given or next((_number(name) for name in names if name in os.environ), None)
    )
    process_id = training.process_id if training.process_id >= 0 else None
    return Place(
        training.coordinator or os.environ.get("JAX_COORDINATOR_ADDRESS"),
        number(training.num_processes or None, "JAX_NUM_PROCESSES"),
        process_id if process_id is not None else number(None, "JAX_PROCESS_ID", "JOB_COMPLETION_INDEX"),
    )


def _number(name: str) -> int:
    """A number from the environment; raises BadInput for anything else."""
    if not os.environ[name].isdecimal():
        raise BadInput(f"${name}={os.environ[name]!r} is no number; give one or unset it")
    return int(os.environ[name])


def _cluster() -> str:
    """The kind of cluster this process is started on with others beside it; empty if there is none."""
    known = os.environ
    if known.get("SLURM_STEP_NODELIST") and known.get("SLURM_NTASKS", "1") != "1":
        return "SLURM"
    if known.get("OMPI_COMM_WORLD_SIZE", "1") != "1":
        return "Open MPI"
    on_tpu = importlib.util.find_spec("libtpu") and any(Path(device).exists() for device in _TPU_DEVICES)
    if on_tpu or "," in known.get("TPU_WORKER_HOSTNAMES", ""):
        return "Cloud TPU"
    if "KUBERNETES_SERVICE_HOST" in known and "JOB_COMPLETION_INDEX" in known:
        if importlib.util.find_spec("kubernetes"):
            return "Kubernetes"
        logging.warning("an indexed Kubernetes job, but JAX needs `pip install jax[k8s]` to find its pods")
    return ""


def _introduce() -> None:
    """Writes into the log of the first process who the others are, so that a lost one can be found."""
    name = f"{socket.gethostname()} (pid {os.getpid()})".encode()[:128].ljust(128)
    names = multihost_utils.process_allgather(np.frombuffer(name, np.uint8)).reshape(-1, 128)
    for which, other in enumerate(names):
        host = other.tobytes().decode(errors="replace").strip()
        logging.info("process %d of %d: %s", which, jax.process_count(), host)


def is_first() -> bool:
    """Whether this is the process that reads and writes the run's folder."""
    return is_alone() or jax.process_index() == 0


def is_alone() -> bool:
    """Whether there is one process only; does not look for devices."""
    return not jax.distributed.is_initialized() or jax.process_count() == 1


@contextlib.contextmanager
def results_folder(workdir: Path) -> Iterator[Path]:
    """Where results go: of several processes only the first's are kept."""
    if is_first():
        yield workdir
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def end_beside_others(error: Exception, is_known: bool, patience: int = 300) -> NoReturn:
    """Ends this process, exit code 1, without waiting for others, who find it gone.

    If it was ended because another is gone, it waits for the runtime to tell which; that ends it, too.
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
    """What the first process decides, plain values as of JSON, in every process; likewise its BadInput."""
    if is_alone():
        return decide()
    said = {}
    if is_first():
        try:
            said = {"decided": decide()}
        except BadInput as refusal:
            said = {"refused": str(refusal)}
    said = json.loads(_bytes_of_first(json.dumps(said).encode()))
    if "refused" in said:
        raise BadInput(said["refused"])
    return said["decided"]


def arrays_of_first(tree: Any, shapes: Any) -> Any:
    """The first process's tree of NumPy arrays, bit for bit, in every process.

    Args:
      tree: in the first process; of no account in the others.
      shapes: a tree of arrays like it.
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
    """Numbers of one byte are summed without rounding, so that not even the sign of a zero is lost."""
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    mine = np.frombuffer(content.ljust(size) if is_first() else bytes(size), np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(mine)).astype(np.uint8).tobytes()
