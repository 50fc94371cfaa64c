"""Which strokes a model draws with: clusters of them, and a map (method.md 10.4, the paper's Fig. 5)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.errors import BadInput
from dood_jax.geometry import affine, bezier
from dood_jax.judging import pictures
from dood_jax.settings.config import Config
from dood_jax.tasks import invented, learners, published, results

_OTHER_COUNTS = (5, 10, 15)  # of clusters, as published beside 8
_CURVE_SAMPLES = 24
_PLACED_SAMPLES = 9
_APART = 0.06  # of strokes that are drawn on the map, in its unit square
_CHUNK = 1024  # pictures that are drawn before strokes are counted


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Clusters strokes of training pictures; writes `clusters-<dataset>.json` and a map of them.

    Strokes are the control points in their own frames, from one drawing a picture by the first look;
    silhouettes are of k-means with Euclidean distances. `canonical_silhouette` is of strokes that all run in
    one direction, since a curve looks the same from either end; `placed_silhouette` of points along these
    curves where they lie on the canvas.
    """
    learners.require("clusters")
    (model,) = models
    config = config.unrefined()
    settings = config.invention
    measurement = results.Measurement("clusters", config, models)
    layouts, strokes = strokes_of(model, config, settings.num_clustered)
    if len(strokes) <= settings.clusters:
        raise BadInput(
            f"{len(strokes)} strokes were drawn, too few for invention.clusters={settings.clusters};"
            " give fewer clusters"
        )
    raw = strokes.reshape(len(strokes), -1)
    counts = [count for count in sorted({settings.clusters, *_OTHER_COUNTS}) if count < len(strokes)]
    seed = config.evaluation.seed
    found = {str(count): learners.cluster(raw, count, seed) for count in counts}
    others = {"canonical": canonical(strokes), "placed": canonical(on_canvas(layouts, strokes))}
    of_others = {
        f"{name}_silhouette": learners.cluster(each.reshape(len(each), -1), settings.clusters, seed)[1]
        for name, each in others.items()
    }
    kinds, silhouette = found[str(settings.clusters)]
    values = {
        "silhouette": silhouette,
        "by_clusters": {count: of_count for count, (_, of_count) in found.items()},
        **of_others,
        "strokes": len(strokes),
        "shares": [float(share) for share in np.sort(np.bincount(kinds) / len(kinds))[::-1]],
        "published": published.numbers()["silhouette"],
    }
    record = measurement.write(
        workdir,
        values,
        len(strokes),
        pictures=f"{config.data.name}, training",
    )
    shown = slice(0, settings.num_mapped)
    _show(record.with_suffix(".png"), strokes[shown], kinds[shown], config, silhouette)
    return values


def strokes_of(model: Model, config: Config, most: int) -> tuple[np.ndarray, np.ndarray]:
    """[N, 4] layouts and [N, P, 2] control points of at most so many strokes of training pictures."""
    known = pictures.load(config.data, "train")
    order = np.random.default_rng(config.evaluation.seed).permutation(len(known.labels))
    layouts: list[np.ndarray] = []
    points: list[np.ndarray] = []
    for start in range(0, len(order), _CHUNK):
        sketch = invented.first_look(model).infer(
            known.take(order[start : start + _CHUNK]).inks, config.evaluation.seed + start
        )
        drawn = sketch.strokes.presence > 0
        layouts.append(sketch.strokes.layout[drawn])
        points.append(sketch.strokes.control_points[drawn])
        if sum(map(len, points)) >= most:
            break
    return np.concatenate(layouts)[:most], np.concatenate(points)[:most]


def on_canvas(layouts: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    """[N, 9, 2] points along N strokes where they lie on the canvas."""
    place = lambda layout, points: affine.place_points(affine.layout_to_matrix(layout), points)
    placed = np.asarray(jax.vmap(place)(layouts, strokes))
    return np.einsum("cp,npd->ncd", bezier.bernstein_basis(strokes.shape[1], _PLACED_SAMPLES), placed)


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
