"""Trains or evaluates: `python -m dood_jax.main --config=configs/mnist.py [--mode=evaluate --task=…]`."""

import re
import sys
from pathlib import Path

from absl import app, flags
from ml_collections import config_flags

from dood_jax import command_line
from dood_jax.config.resolving import resolve
from dood_jax.errors import BadInput

_CONFIG = config_flags.DEFINE_config_file("config", None, "Settings of the run, such as configs/mnist.py.")
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Where the run is kept; default runs/<config>, with what follows its colon."
)
_MODE = flags.DEFINE_enum("mode", "train", ["train", "evaluate"], "What to do.")
_TASK = flags.DEFINE_string("task", "likelihood,reconstruction", "Evaluations, joined by commas.")
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", None, "A folder or released name; default the workdir's latest."
)
_INPUT = flags.DEFINE_string("input", None, "Files, folders or patterns for --task=vectorize, with commas.")


def main(_: list[str]) -> None:
    """Runs what the flags say; exits 0, 2 for bad input, 1 for failure, 128 + n after a saved signal n."""
    try:
        stopped_by = _run()
    except KeyboardInterrupt:  # before there was anything to save
        sys.exit(130)
    except Exception as error:
        command_line.give_up(error)
    if stopped_by:
        sys.exit(128 + stopped_by)


def _run() -> int | None:
    """Trains or evaluates; returns the signal that stopped training, if any."""
    if _CONFIG.value is None:
        raise BadInput("no --config given; try --config=configs/synthetic.py")
    config = resolve(_CONFIG.value)
    config_file, _, about = config_flags.get_config_filename(flags.FLAGS["config"]).partition(":")
    run = "-".join([Path(config_file).stem, *re.findall(r"\w+", about)])
    workdir = Path(_WORKDIR.value or f"runs/{run}")
    from dood_jax.runtime import parallel, processes
    from dood_jax.training import metrics  # only now: jax takes a second to import

    metrics.hold_log()
    processes.join(config.training)
    processes.told_by_first(lambda: str(command_line.writable(workdir)))
    parallel.keep_compiled_programs()
    if _MODE.value == "train":
        from dood_jax.training import loop

        return loop.train(config, workdir)
    from dood_jax.evaluation import registry

    overrides = config_flags.get_override_values(flags.FLAGS["config"])
    checkpoint = _CHECKPOINT.value or str(workdir)
    with processes.results_folder(workdir) as results:
        registry.evaluate(_CONFIG.value.to_dict(), overrides, _TASK.value, checkpoint, results, _INPUT.value)
    return None


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parse_flags)
