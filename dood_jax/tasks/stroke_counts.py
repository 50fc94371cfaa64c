"""How many strokes a model draws when it may draw more than in training (method.md 10.3, Fig. 3b-d)."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.settings.config import Config
from dood_jax.tasks import results
from dood_jax.training import held_out

_MOST = 10  # strokes, as published, unless evaluation.num_strokes says another


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Draws every held-out picture of all sets once; writes `stroke_counts-<dataset>.json` and a figure."""
    (model,) = models
    settings = config.evaluation
    settings = dataclasses.replace(settings, num_strokes=settings.num_strokes or _MOST)
    config = dataclasses.replace(config, evaluation=settings).unrefined()
    values = {name: _count(model, config.on(name), workdir) for name in config.data.sets}
    shares = {name: found["histogram"] for name, found in values.items()}
    figures.histograms(
        workdir / "results" / f"stroke_counts{results.suffix(config)}.png",
        shares,
        "strokes",
        "share of drawings",
    )
    return values


def _count(model: Model, config: Config, workdir: Path) -> dict[str, Any]:
    """Of one set: mean, share at the limit, and the share of every number from 0 to the limit."""
    measurement = results.Measurement("stroke_counts", config, [model])
    most = config.evaluation.num_strokes
    images = held_out.images(config.data, config.evaluation)
    sketch = model.infer(images, config.evaluation.seed, 1, most)
    counts = sketch.strokes.presence.sum(1).astype(int)
    shares = np.bincount(counts, minlength=most + 1) / len(counts)
    values = {
        "mean": float(counts.mean()),
        "at_limit": float(shares[most]),
        "histogram": [float(share) for share in shares],
    }
    measurement.write(workdir, values, len(images))
    return values
