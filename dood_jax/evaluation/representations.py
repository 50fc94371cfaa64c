"""The tasks `clusters` and `probe`: what the strokes of a model say of its images.

What is taken from scikit-learn: clusters, maps and classifiers of vectors.

Which strokes a model draws with: clusters of them, and a map (method.md 10.4, the paper's Fig. 5).

Do strokes tell what an image shows? A classifier of latent variables (method.md 10.10).
"""

import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dood_jax import figures, geometry
from dood_jax.api import Model
from dood_jax.config.groups import Config
from dood_jax.errors import BadInput
from dood_jax.evaluation import generation, published_results, results
from dood_jax.evaluation.metrics import prepare
from dood_jax.evaluation.metrics.labelled_images import load_labelled
from dood_jax.types import StrokeLatents

_JUDGED = 10000  # vectors whose silhouette is taken, at most
_MAPPED_AT_LEAST = 4


def require_scikit_learn(task: str) -> None:
    """Raises BadInput where scikit-learn is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise BadInput(f"--task={task} needs scikit-learn; pip install 'dood_jax[clusters]'")


def cluster(vectors: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, float]:
    """Labels [N] of k-means on [N, D] vectors, N > count > 1, and their silhouette; 0 for one cluster."""
    from sklearn.cluster import KMeans  # noqa: PLC0415 - optional, and a second to import
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.metrics import silhouette_score  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than clusters
        labels = KMeans(count, n_init=3, random_state=seed).fit_predict(vectors)
    kinds = len(np.unique(labels[:_JUDGED]))
    if not 1 < kinds < min(len(labels), _JUDGED):
        return labels, 0.0
    return labels, float(silhouette_score(vectors[:_JUDGED], labels[:_JUDGED]))


def to_map(vectors: np.ndarray, seed: int) -> np.ndarray:
    """[N, 2] places in the unit square by t-SNE of [N, D] vectors; of a few, their first two numbers."""
    from sklearn.manifold import TSNE  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn

    count = len(vectors)
    if count < _MAPPED_AT_LEAST or len(np.unique(vectors, axis=0)) < _MAPPED_AT_LEAST:
        places = vectors[:, :2].astype(float)
    else:
        perplexity = min(30.0, (count - 1) / 3)
        with threadpool_limits(1):  # its threads wait for each other, for ever where cores are busy
            places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
    low, high = places.min(0), places.max(0)
    return (places - low) / np.maximum(high - low, 1e-9)


def linear_accuracy(
    learned: np.ndarray, labels: np.ndarray, tested: np.ndarray, answers: np.ndarray
) -> float:
    """Share of right answers on [M, D] vectors of a linear softmax classifier of [N, D] vectors."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    return _accuracy(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)), learned, labels, tested, answers
    )


def network_accuracy(
    learned: np.ndarray, labels: np.ndarray, tested: np.ndarray, answers: np.ndarray, seed: int
) -> float:
    """The same of a network with two hidden layers."""
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    network = MLPClassifier(
        (256, 128), alpha=1e-3, batch_size=min(256, len(learned)), max_iter=25, random_state=seed
    )
    return _accuracy(make_pipeline(StandardScaler(), network), learned, labels, tested, answers)


def _accuracy(classifier, learned, labels, tested, answers) -> float:
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so many steps are enough
        return float(classifier.fit(learned, labels).score(tested, answers))


_OTHER_COUNTS = (5, 10, 15)  # of clusters, as published beside 8
_CURVE_SAMPLES = 24
_PLACED_SAMPLES = 9
_APART = 0.06  # of strokes that are drawn on the map, in its unit square
_CHUNK = 1024  # images that are drawn before strokes are counted


