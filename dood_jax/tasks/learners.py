"""What is taken from scikit-learn: clusters, maps and classifiers of vectors."""

import importlib.util
import warnings

import numpy as np

from dood_jax.errors import BadInput

_JUDGED = 10000  # vectors whose silhouette is taken, at most
_MAPPED_AT_LEAST = 4


def require(task: str) -> None:
    """Raises BadInput where scikit-learn is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        raise BadInput(f"--task={task} needs scikit-learn; pip install 'dood_jax[clusters]'")


def cluster(vectors: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, float]:
    """Labels [N] of k-means on [N, D] vectors, N > count > 1, and their silhouette; 0 for one cluster."""
    from sklearn.cluster import KMeans  # noqa: PLC0415 - optional, and a second to import
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.metrics import silhouette_score  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different vectors than clusters
        labels = KMeans(count, n_init=3, random_state=seed).fit_predict(vectors)
    kinds = len(np.unique(labels[:_JUDGED]))
    if not 1 < kinds < min(len(labels), _JUDGED):
        return labels, 0.0
    return labels, float(silhouette_score(vectors[:_JUDGED], labels[:_JUDGED]))


def to_map(vectors: np.ndarray, seed: int) -> np.ndarray:
    """[N, 2] places in the unit square by t-SNE of [N, D] vectors; of a few, their first two numbers."""
    from sklearn.manifold import TSNE  # noqa: PLC0415

    count = len(vectors)
    if count < _MAPPED_AT_LEAST or len(np.unique(vectors, axis=0)) < _MAPPED_AT_LEAST:
        places = vectors[:, :2].astype(float)
    else:
        perplexity = min(30.0, (count - 1) / 3)
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
