"""New exemplars of given pictures: are they still the same, and are they new? (method.md 10.7, Fig. 7)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.spatial.distance import cdist

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.judging import pictures, prepare
from dood_jax.judging.classifier import Judge
from dood_jax.judging.pictures import Labelled
from dood_jax.settings.config import Config
from dood_jax.tasks import invented, results
from dood_jax.tasks.reconstruction import best_drawings
from dood_jax.types import Sketch

_FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # of the noise, along the curve
_SHOWN = 10  # pictures in the figure
_COMPARED = 1000  # pictures between which distances are taken, at most


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Draws held-out pictures and varies each drawing; writes `exemplars-<dataset>.json` and two figures.

    `class_agreement` is the share of exemplars to which the set's judge gives the class that it gives the
    picture they were made from, `accuracy` the share given that picture's true class; `originality` is how
    far they are from it in the judge's features, where two real pictures of one class are 1 apart. `curve`
    has all this for more and less noise.
    """
    (model,) = models
    measurement = results.Measurement("exemplars", config, models)
    judge = prepare.judge_of(config.data, workdir / "results")
    given = pictures.labelled(config.data, config.evaluation)
    sketch = best_drawings(model, given.inks, config)
    apart = same_class_distance(judge.features(given.inks[:_COMPARED]), given.labels[:_COMPARED])
    curve = {
        str(factor): _judged(
            judge, given, model.as_recorded(given.inks, several(model, sketch, config, factor)), apart
        )
        for factor in _FACTORS
    }
    values = {
        **curve["1.0"],
        "curve": curve,
        "real_accuracy": _accuracy(judge, given),
        "blank": float((sketch.strokes.presence.sum(1) == 0).mean()),
        "judge": judge.card,
    }
    record = measurement.write(workdir, values, len(given.labels))
    _show(record.with_suffix(".png"), model, config, given, sketch)
    _show_curve(record.with_name(f"{record.stem}-curve.png"), curve)
    return values


def several(model: Model, sketch: Sketch, config: Config, factor: float) -> np.ndarray:
    """[N, K, H, W] exemplars of N drawings, with the noise of the settings times a factor."""
    noise = invented.noise_of(config).times(factor)
    seeds = range(config.evaluation.seed, config.evaluation.seed + config.invention.per_picture)
    turned = config.invention.turned
    return np.stack([model.vary(sketch, seed, noise, turned).canvases[:, -1] for seed in seeds], 1)


def same_class_distance(features: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of [N, D] features of two pictures of one class; of any two where no class has two."""
    between = cdist(features, features)
    other = ~np.eye(len(labels), dtype=bool)
    alike = (labels[:, None] == labels[None]) & other
    chosen = alike if alike.any() else other
    return float(between[chosen].mean()) if chosen.any() else 0.0


def _judged(judge: Judge, given: Labelled, drawn: np.ndarray, apart: float) -> dict[str, float | None]:
    count, each = drawn.shape[:2]
    flat = drawn.reshape(count * each, *drawn.shape[2:])
    features = judge.features(flat).reshape(count, each, -1)
    moved = np.linalg.norm(features - judge.features(given.inks)[:, None], axis=-1).mean()
    found = judge.probabilities(flat).argmax(1).reshape(count, each)
    own = judge.probabilities(given.inks).argmax(1)[:, None]
    l1 = np.abs(drawn - given.inks[:, None]).sum((2, 3)).mean()
    return {
        "class_agreement": float((found == own).mean()),
        "accuracy": float((found == given.labels[:, None]).mean())
        if given.classes == judge.classes
        else None,
        "originality": float(moved / apart) if apart > 0 else None,
        "l1": float(l1),
    }


def _accuracy(judge: Judge, given: Labelled) -> float | None:
    if given.classes != judge.classes:
        return None
    return float((judge.probabilities(given.inks).argmax(1) == given.labels).mean())


def _show(path: Path, model: Model, config: Config, given: Labelled, sketch: Sketch) -> None:
    """The first picture of every class in turn, beside its exemplars."""
    seen = [np.sum(given.labels[:row] == label) for row, label in enumerate(given.labels)]
    order = np.argsort(seen, kind="stable")
    rows = np.sort(order[:_SHOWN])
    chosen = jax.tree_util.tree_map(lambda leaf: leaf[rows], sketch)
    new = several(model, chosen, config, 1.0)
    figures.sheets(path, {"given": given.inks[rows][:, None], "new exemplars": new})


def _show_curve(path: Path, curve: dict[str, dict[str, float | None]]) -> None:
    points = [one for one in curve.values() if one["originality"] is not None]
    if not points:
        return
    name = f"exemplars, {' '.join(f'{factor:g}' for factor in _FACTORS)} times the noise"
    line = [one["originality"] for one in points], [one["class_agreement"] for one in points]
    far = "distance from the picture (1: two real pictures of one class)"
    figures.curves(path, {name: line}, far, "class agreement")
