"""Measures the released models anew, with one command: `python tools/measure.py [RECORD …]`.

A record is a file of `docs/results`, named without its ending. Without names, all records are measured that
are missing, or of models that are no longer the released ones. Each is one command of `python -m
dood_jax.main`, which is shown (`--show` shows them all and runs none) and runs at idle priority in
`runs/measure`. What was killed goes on. Records come into `docs/results` at the end: each names the commit,
which must be clean till then.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

from result_tables import as_list

from dood_jax.checkpointing.metadata import CARD_FILE, commit
from dood_jax.checkpointing.restore import checksum

ROOT = Path(__file__).resolve().parents[1]
RESULTS, WORKDIR = ROOT / "docs" / "results", ROOT / "runs" / "measure"
ACROSS_SETS = ("mnist", "synthetic")  # models of which most is known
_OWN = ("emnist", "kmnist", "quickdraw", "omniglot")  # models that are for their own set
_SETS = (*ACROSS_SETS, *_OWN)
_FROM_EACH_POSTERIOR = {"evaluation.num_images": 500, "evaluation.samples_per_posterior": 10}
_BOUND = {**_FROM_EACH_POSTERIOR, "evaluation.num_particles": 200}
_WHOLE = {**_FROM_EACH_POSTERIOR, "evaluation.num_images": 0, "evaluation.num_particles": 20}
ACROSS = {**_FROM_EACH_POSTERIOR, "evaluation.num_particles": 40}
_REVISED = {
    "evaluation.num_images": 500,
    "evaluation.num_particles": 20,
    "evaluation.samples_per_posterior": 4,
    "evaluation.revisions": 4,
}
_WITHOUT = {"model.source_size": 0}
_NEWTON = {"model.newton_steps": 24}


class Record(NamedTuple):
    """How a record is measured."""

    task: str
    checkpoint: str
    config: str = "mnist"  # the file in `configs`
    settings: Mapping[str, Any] = MappingProxyType({})  # that differ from it

    def command(self) -> list[str]:
        """The arguments of `python`."""
        flags = {"mode": "evaluate", "task": self.task, "checkpoint": self.checkpoint}
        settings = {f"config.{key}": value for key, value in self.settings.items()}
        given = {"config": f"configs/{self.config}.py", **flags, **settings}
        return ["-m", "dood_jax.main", *(f"--{key}={value}" for key, value in given.items())]


def all_records() -> dict[str, Record]:
    """How each record of the release is measured, by its name."""
    found = {
        "completion-mnist": Record("completion", "mnist"),
        "samples-mnist": Record("samples", "mnist"),
        "exemplars-mnist": Record("exemplars", "mnist", settings={"evaluation.num_particles": 5}),
        "clusters-mnist": Record("clusters", "mnist"),
        "probe-mnist": Record("probe", "mnist"),
        "one_shot-omniglot": Record("one_shot", "omniglot", "omniglot"),
        "one_shot-omniglot-model": Record("one_shot", "omniglot", "omniglot", {"one_shot.strokes": "model"}),
        "one_shot-omniglot-traced": Record(
            "one_shot", "omniglot", "omniglot", {"one_shot.strokes": "traced"}
        ),
    }
    for name in _SETS:
        found[f"likelihood-{name}"] = Record("likelihood", name, name, _BOUND)
        found[f"fid-{name}"] = Record("fid", name, name)
    for name in ("mnist", *_OWN):
        found[f"likelihood-{name}-whole"] = Record("likelihood", name, name, _WHOLE)
        found[f"likelihood-{name}-whole-without-source-size"] = Record(
            "likelihood", name, name, _WHOLE | _WITHOUT
        )
    for name in _OWN:
        found[f"transfer-{name}"] = Record(
            "transfer", name, settings={**_FROM_EACH_POSTERIOR, "evaluation.num_images": 250}
        )
        found[f"likelihood-{name}-without-source-size"] = Record("likelihood", name, name, _BOUND | _WITHOUT)
        found[f"likelihood-{name}-newton"] = Record("likelihood", name, name, ACROSS | _NEWTON)
        found[f"likelihood-{name}-without-source-size-newton"] = Record(
            "likelihood", name, name, ACROSS | _NEWTON | _WITHOUT
        )
    for name in ACROSS_SETS:
        found[f"transfer-{name}"] = Record("transfer", name, settings=ACROSS)
        found[f"transfer-{name}-without-source-size"] = Record("transfer", name, settings=ACROSS | _WITHOUT)
        found[f"transfer-{name}-newton"] = Record("transfer", name, settings=ACROSS | _NEWTON)
        found[f"transfer-{name}-without-source-size-newton"] = Record(
            "transfer", name, settings=ACROSS | _NEWTON | _WITHOUT
        )
        found[f"transfer-{name}-revised"] = Record("transfer", name, settings=_REVISED)
        found[f"transfer-{name}-without-source-size-revised"] = Record(
            "transfer", name, settings=_REVISED | _WITHOUT
        )
    for name in (*ACROSS_SETS, "emnist"):
        lying = ACROSS | {"data.transpose": True}
        found[f"lying-{name}"] = Record("likelihood", name, "emnist", lying)
        found[f"lying-{name}-without-source-size"] = Record("likelihood", name, "emnist", lying | _WITHOUT)
    found["fid-synthetic"] = found["fid-synthetic"]._replace(
        settings={"generation.num_samples": 500, "generation.repeats": 2}
    )
    return found


def foreign(record: Mapping[str, Any]) -> list[str]:
    """What a record says of models that are not the released ones; nothing where it says nothing of any."""
    names, sums = (as_list(record.get(key, [])) for key in ("checkpoint", "checkpoint_sha256"))
    if len(sums) != len(names):
        return [f"{len(names)} checkpoints, {len(sums)} checksums"]
    cards = {path.parent.name: path for path in (ROOT / "checkpoints").glob(f"*/{CARD_FILE}")}
    released = {name: checksum(json.loads(path.read_text())) for name, path in cards.items()}
    return [name for name, one in zip(names, sums, strict=True) if released.get(name) != one]


def is_current(path: Path) -> bool:
    """Whether a file is a record of models that are released now."""
    return path.is_file() and not foreign(json.loads(path.read_text()))


def main(arguments: list[str]) -> int:
    """Measures what is named, or whatever is not of the released models."""
    records = all_records()
    names = [name for name in arguments if name != "--show"]
    unknown = [name for name in names if name not in records]
    if unknown:
        sys.stderr.write(f"{unknown[0]} is no record; choose from {', '.join(records)}\n")
        return 2
    due = names or [name for name in records if not is_current(RESULTS / f"{name}.json")]
    for name in due:
        sys.stdout.write(f"{name}: python {' '.join(records[name].command())}\n")
    if "--show" in arguments:
        return 0
    if commit().endswith("-dirty"):
        sys.stderr.write("the working tree has changes; commit first, since records name the commit\n")
        return 2
    os.nice(19)
    for name in due:
        if code := measure(name, records[name]):
            sys.stderr.write(f"{name} was not measured, see above; the same command goes on\n")
            return code
    for name in due:
        shutil.move(WORKDIR / f"{name}.json", RESULTS / f"{name}.json")
    sys.stdout.write(f"{len(due)} records are in docs/results; now run tools/results_page.py\n")
    return 0


def measure(name: str, record: Record) -> int:
    """Runs the command of a record, unless an interrupted call did; returns its exit status."""
    there = WORKDIR / f"{name}.json"
    if is_current(there):
        return 0
    # One folder a config: what was begun goes on, and a set has one classifier.
    workdir = WORKDIR / record.config
    for path in workdir.glob("results/*.json"):
        path.unlink()
    command = [sys.executable, *record.command(), f"--workdir={workdir}"]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if not code:
        (written,) = workdir.glob(f"results/{record.task}*.json")
        shutil.move(written, there)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
