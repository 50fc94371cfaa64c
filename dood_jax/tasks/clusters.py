"""Which strokes a model draws with: clusters of them, and a map (method.md 10.4, the paper's Fig. 5)."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.errors import BadInput
from dood_jax.geometry import bezier
from dood_jax.judging import pictures
from dood_jax.tasks import invented, learners, published, results
from dood_jax.training.config import Config

_OTHER_COUNTS = (5, 10, 15)  # of clusters, as published beside 8
_CURVE_SAMPLES = 24
_APART = 0.06  # of strokes that are drawn on the map, in its unit square
_CHUNK = 1024  # pictures that are drawn before strokes are counted


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Clusters strokes of training pictures; writes `clusters-<dataset>.json` and a map of them.

    Strokes are the control points in their own frames, from one drawing a picture by the first look;
    silhouettes are of k-means with Euclidean distances. `canonical_silhouette` is of strokes that all run in
    one direction, since a curve looks the same from either end.
    """
    learners.require("clusters")
    (model,) = models
    config = config.unrefined()
    settings = config.invention
    started = time.monotonic()
    strokes = strokes_of(model, config, settings.num_clustered)
    if len(strokes) <= settings.clusters:
        raise BadInput(
            f"{len(strokes)} strokes were drawn, too few for invention.clusters={settings.clusters};"
            " give fewer clusters"
        )
    raw = strokes.reshape(len(strokes), -1)
    counts = [count for count in sorted({settings.clusters, *_OTHER_COUNTS}) if count < len(strokes)]
    found = {str(count): learners.cluster(raw, count, config.evaluation.seed) for count in counts}
    alike = canonical(strokes).reshape(len(strokes), -1)
    kinds, silhouette = found[str(settings.clusters)]
    values = {
        "silhouette": silhouette,
        "by_clusters": {count: of_count for count, (_, of_count) in found.items()},
        "canonical_silhouette": learners.cluster(alike, settings.clusters, config.evaluation.seed)[1],
        "strokes": len(strokes),
        "shares": [float(share) for share in np.sort(np.bincount(kinds) / len(kinds))[::-1]],
        "published": published.numbers()["silhouette"],
    }
    record = results.write(workdir, "clusters", values, config, model, len(strokes), started)
    shown = slice(0, settings.num_mapped)
    _show(record.with_suffix(".png"), strokes[shown], kinds[shown], config, silhouette)
    return values


def strokes_of(model: Model, config: Config, most: int) -> np.ndarray:
    """[N, P, 2] control points of at most so many strokes drawn of training pictures, in random order."""
    known = pictures.load(config.data, "train")
    order = np.random.default_rng(config.evaluation.seed).permutation(len(known.labels))
    found: list[np.ndarray] = []
    for start in range(0, len(order), _CHUNK):
        sketch = invented.first_look(model).infer(
            known.take(order[start : start + _CHUNK]).inks, config.evaluation.seed + start
        )
        found.append(sketch.strokes.control_points[sketch.strokes.presence > 0])
        if sum(map(len, found)) >= most:
            break
    return np.concatenate(found)[:most]


def canonical(strokes: np.ndarray) -> np.ndarray:
    """[N, P, 2] strokes, turned round where they run up, or level and left."""
    run_x, run_y = (strokes[:, -1] - strokes[:, 0]).T
    backwards = np.where(np.abs(run_y) > np.abs(run_x), run_y < 0, run_x < 0)
    return np.where(backwards[:, None, None], strokes[:, ::-1], strokes)


def far_apart(places: np.ndarray, least: float) -> np.ndarray:
    """Rows of [N, 2] places so chosen, from the first on, that any two are at least so far apart."""
    chosen: list[int] = []
    for row, place in enumerate(places):
        if not chosen or np.linalg.norm(places[chosen] - place, axis=1).min() >= least:
            chosen.append(row)
    return np.array(chosen)


def _show(path: Path, strokes: np.ndarray, kinds: np.ndarray, config: Config, silhouette: float) -> None:
    places = learners.to_map(strokes.reshape(len(strokes), -1), config.evaluation.seed)
    shown = far_apart(places, _APART)
    basis = np.asarray(bezier.bernstein_basis(strokes.shape[1], _CURVE_SAMPLES))
    curves = np.einsum("cp,npd->ncd", basis, strokes[shown])
    title = (
        f"{config.data.name}: strokes in {config.invention.clusters} clusters, silhouette {silhouette:.2f}"
    )
    figures.strokes_on_map(path, places, kinds, shown, curves, title)
