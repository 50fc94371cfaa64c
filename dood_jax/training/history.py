"""What a run has told of itself: the lines of its `metrics.jsonl`."""

import json
from pathlib import Path
from typing import Any

import numpy as np

JSON_LINES = "metrics.jsonl"
_NEEDED = {"step", "kind", "seconds"}  # in every line


def read_lines(workdir: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics, oldest first; what a kill tore is left out."""
    path = workdir / JSON_LINES
    if not path.exists():
        return []
    lines = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and found.keys() >= _NEEDED:
            lines.append(found)
    return lines


def held_out_bounds(workdir: Path) -> dict[int, float]:
    """By step the bound on held-out pictures, in nats; of several models their mean."""
    lines = [line for line in read_lines(workdir) if line["kind"] == "held_out"]
    return {
        line["step"]: float(np.mean(line["log_likelihood"]))
        for line in lines
        if None not in np.ravel(line.get("log_likelihood"))
    }
