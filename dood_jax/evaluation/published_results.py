"""Numbers of the paper and of its rivals, beside which ours stand (method.md 11)."""

import functools
import importlib.resources
import json
from typing import Any


@functools.cache
def numbers() -> dict[str, Any]:
    """All published numbers, as `published.json` holds them."""
    return json.loads(importlib.resources.files("dood_jax.evaluation").joinpath("published.json").read_text())


def log_likelihood(model: str, source: str, target: str) -> float | None:
    """Mean nats of DooD or AIR trained on one set and tested on another; None if unpublished."""
    row = numbers()["likelihood"][model].get(source)
    targets = numbers()["targets"]
    return row["mean"][targets.index(target)] if row and target in targets else None
