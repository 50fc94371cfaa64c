"""Do strokes tell what a picture shows? A classifier of latent variables (method.md 10.10)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax.api import Model
from dood_jax.errors import BadInput
from dood_jax.judging import pictures
from dood_jax.settings.config import Config
from dood_jax.tasks import invented, learners, published, results
from dood_jax.types import StrokeLatents


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Learns classes from one drawing a training picture; writes `probe-<dataset>.json`.

    `accuracy` is of a small network on held-out pictures, `linear` of the published linear classifier.
    """
    learners.require("probe")
    (model,) = models
    config = config.unrefined()
    measurement = results.Measurement("probe", config, models)
    known = pictures.load(config.data, "train", config.invention.num_learned)
    asked = pictures.labelled(config.data, config.evaluation)
    if known.classes != asked.classes:
        raise BadInput(
            f"{config.data.name} has other classes in its test pictures; probe a set that has the same"
        )
    if len(np.unique(known.labels)) < 2:
        raise BadInput(
            f"{config.data.name} has pictures of one class; a probe needs at least 2 to tell apart"
        )
    seed = config.evaluation.seed
    learned, tested = (
        vectors(invented.first_look(model).infer(part.inks, seed + which).strokes)
        for which, part in enumerate((known, asked))
    )
    sets = (learned, known.labels, tested, asked.labels)
    values = {
        "accuracy": learners.network_accuracy(*sets, seed),
        "linear": learners.linear_accuracy(*sets),
        "chance": float(np.bincount(asked.labels).max() / len(asked.labels)),
        "learned_from": len(known.labels),
        "published_linear": published.numbers()["probe"].get(config.data.name),
    }
    measurement.write(workdir, values, len(asked.labels))
    return values


def vectors(strokes: StrokeLatents) -> np.ndarray:
    """[N, T (2 P + 4)] control points and layouts of N drawings, zero for strokes that are not drawn."""
    presence = strokes.presence[..., None]
    points = strokes.control_points.reshape(*strokes.control_points.shape[:2], -1)
    parts = [(part * presence).reshape(len(presence), -1) for part in (points, strokes.layout)]
    return np.concatenate(parts, axis=1)
