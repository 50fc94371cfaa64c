"""Stopping a run by a signal, and the lock that keeps a second process out of its folder.

After Ctrl-C or SIGTERM a run finishes its step, saves and leaves; several processes all stop after the same
step.
"""

import errno
import json
import os
import signal
import socket
import time
from pathlib import Path
from types import FrameType
from typing import Any

import filelock
import jax
from absl import logging
from jax.experimental import multihost_utils

from dood_jax.errors import BadInput
from dood_jax.runtime import processes

_WATCHED = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Remembers the first stop signal while open; a second one acts at once.

    With several processes JAX's runtime takes SIGTERM, whichever process gets it, and finds the step at which
    all of them can stop.
    """

    def __init__(self) -> None:
        """Starts with no signal received."""
        self.received: int | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self._together = jax.process_count() > 1

    def __enter__(self) -> "StopSignals":
        """Takes over the handlers."""
        watched = _WATCHED[:1] if self._together else _WATCHED
        self._previous = {number: signal.signal(number, self._remember) for number in watched}
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the handlers back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def stop_now(self, call: int) -> bool:
        """Whether to stop before a training call.

        Every process must ask once for each call, with its number, counted from 0.
        """
        if not self._together:
            return self.received is not None
        reached = multihost_utils.reached_preemption_sync_point(call)
        if reached:
            self.received = self.received or signal.SIGTERM
        return reached

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.received = number
        self.__exit__()
        if self._together:
            os.kill(os.getpid(), signal.SIGTERM)  # the one signal that JAX's runtime knows


# Errors of file systems that have no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class RunLock:
    """Holds the lock of a run's folder while open, in the first process of the run.

    The system drops the lock together with its process, however that ends.
    """

    def __init__(self, workdir: Path) -> None:
        """Does not take the lock yet."""
        self._workdir = workdir
        self._lock = filelock.FileLock(workdir / "run.lock")
        # Beside the lock, whose own content belongs to `filelock`.
        self._holder = workdir / "run.holder.json"

    def __enter__(self) -> "RunLock":
        """Takes the lock; raises BadInput, naming its holder, if another process has it."""
        processes.told_by_first(self._take)
        return self

    def __exit__(self, *_: object) -> None:
        """Gives it back."""
        self._lock.release()

    def _take(self) -> None:
        self._workdir.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise BadInput(
                f"--workdir={self._workdir} is in use by {self._other()}; stop that or give another --workdir"
            ) from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            reason = error.strerror
            logging.warning("%s cannot be locked (%s): start no other run there", self._workdir, reason)
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}
        self._holder.write_text(json.dumps(holder))

    def _other(self) -> str:
        """Who has the lock."""
        try:
            other = json.loads(self._holder.read_text())
            return f"process {other['pid']} on {other['host']} since {other['since']}"
        except (OSError, ValueError, KeyError, TypeError):  # it is just being written
            return "another process"
