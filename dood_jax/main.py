"""Trains or evaluates: `python -m dood_jax.main --config=configs/mnist.py [--mode=evaluate --task=…]`.

`dood train` and `dood evaluate` take the same flags. jax is imported only after these were checked.
"""

import re
import sys
from pathlib import Path
from typing import NoReturn

from absl import app, flags
from ml_collections import config_flags

from dood_jax import command_line
from dood_jax.command_line import hold_log
from dood_jax.config.resolving import resolve
from dood_jax.errors import BadInput, RunFailed

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "The config of the run: its name or its file, such as configs/mnist.py."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "The folder of the run; default runs/<config>, with what follows a colon in the config."
)
_MODE = flags.DEFINE_enum("mode", "train", ["train", "evaluate"], "Whether to train or to evaluate.")
_TASK = flags.DEFINE_string("task", "likelihood,reconstruction", "Names of evaluations, joined by commas.")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "A folder or the name of a released model; default the latest of the workdir."
)
_INPUT = flags.DEFINE_string(
    "input", None, "For --task=vectorize: files, folders or patterns, joined by commas."
)


def main(_: list[str]) -> None:
    """Does what the flags say.

    Exits with 0, with 2 for bad input, with 1 for a failure, and with 128 + n after a saved signal n.
    """
    try:
        stopped_by = _run()
    except KeyboardInterrupt:  # there was nothing to save yet
        sys.exit(130)
    except Exception as error:
        _give_up(error)
    if stopped_by:
        sys.exit(128 + stopped_by)


def _run() -> int | None:
    """Trains or evaluates; returns the number of the signal that stopped training, if any."""
    if _CONFIG.value is None:
        raise BadInput("no --config given; try --config=configs/synthetic.py")
    config = resolve(_CONFIG.value)
    config_file, _, about = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")
    run = "-".join([Path(config_file).stem, *re.findall(r"\w+", about)])
    workdir = Path(_WORKDIR.value or f"runs/{run}")
    from dood_jax.runtime import parallel, processes  # only now: jax takes a second to import

    hold_log()
    parallel.keep_freed_memory()
    processes.join(config.training)
    processes.told_by_first(lambda: str(command_line.writable(workdir)))
    parallel.keep_compiled_programs()
    if _MODE.value == "train":
        from dood_jax.training import loop, state

        if start := config.training.init_from:
            config = resolve(state.like_start(_CONFIG.value.to_dict(), start, workdir))
        return loop.train(config, workdir)
    from dood_jax.evaluation import registry

    overrides = config_flags.get_override_values(flags.FLAGS["config"])
    checkpoint = _CHECKPOINT.value or str(workdir)
    with processes.results_folder(workdir) as results:
        registry.evaluate(_CONFIG.value.to_dict(), overrides, _TASK.value, checkpoint, results, _INPUT.value)
    return None


def _give_up(error: Exception) -> NoReturn:
    """Exits with 2 for bad input and with 1 for a failed run, disk or memory, each with one line on stderr.

    Any other error is a defect of the program and is raised again. In a run of several processes the others
    are ended by JAX, and this one does not wait for them.
    """
    if isinstance(error, BadInput):
        command_line.refuse(error)
    from dood_jax.runtime import processes

    known = isinstance(error, RunFailed | OSError | MemoryError) or "RESOURCE_EXHAUSTED" in str(error)
    if known:
        command_line.report(error if isinstance(error, RunFailed) else f"{type(error).__name__}: {error}")
    if processes.is_alone():
        if known:
            sys.exit(1)
        raise error
    processes.end_beside_others(error, known)


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parse_flags)
