"""Answers many command lines in one process, each in a fork, which need not import jax again.

Reads one case in a line: [program, flags, folder, environment] as JSON. Answers it with a line: [exit code,
what was written to stderr].
"""

import importlib.util
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from absl import app

from dood_jax import api, cli, command_line, main
from dood_jax.data import prepare
from dood_jax.evaluation import registry
from dood_jax.training import loop
from dood_jax.vectorize import batch

IMPORTED = (api, batch, loop, prepare, registry)  # what the programs import when they need it
ROOT = Path(__file__).parent.parent


def launch_pack() -> None:
    specification = importlib.util.spec_from_file_location("launch_pack", ROOT / "launch" / "pack.py")
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    script.main()


PROGRAMS = {
    "main": lambda: app.run(main.main, flags_parser=command_line.parse_flags),
    "dood": cli.main,
    "pack": launch_pack,
}


def answer(program: str, flags: list[str], folder: str, environment: dict[str, str]) -> tuple[int, str]:
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.chdir(folder)
            os.environ.update(environment)
            sys.argv = [program, *flags]
            os._exit(exit_code_of(PROGRAMS[program]))
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read().decode(errors="replace")


def exit_code_of(run: Callable[[], None]) -> int:
    try:
        run()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), flush=True)
