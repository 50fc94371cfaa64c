"""One run in a folder at a time: a lock that the system drops with its process, however it ends."""

import errno
import fcntl
import json
import os
import socket
import time
from pathlib import Path

from absl import logging

from dood_jax.errors import BadInput
from dood_jax.training import distributed

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
        distributed.told_by_first(self._take)
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
