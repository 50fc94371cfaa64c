"""What the seed of a model changes: `python tools/seeds.py mnist RUN RUN …`.

Measures runs of one config that differ in the seed alone, at idle priority in `runs/measure`, and writes
`docs/results/seeds-mnist.json`; `tools/results_page.py` makes the table. A run is a folder in which
`--task=release` has put the model. Seeds that the record holds already stay in it if no run of theirs is
given. One of the seeds must be the released model, whose record it is.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import measure

from dood_jax.checkpointing.metadata import CARD_FILE, commit
from dood_jax.checkpointing.restore import checksum

_VALIDATED = ("log_likelihood", "stderr")  # of what a run says of its last validation


def main(arguments: Sequence[str]) -> int:
    """Measures the runs and writes the record."""
    name, *runs = arguments or [""]
    folders = [Path(run) for run in runs]
    missing = [folder for folder in folders if not (folder / "release" / CARD_FILE).is_file()]
    if name not in measure.ACROSS_SETS or not folders or missing:
        wrong = f"{missing[0]} holds no release; run --task=release there" if missing else f"{name} {runs}"
        sys.stderr.write(f"seeds.py: {wrong}; give {' or '.join(measure.ACROSS_SETS)}, and folders of runs\n")
        return 2
    if commit().endswith("-dirty"):
        sys.stderr.write("the working tree has changes; commit first, since the record names the commit\n")
        return 2
    path = measure.RESULTS / f"seeds-{name}.json"
    known = json.loads(path.read_text())["seeds"] if path.is_file() else []
    released = checksum(_card(measure.ROOT / "checkpoints" / name))
    sums = {one["seed"]: one["checkpoint_sha256"] for one in known}
    for card in (_card(folder / "release") for folder in folders):
        sums[card["config"]["training"]["seed"]] = checksum(card)
    if released not in sums.values():
        sys.stderr.write(f"seeds.py: no run is that of the released {name}; give its folder too\n")
        return 2
    os.nice(19)
    seeds = {one["seed"]: one for one in [*known, *(of_seed(name, folder) for folder in folders)]}
    rows = [seeds[seed] for seed in sorted(seeds)]
    record = {"task": "seeds", "checkpoint": name, "checkpoint_sha256": released, "commit": commit()}
    path.write_text(json.dumps({**record, "seeds": rows}, indent=1) + "\n")
    return 0


def of_seed(name: str, folder: Path) -> dict[str, Any]:
    """What is known of one run: its last validation, nats on all sets, and how well it invents."""
    card = _card(folder / "release")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    last = [line for line in lines if line["kind"] == "validation"][-1]
    fid = measure.all_records()[f"fid-{name}"]
    transfer = _values(name, "transfer", settings=measure.ACROSS, folder=folder)
    generation = _values(name, "fid", settings=fid.settings, folder=folder)
    found = {
        "seed": card["config"]["training"]["seed"],
        "checkpoint_sha256": checksum(card),
        "trained_at_commit": card["commit"],
        "measured_at_commit": commit(),
        "minutes": card["seconds"] / 60,
        "validation": {key: last[key] for key in _VALIDATED},
        "map": transfer["table"]["map"][name],
        "l1": transfer["l1"][name],
        "fid_ratio": generation["ratio"],
    }
    if name == "mnist":
        completion = _values(name, "completion", settings={}, folder=folder)
        found["kept"] = completion["class_consistency"]
    return found


def _card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / CARD_FILE).read_text())
    return card


def _values(name: str, task: str, settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What a task finds of the released form of a run."""
    config = "mnist" if task == "transfer" else name
    record = measure.Record(task, str(folder / "release"), config, settings)
    if code := measure.measure(f"seeds-{name}", record):
        sys.exit(code)
    there = measure.WORKDIR / f"seeds-{name}.json"
    values: dict[str, Any] = json.loads(there.read_text())["values"]
    there.unlink()
    return values


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
