"""Kills a small training run at random moments, resumes it every time, and compares it bit for bit.

    python benchmarks/kills.py [--kills=20] [--seed=0] [--out=docs/results/kills.json]

SIGKILL comes at a moment drawn evenly from the time that the unbroken run takes, so it finds the run
importing, compiling, restoring, stepping, saving and evaluating. A run that ends before its kill is compared,
and the next begins afresh. Equal means: the checksums of every array of the last checkpoint, and every line
of metrics but for times.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from dood_jax.checkpointing import restore
from dood_jax.checkpointing.metadata import commit, read_meta
from dood_jax.training.metrics import read_lines

_SETTINGS = {"steps": 100, "checkpoint_every": 4, "evaluate_every": 25, "log_every": 1, "keep_checkpoints": 2}
_TIMED = ("seconds", "images_per_second")


def command(workdir: Path) -> list[str]:
    """Trains the smoke test's model, with many checkpoints."""
    settings = [f"--config.training.{name}={value}" for name, value in _SETTINGS.items()]
    main = [sys.executable, "-m", "dood_jax.main", f"--config={ROOT}/configs/smoke.py"]
    return [*main, f"--workdir={workdir}", *settings]


def run(workdir: Path, kill_after: float | None = None) -> dict[str, Any]:
    """Starts or resumes a run and tells how it ended: by itself, or killed after so many seconds."""
    workdir.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    started = time.monotonic()
    with (workdir / "log.txt").open("a") as log:
        process = subprocess.Popen(command(workdir), stderr=log, stdout=log, env=environment)
        try:
            process.wait(timeout=kill_after)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    seconds = round(time.monotonic() - started, 1)
    steps = [line["step"] for line in read_lines(workdir)]
    found = [path.name for path in (workdir / "checkpoints").glob("*")]
    return {
        "killed": process.returncode == -signal.SIGKILL,
        "code": process.returncode,
        "seconds": seconds,
        "last_step": max(steps, default=0),
        "last_checkpoint": max((int(name) for name in found if name.isdigit()), default=None),
        "torn_save": any("tmp" in name for name in found),
    }


def outcome(workdir: Path) -> tuple[dict[str, str], list[dict]]:
    """Checksums of the last state, and the metrics without times."""
    meta = read_meta(restore.find(str(workdir.resolve())))
    lines = [{name: line[name] for name in line if name not in _TIMED} for line in read_lines(workdir)]
    return meta["sha256"], lines


def compare(workdir: Path, unbroken: Path) -> bool:
    """Whether a run ended as the unbroken one, with its story told once."""
    return outcome(workdir) == outcome(unbroken)


def survive(kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """So many kills over as many runs as they take; what happened at each, and whether all ended alike."""
    moments, unbroken = random.Random(seed), folder / "unbroken"
    run(folder / "warm")  # fills the cache of compiled programs
    whole = run(unbroken)
    made, ended, number = [], [], 0
    while len(made) < kills or (folder / str(number)).exists():
        workdir = folder / str(number)
        wait = moments.uniform(0, whole["seconds"]) if len(made) < kills else None
        end = run(workdir, wait)
        print(json.dumps(end), flush=True)
        if end["killed"]:
            made.append(end)
            continue
        if end["code"]:
            raise RuntimeError((workdir / "log.txt").read_text()[-2000:])
        ended.append(compare(workdir, unbroken))
        print(f"run {number} ended, bit-equal: {ended[-1]}", flush=True)
        number += 1
    return {"unbroken": whole, "kills": made, "runs": len(ended), "bit_equal": all(ended)}


def main() -> None:
    """Writes what happened; exit code 1 if any run ended otherwise."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results" / "kills.json")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = survive(flags.kills, flags.seed, Path(folder))
    record = {"settings": _SETTINGS, "seed": flags.seed, "commit": commit(), **found}
    flags.out.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(0 if found["bit_equal"] else 1)


if __name__ == "__main__":
    main()
