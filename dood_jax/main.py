"""Trains or evaluates: `python -m dood_jax.main --config=configs/mnist.py [--mode=evaluate --task=…]`."""

import logging as stdlib_logging
import os
import sys
import tempfile
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from dood_jax.errors import BadInput
from dood_jax.training.config import resolve

_CONFIG = config_flags.DEFINE_config_file("config", None, "Settings of the run, such as configs/mnist.py.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Where the run is kept; default runs/<config>.")
_MODE = flags.DEFINE_enum("mode", "train", ["train", "evaluate"], "What to do.")
_TASK = flags.DEFINE_string("task", "likelihood,reconstruction", "Evaluations, joined by commas.")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "A folder or released name; default the workdir's latest."
)


def main(_: list[str]) -> None:
    """Runs what the flags say; exits 0, 2 with one line for bad input, 128 + n after a saved signal n."""
    logging.set_verbosity(logging.INFO)
    logging.get_absl_handler().addFilter(_is_ours)
    try:
        stopped_by = _run()
    except BadInput as error:
        _refuse(error)
    if stopped_by:
        sys.exit(128 + stopped_by)


def _run() -> int | None:
    """Trains or evaluates; returns the signal that stopped training, if any."""
    if _CONFIG.value is None:
        raise BadInput("no --config given; try --config=configs/synthetic.py")
    stem = Path(config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")[0]).stem
    workdir = _writable(Path(_WORKDIR.value or f"runs/{stem}"))
    config = resolve(_CONFIG.value)
    from dood_jax.training import compilation  # only now: jax takes a second to import

    compilation.keep_compiled_programs()
    if _MODE.value == "train":
        from dood_jax.training import loop

        return loop.train(config, workdir)
    from dood_jax import tasks

    overrides = config_flags.get_override_values(flags.FLAGS["config"])
    checkpoint = _CHECKPOINT.value or str(workdir)
    tasks.evaluate(_CONFIG.value.to_dict(), overrides, _TASK.value, checkpoint, workdir)
    return None


def _is_ours(record: stdlib_logging.LogRecord) -> bool:
    """Libraries that share absl's log are heard from warnings upward."""
    return "dood_jax" in record.pathname or record.levelno >= stdlib_logging.WARNING


def _writable(workdir: Path) -> Path:
    """Makes the folder, or raises BadInput."""
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            return workdir
    except OSError as error:
        raise BadInput(f"--workdir={workdir} cannot be written ({error.strerror}); give another") from error


def _parse_flags(argv: list[str]) -> list[str]:
    """Parses flags and loads the config; bad ones get one line."""
    try:
        rest = flags.FLAGS(argv)
        _ = _CONFIG.value and _CONFIG.value.keys()  # a config file that is missing fails at first use
    except Exception as error:  # a config file is any Python program
        _refuse(error)
    if rest[1:]:
        _refuse(f"argument {rest[1]!r} is not a flag; see --help")
    return rest


def _refuse(error: Exception | str) -> None:
    """One line on stderr, exit code 2."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    sys.stderr.write(f"dood_jax: {lines[0]}\n")
    sys.exit(2)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app.run(main, flags_parser=_parse_flags)
