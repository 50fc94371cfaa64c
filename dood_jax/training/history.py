"""What a run has told of itself: the lines of its `metrics.jsonl`."""

import json
from pathlib import Path
from typing import Any

import numpy as np

JSON_LINES = "metrics.jsonl"
_NEEDED = {"step": int, "kind": str, "seconds": int | float}  # in every line


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
        if isinstance(found, dict) and all(isinstance(found.get(key), kind) for key, kind in _NEEDED.items()):
            lines.append(found)
    return lines


def held_out_bounds(workdir: Path) -> dict[int, float]:
    """By step the bound on held-out pictures, in nats; of several models their mean."""
    lines = [line for line in read_lines(workdir) if line["kind"] == "held_out"]
    found = {line["step"]: line.get("log_likelihood") for line in lines}
    bounds = {step: one if isinstance(one, list) else [one] for step, one in found.items()}
    are_numbers = lambda bound: bool(bound) and all(isinstance(one, int | float) for one in bound)
    means = {step: float(np.mean(bound)) for step, bound in bounds.items() if are_numbers(bound)}
    return {step: mean for step, mean in means.items() if np.isfinite(mean)}
