"""Starts runs of several processes on this machine, and runs in the background."""

import os
import socket
import subprocess
import sys
from pathlib import Path

from compiling import UNOPTIMISED

from dood_jax.training.metrics import read_lines

ROOT = Path(__file__).parent.parent
TINY = f"--config={ROOT}/tests/tiny_config.py"


def environment(**changes: str) -> dict[str, str]:
    """Of a process with one CPU device."""
    kept = {name: value for name, value in os.environ.items() if name != "DOOD_DATA_DIR"}
    kept.update(
        JAX_NUM_CPU_DEVICES="1",
        JAX_PLATFORMS="cpu",
        JAX_COMPILATION_CACHE_DIR=str(ROOT / ".cache" / "jax"),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0.5",
        NPROC="32",
        XLA_FLAGS=UNOPTIMISED,
        PYTHONPATH=str(ROOT),
    )
    return {**kept, **changes}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command: list[str], log: Path, **changes: str) -> subprocess.Popen:
    """A process that writes into a log."""
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, *command], stdout=file, stderr=file, env=environment(**changes), cwd=log.parent
        )


def start_together(count: int, folder: Path, *flags: str, **changes: str) -> list[subprocess.Popen]:
    """`main` in so many processes, with their logs in `folder/0.log` and so on."""
    port = free_port()
    return [
        start(
            [
                *("-m", "dood_jax.main", TINY, *flags, f"--config.training.coordinator=127.0.0.1:{port}"),
                *(f"--config.training.num_processes={count}", f"--config.training.process_id={which}"),
            ],
            folder / f"{which}.log",
            **changes,
        )
        for which in range(count)
    ]


def logs_of(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.glob("*.log")))


def lines_of(workdir: Path, kind: str) -> list[dict]:
    """Lines of a run's metrics, but for those that tell the time."""
    lines = read_lines(workdir)
    timed = ("seconds", "images_per_second")
    return [
        {name: line[name] for name in line if name not in timed} for line in lines if line["kind"] == kind
    ]
