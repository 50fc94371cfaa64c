"""Invented drawings beside real pictures (method.md 10.5, the paper's Fig. 6)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.settings.config import Config
from dood_jax.tasks import invented, results
from dood_jax.training import held_out

_SIDE = 8  # pictures of a side of each grid


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Invents 64 drawings; writes `samples-<dataset>.json` and `.png`, real pictures beside them.

    The values are means over invented drawings and over held-out pictures: what they have in ink, and how
    many strokes were drawn.
    """
    (model,) = models
    config = config.unrefined()
    measurement = results.Measurement("samples", config, models)
    real = held_out.images(config.data, config.evaluation)
    pens = invented.pens_of(model, config)
    sketch = invented.samples(model, config, pens, _SIDE**2, config.evaluation.seed)
    found = sketch.canvases[:, -1]
    values = {
        "strokes": float(sketch.strokes.presence.sum(1).mean()),
        "ink": float(found.sum((1, 2)).mean()),
        "real_ink": float(real.sum((1, 2)).mean()),
        "blank": float((sketch.strokes.presence.sum(1) == 0).mean()),
    }
    record = measurement.write(workdir, values, len(found))
    rows = np.arange(_SIDE**2) % len(real)
    blocks = {f"{config.data.name}: real": real[rows], "invented": found}
    blocks["stroke by stroke"] = figures.drawn(sketch.canvases)
    square = {title: block.reshape(_SIDE, _SIDE, *block.shape[1:]) for title, block in blocks.items()}
    figures.sheets(record.with_suffix(".png"), square)
    return values
