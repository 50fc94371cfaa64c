"""The log on stderr, which stays silent until the input of a run has been accepted.

Bad input is answered by one line alone, so our own lines are held back until then.
"""

import logging as stdlib_logging
import os
import sys
from pathlib import Path
from typing import Any

from absl import logging

from dood_jax.runtime import processes

_PACKAGE = str(Path(__file__).parents[1])
_ORBAX = f"{os.sep}orbax{os.sep}"


class _Gate(stdlib_logging.Filter):
    """Holds our lines back until it is opened.

    Libraries that share absl's log are heard from warnings upward only, Orbax without its tracebacks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held: list[stdlib_logging.LogRecord] | None = []  # None: the gate is open

    def filter(self, record: stdlib_logging.LogRecord) -> bool:
        if not record.pathname.startswith(_PACKAGE):
            if _ORBAX in record.pathname:
                record.exc_info = None
            return record.levelno >= stdlib_logging.WARNING
        if self.held is None:
            return True
        self.held.append(record)
        return False


_GATE = _Gate()


def hold_log() -> None:
    """Sends lines from INFO upward to stderr, but holds ours back until `show_log`."""
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(_GATE)
    sys.unraisablehook = _report_once


def show_log() -> None:
    """Writes what was held back, and from now on every line at once; all but the first process only warn."""
    if not processes.is_first():
        logging.set_verbosity(logging.WARNING)
    held, _GATE.held = _GATE.held or [], None
    for record in held:
        if record.levelno >= logging.get_absl_logger().level:
            logging.get_absl_handler().handle(record)


def _report_once(unraisable: Any) -> None:
    """Keeps quiet about writes of a checkpoint that fail after the first one failed.

    The run reports the first failure in one line. TensorStore reports each later one to Orbax's event loop,
    which is closed by then, and Python would print the traceback of that.
    """
    error = unraisable.exc_value
    if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):
        sys.__unraisablehook__(unraisable)
