"""The tasks `clusters` and `probe`: what a model's strokes say of its images; both need scikit-learn.

`clusters` finds kinds of strokes and draws a map of them (method.md 10.4, the paper's Fig. 5). `probe`
classifies images by the latent variables of their drawings (method.md 10.10).
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
from dood_jax.errors import BadInput, require_choice
from dood_jax.evaluation import results
from dood_jax.evaluation.metrics.classifier import load_labelled, load_labelled_test
from dood_jax.types import StrokeLatents

_SILHOUETTE_VECTORS = 10000  # whose silhouette is taken, at most
_MIN_MAPPED = 4  # different vectors that t-SNE needs
_OTHER_COUNTS = (5, 10, 15)  # of clusters, as published beside 8
_PLACED_SAMPLES = 9  # points along a curve that is clustered where it lies on the canvas
_CURVE_SAMPLES = 24  # points along a curve in the figure
_MIN_DISTANCE = 0.06  # between strokes that are drawn on the map, in its unit square
_BATCH_SIZE = 1024  # images that are drawn before strokes are counted again


def require_scikit_learn(task: str) -> None:
    """Raises BadInput where scikit-learn is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise BadInput(f"--task={task} needs scikit-learn; pip install 'dood_jax[clusters]'")


# ---- Clusters ----


