"""Pictures of any kind to ink, through the evaluation command: `--task=vectorize --input=FILES`."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax.api import Model
from dood_jax.errors import BadInput
from dood_jax.ink import export
from dood_jax.settings.config import Config
from dood_jax.tasks import results

_FORMATS = ("svg", "json")


def run(models: Sequence[Model], config: Config, workdir: Path, names: str | None) -> dict[str, Any]:
    """Writes an SVG and a JSON of every picture into `workdir/vectorize`, and `vectorize.json`.

    Args:
      models: the one that draws.
      config: kept with the result.
      workdir: of the run.
      names: files, folders or patterns, joined by commas.

    Raises:
      BadInput: no input, or one or more of the pictures could not be read or hold no drawing; the others
        are written.
    """
    if not names:
        raise BadInput("--task=vectorize without --input; give files or folders, joined by commas")
    measurement = results.Measurement("vectorize", config, models)
    (model,) = models
    inputs = [path for name in names.split(",") for path in sorted(glob.glob(name)) or [name]]
    outcome = export.export(model.vectorize, inputs, _FORMATS, workdir / "vectorize")
    if outcome.failures:
        raise BadInput(f"{len(outcome.failures)} of the pictures were not drawn")
    seconds = measurement.seconds
    values = {
        "l1": float(np.mean(outcome.errors)),
        "strokes": float(np.mean(outcome.counts)),
        "seconds": round(seconds / len(outcome.counts), 4),
        "seconds_per_megapixel": round(seconds / sum(outcome.pixels) * 1e6, 4),
    }
    kept = {"path": "vectorize.json", "pictures": names}
    measurement.write(workdir, values, len(outcome.counts), **kept)
    return values
