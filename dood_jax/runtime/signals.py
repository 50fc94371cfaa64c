"""Stopping a run on a signal, and the lock that keeps a second process out of its folder.

Ctrl-C and SIGTERM: finish the step, save, leave; of several processes all after the same step.

One run in a folder at a time: a lock that the system drops with its process, however it ends.
"""

import errno
import fcntl
import json
import os
import signal
import socket
import time
from pathlib import Path
from types import FrameType

import jax
from absl import logging
from jax.experimental import multihost_utils

from dood_jax.errors import BadInput
from dood_jax.runtime import processes

_WATCHED = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Remembers the first stop signal while open; a second one acts at once.

    Of several processes JAX's runtime takes SIGTERM, whichever process gets it, and finds the step at which
    all of them can stop.
    """

    def __init__(self) -> None:
        """Starts with nothing received."""
        self.received: int | None = None
        self._previous = {}
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
        """Whether to stop before a training call; to be asked in every process, once a call, from 0."""
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
            os.kill(os.getpid(), signal.SIGTERM)  # JAX's runtime knows this one alone


_FILE = "run.lock"
_UNKNOWN = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # said by file systems without locks


class RunLock:
    """Holds the lock of a run's folder while open, in the first process of the run."""

    def __init__(self, workdir: Path) -> None:
        """Takes nothing yet."""
        self._path = workdir / _FILE
        self._file = None

    def __enter__(self) -> "RunLock":
        """Takes the lock; raises BadInput naming the process that has it."""
        processes.told_by_first(self._take)
        return self

    def __exit__(self, *_: object) -> None:
        """Gives it back."""
        if self._file:
            self._file.close()

    def _take(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            refusal = self._refusal()
            self._file.close()
            raise BadInput(refusal) from error
        except OSError as error:
            if error.errno not in _UNKNOWN:
                self._file.close()
                raise
            logging.warning("%s cannot be locked (%s): start no other run there", self._path, error.strerror)
        mine = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%F %T")}
        self._file.truncate(0)
        self._file.write(json.dumps(mine))
        self._file.flush()

    def _refusal(self) -> str:
        """Who has the lock."""
        self._file.seek(0)
        try:
            other = json.loads(self._file.read())
            who = f"process {other['pid']} on {other['host']} since {other['since']}"
        except (ValueError, KeyError, TypeError):  # it is just being written
            who = "another process"
        return f"--workdir={self._path.parent} is in use by {who}; stop that or give another --workdir"