def run_clusters(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Clusters strokes of training images; writes `clusters-<dataset>.json` and a map of them.

    Strokes are the control points in their own frames, from one drawing an image by the first look;
    silhouettes are of k-means with Euclidean distances. `canonical_silhouette` is of strokes that all run in
    one direction, since a curve looks the same from either end; `placed_silhouette` of points along these
    curves where they lie on the canvas.
    """
    require_scikit_learn("clusters")
    (model,) = models
    config = config.unrefined()
    settings = config.generation
    measurement = results.Measurement("clusters", config, models)
    layouts, strokes = strokes_of(model, config, settings.num_clustered)
    if len(strokes) <= settings.clusters:
        raise BadInput(
            f"{len(strokes)} strokes were drawn, too few for generation.clusters={settings.clusters};"
            " give fewer clusters"
        )
    raw = strokes.reshape(len(strokes), -1)
    counts = [count for count in sorted({settings.clusters, *_OTHER_COUNTS}) if count < len(strokes)]
    seed = config.evaluation.seed
    found = {str(count): cluster(raw, count, seed) for count in counts}
    others = {"canonical": canonical(strokes), "placed": canonical(on_canvas(layouts, strokes))}
    of_others = {
        f"{name}_silhouette": cluster(each.reshape(len(each), -1), settings.clusters, seed)[1]
        for name, each in others.items()
    }
    kinds, silhouette = found[str(settings.clusters)]
    values = {
        "silhouette": silhouette,
        "by_clusters": {count: of_count for count, (_, of_count) in found.items()},
        **of_others,
        "strokes": len(strokes),
        "shares": [float(share) for share in np.sort(np.bincount(kinds) / len(kinds))[::-1]],
        "published": published_results.numbers()["silhouette"],
    }
    record = measurement.write(
        workdir,
        values,
        len(strokes),
        images=f"{config.data.name}, training",
    )
    shown = slice(0, settings.num_mapped)
    _show(record.with_suffix(".png"), strokes[shown], kinds[shown], config, silhouette)
    return values


def strokes_of(model: Model, config: Config, most: int) -> tuple[np.ndarray, np.ndarray]:
    """[N, 4] layouts and [N, P, 2] control points of at most so many strokes of training images."""
    known = load_labelled(config.data, "train")
    order = np.random.default_rng(config.evaluation.seed).permutation(len(known.labels))
    layouts: list[np.ndarray] = []
    points: list[np.ndarray] = []
    for start in range(0, len(order), _CHUNK):
        sketch = generation.first_look(model).infer(
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
    place = lambda layout, points: geometry.place_points(geometry.layout_to_matrix(layout), points)
    placed = np.asarray(jax.vmap(place)(layouts, strokes))
    return np.einsum("cp,npd->ncd", geometry.bernstein_basis(strokes.shape[1], _PLACED_SAMPLES), placed)


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
    places = to_map(strokes.reshape(len(strokes), -1), config.evaluation.seed)
    shown = far_apart(places, _APART)
    basis = np.asarray(geometry.bernstein_basis(strokes.shape[1], _CURVE_SAMPLES))
    curves = np.einsum("cp,npd->ncd", basis, strokes[shown])
    title = (
        f"{config.data.name}: strokes in {config.generation.clusters} clusters, silhouette {silhouette:.2f}"
    )
    figures.strokes_on_map(path, places, kinds, shown, curves, title)


def run_probe(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Learns classes from one drawing a training image; writes `probe-<dataset>.json`.

    `accuracy` is of a small network on held-out images, `linear` of the published linear classifier.
    """
    require_scikit_learn("probe")
    (model,) = models
    config = config.unrefined()
    measurement = results.Measurement("probe", config, models)
    known = load_labelled(config.data, "train", config.generation.num_learned)
    asked = prepare.labelled(config.data, config.evaluation)
    if known.classes != asked.classes:
        raise BadInput(
            f"{config.data.name} has other classes in its test images; probe a set that has the same"
        )
    if len(np.unique(known.labels)) < 2:
        raise BadInput(f"{config.data.name} has images of one class; a probe needs at least 2 to tell apart")
    seed = config.evaluation.seed
    learned, tested = (
        vectors(generation.first_look(model).infer(part.inks, seed + which).strokes)
        for which, part in enumerate((known, asked))
    )
    sets = (learned, known.labels, tested, asked.labels)
    values = {
        "accuracy": network_accuracy(*sets, seed),
        "linear": linear_accuracy(*sets),
        "chance": float(np.bincount(asked.labels).max() / len(asked.labels)),
        "learned_from": len(known.labels),
        "published_linear": published_results.numbers()["probe"].get(config.data.name),
    }
    measurement.write(workdir, values, len(asked.labels))
    return values


def vectors(strokes: StrokeLatents) -> np.ndarray:
    """[N, T (2 P + 4)] control points and layouts of N drawings, zero for strokes that are not drawn."""
    presence = strokes.presence[..., None]
    points = strokes.control_points.reshape(*strokes.control_points.shape[:2], -1)
    parts = [(part * presence).reshape(len(presence), -1) for part in (points, strokes.layout)]
    return np.concatenate(parts, axis=1)