def run_clusters(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Clusters strokes of training images; writes `clusters-<dataset>.json` and a map of them.

    Strokes are control points in their own frames, from one drawing of each image without iterative
    inference. Silhouettes are of k-means with Euclidean distances. Values:
      silhouette: of `generation.clusters` clusters; `by_clusters` has it for other counts too.
      canonical_silhouette: of strokes that all run in one direction, since a curve looks the same from
        either end.
      placed_silhouette: of points along these curves where they lie on the canvas.
      fractions: of the strokes in each cluster, the largest first.

    Raises BadInput for a model whose strokes have no control points, for fewer strokes than clusters, or
    without scikit-learn.
    """
    require_scikit_learn("clusters")
    (model,) = models
    require_choice("model.decoder", model.config.decoder, ("curve",))
    config = config.with_plain_inference()
    settings, seed = config.generation, config.evaluation.seed
    measurement = results.Measurement("clusters", config, models)
    layouts, strokes = strokes_of(model, config, settings.num_clustered)
    if len(strokes) <= settings.clusters:
        raise BadInput(
            f"{len(strokes)} strokes were drawn, too few for generation.clusters={settings.clusters};"
            " give fewer clusters"
        )
    silhouette_of = lambda points: cluster(points.reshape(len(points), -1), settings.clusters, seed)[1]
    vectors = strokes.reshape(len(strokes), -1)
    counts = [count for count in sorted({settings.clusters, *_OTHER_COUNTS}) if count < len(strokes)]
    found = {count: cluster(vectors, count, seed) for count in counts}
    kinds, silhouette = found[settings.clusters]
    values = {
        "silhouette": silhouette,
        "by_clusters": {str(count): of_count for count, (_, of_count) in found.items()},
        "canonical_silhouette": silhouette_of(canonical(strokes)),
        "placed_silhouette": silhouette_of(canonical(on_canvas(layouts, strokes))),
        "strokes": len(strokes),
        "fractions": [float(fraction) for fraction in np.sort(np.bincount(kinds) / len(kinds))[::-1]],
        "published": results.published()["silhouette"],
    }
    record = measurement.write(workdir, values, len(strokes), images=f"{config.data.name}, training")
    shown = slice(0, settings.num_mapped)
    _show_map(record.with_suffix(".png"), strokes[shown], kinds[shown], config, silhouette)
    return values


def strokes_of(model: Model, config: Config, most: int) -> tuple[np.ndarray, np.ndarray]:
    """[N, 4] layouts and [N, P, 2] control points of at most so many strokes of training images."""
    training = load_labelled(config.data, "train")
    order = np.random.default_rng(config.evaluation.seed).permutation(len(training.labels))
    layouts: list[np.ndarray] = []
    points: list[np.ndarray] = []
    for start in range(0, len(order), _BATCH_SIZE):
        images = training.take(order[start : start + _BATCH_SIZE]).floats
        strokes = model.infer(images, config.evaluation.seed + start, iterations=0).strokes
        drawn = strokes.presence > 0
        layouts.append(np.asarray(strokes.layout[drawn]))
        points.append(np.asarray(strokes.control_points[drawn]))
        if sum(map(len, points)) >= most:
            break
    return np.concatenate(layouts)[:most], np.concatenate(points)[:most]


def canonical(strokes: np.ndarray) -> np.ndarray:
    """[N, P, 2] strokes, reversed where they run upwards, or level and to the left."""
    run_x, run_y = (strokes[:, -1] - strokes[:, 0]).T
    backwards = np.where(np.abs(run_y) > np.abs(run_x), run_y < 0, run_x < 0)
    return np.where(backwards[:, None, None], strokes[:, ::-1], strokes)


def on_canvas(layouts: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    """[N, 9, 2] points along N strokes, of [N, 4] layouts and [N, P, 2] points, on the canvas."""
    place = lambda layout, points: geometry.place_points(geometry.layout_to_matrix(layout), points)
    placed = np.asarray(jax.vmap(place)(layouts, strokes))
    return np.einsum("cp,npd->ncd", geometry.bernstein_basis(strokes.shape[1], _PLACED_SAMPLES), placed)


def cluster(vectors: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, float]:
    """[N] labels of k-means on [N, D] vectors, N > count > 1, and their silhouette; 0 for one cluster."""
    from sklearn.cluster import KMeans  # noqa: PLC0415 - optional, and a second to import
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.metrics import silhouette_score  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - comes with scikit-learn

    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than clusters
        labels = KMeans(count, n_init=3, random_state=seed).fit_predict(vectors)
    vectors, measured = vectors[:_SILHOUETTE_VECTORS], labels[:_SILHOUETTE_VECTORS]
    if not 1 < len(np.unique(measured)) < len(measured):
        return labels, 0.0
    return labels, float(silhouette_score(vectors, measured))


def to_map(vectors: np.ndarray, seed: int) -> np.ndarray:
    """[N, 2] places in the unit square by t-SNE of [N, D] vectors; of a few, their first two numbers."""
    from sklearn.manifold import TSNE  # noqa: PLC0415
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    count = len(vectors)
    if count < _MIN_MAPPED or len(np.unique(vectors, axis=0)) < _MIN_MAPPED:
        places = vectors[:, :2].astype(float)
    else:
        perplexity = min(30.0, (count - 1) / 3)
        with threadpool_limits(1):  # its threads wait for each other, without end where cores are busy
            places = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
    low, high = places.min(0), places.max(0)
    return (places - low) / np.maximum(high - low, 1e-9)


def far_apart(places: np.ndarray, least: float) -> np.ndarray:
    """Rows of [N, 2] places, chosen from the first on, such that any two are at least so far apart."""
    chosen: list[int] = []
    for row, place in enumerate(places):
        if not chosen or np.linalg.norm(places[chosen] - place, axis=1).min() >= least:
            chosen.append(row)
    return np.array(chosen)


def _show_map(path: Path, strokes: np.ndarray, kinds: np.ndarray, config: Config, silhouette: float) -> None:
    """Draws [N, P, 2] strokes on a map, where those that look alike lie near, coloured by [N] clusters."""
    places = to_map(strokes.reshape(len(strokes), -1), config.evaluation.seed)
    shown = far_apart(places, _MIN_DISTANCE)
    basis = geometry.bernstein_basis(strokes.shape[1], _CURVE_SAMPLES)
    curves = np.einsum("cp,npd->ncd", basis, strokes[shown])
    count = config.generation.clusters
    title = f"{config.data.name}: strokes in {count} clusters, silhouette {silhouette:.2f}"
    figures.strokes_on_map(path, places, kinds, shown, curves, title)


# ---- Probe ----


def run_probe(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Learns classes from one drawing of each training image; writes `probe-<dataset>.json`.

    Values: `accuracy` of a small network on test images, `linear` of the published linear classifier, and
    `chance`, the fraction of the most frequent class. Raises BadInput where training and test images have
    different classes, where there is one class only, or without scikit-learn.
    """
    require_scikit_learn("probe")
    (model,) = models
    config = config.with_plain_inference()
    measurement = results.Measurement("probe", config, models)
    training = load_labelled(config.data, "train", config.generation.num_learned)
    test = load_labelled_test(config.data, config.evaluation)
    if training.classes != test.classes:
        raise BadInput(
            f"{config.data.name} has other classes in its test images; probe a set that has the same"
        )
    if len(np.unique(training.labels)) < 2:
        raise BadInput(f"{config.data.name} has images of one class; a probe needs at least 2 to tell apart")
    seed = config.evaluation.seed
    of_training, of_test = (
        latent_vectors(model.infer(part.floats, seed + which, iterations=0).strokes)
        for which, part in enumerate((training, test))
    )
    sets = (of_training, training.labels, of_test, test.labels)
    values = {
        "accuracy": network_accuracy(*sets, seed),
        "linear": linear_accuracy(*sets),
        "chance": float(np.bincount(test.labels).max() / len(test.labels)),
        "learned_from": len(training.labels),
        "published_linear": results.published()["probe"].get(config.data.name),
    }
    measurement.write(workdir, values, len(test.labels))
    return values


def latent_vectors(strokes: StrokeLatents) -> np.ndarray:
    """[N, T (2 P + 4)] control points and layouts of N drawings, zero for strokes that are not drawn."""
    presence = strokes.presence[..., None]
    points = strokes.control_points.reshape(*strokes.control_points.shape[:2], -1)
    parts = [(part * presence).reshape(len(presence), -1) for part in (points, strokes.layout)]
    return np.concatenate(parts, axis=1)


def linear_accuracy(
    training: np.ndarray, labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray
) -> float:
    """Accuracy on [M, D] test vectors of a linear softmax classifier of [N, D] training vectors."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    return _test_accuracy(LogisticRegression(max_iter=300), training, labels, test, test_labels)


def network_accuracy(
    training: np.ndarray, labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, seed: int
) -> float:
    """Accuracy on [M, D] test vectors of a network with two hidden layers, trained on [N, D] vectors."""
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    batch_size = min(256, len(training))
    network = MLPClassifier((256, 128), alpha=1e-3, batch_size=batch_size, max_iter=25, random_state=seed)
    return _test_accuracy(network, training, labels, test, test_labels)


def _test_accuracy(classifier, training, labels, test, test_labels) -> float:
    """Accuracy of a scikit-learn classifier of standardised vectors."""
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    pipeline = make_pipeline(StandardScaler(), classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so many steps are enough
        return float(pipeline.fit(training, labels).score(test, test_labels))
