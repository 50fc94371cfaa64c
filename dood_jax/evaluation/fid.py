"""The task `fid`: how far generated drawings are from real images, and whether they are copies.

The published distances are between ImageNet class probabilities; ours are between features of the set's own
evaluation classifier. What can be compared is the ratio to the floor, which is the distance of real images
from other real images (method.md 10.6).
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.config.groups import Config
from dood_jax.data.dataset import resize
from dood_jax.errors import BadInput
from dood_jax.evaluation import generation, results
from dood_jax.evaluation.metrics import prepare
from dood_jax.evaluation.metrics.classifier import LabelledImages, load_labelled, load_labelled_test
from dood_jax.types import BrushParams

_NEIGHBOURS = 3  # a set reaches, around each of its images, to this nearest neighbour
_NEAREST_BATCH = 4096  # images of the training set that others are compared with at a time
_MAX_COMPARED = 5000  # images of a set where all are compared with all
_PIXEL_FEATURES_SIDE = 10  # pixels along a side of the images whose pixels are features
_SHOWN = 16  # generated drawings in the figure
_CHECKED_FOR_COPIES = 256  # generated drawings whose nearest training images are looked for
_CONFIDENT = 0.9  # an image is recognised with at least this probability of its class
Features = Callable[[np.ndarray], np.ndarray]  # [N, H, W] images in 0..1 -> [N, D] features


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Compares `generation.num_samples` drawings with real images; writes `fid-<dataset>.json` and a figure.

    Values:
      fid, kernel_distance, precision, recall: of generated drawings; with `real_` before: of other real
        images, the floor. `ratio` is that of the two Fréchet distances.
      reconstructed: the same of the model's drawings of real images. What is left there is due to curves and
        brushes, the rest to the prior.
      confident: fraction of drawings that the classifier recognises, with a probability above 0.9.
      nearest: median distance to the nearest training image. `real_confident` and `real_nearest` are those
        of test images.

    The figure shows drawings above their nearest training images. Where the training set is too small for
    two disjoint sets of `num_samples`, each has half of it. Raises BadInput for fewer than 4 images.
    """
    (model,) = models
    config = config.with_plain_inference()
    measurement = results.Measurement("fid", config, models)
    training = load_labelled(config.data, "train")
    count = min(config.generation.num_samples, len(training.labels) // 2)
    if count < 2:
        raise BadInput(f"{config.data.name} has {len(training.labels)} training images; fid needs at least 4")
    classifier = prepare.classifier_of(config.data, workdir / "results")
    features = {"classifier": classifier.features, "pixels": pixel_features}[config.generation.features]
    seeds = range(config.evaluation.seed, config.evaluation.seed + config.generation.repeats)
    brushes = generation.brushes_of(model, config)
    generate = functools.partial(_generated, model, config, brushes, training)
    repeats = [_distances(training, features(generate(count, seed)), features, seed) for seed in seeds]
    reconstructed = features(_reconstructed(model, training, count, seeds[0]))
    of_reconstructed = _distances(training, reconstructed, features, seeds[0])
    drawn = generate(min(count, _CHECKED_FOR_COPIES), seeds[0])
    test = load_labelled_test(config.data, config.evaluation).floats[: len(drawn)]
    rows, apart = nearest(drawn, training.images)
    values = {
        **summary(repeats),
        "reconstructed": {name: of_reconstructed[name] for name in _NAMES},
        "images": count,
        "confident": _confident_fraction(classifier.probabilities(drawn)),
        "real_confident": _confident_fraction(classifier.probabilities(test)),
        "nearest": float(np.median(apart)),
        "real_nearest": float(np.median(nearest(test, training.images)[1])),
        "published": results.published()["fid"],
        "classifier": classifier.card,
    }
    record = measurement.write(workdir, values, count, images=f"{config.data.name}, training")
    neighbours = training.take(rows[:_SHOWN]).floats
    blocks = {"generated": drawn[:_SHOWN], "the nearest training image of each": neighbours}
    in_a_row = {title: block[None] for title, block in blocks.items()}
    figures.image_blocks(record.with_suffix(".png"), in_a_row, stacked=True)
    return values


def _generated(
    model: Model, config: Config, brushes: BrushParams | None, training: LabelledImages, count: int, seed: int
) -> np.ndarray:
    """[count, H, W] generated drawings, each at the source resolution of some training image."""
    drawn = generation.samples(model, config, brushes, count, seed).canvases[:, -1]
    rows = np.random.default_rng(seed).integers(len(training.labels), size=count)
    return model.to_source_grid(training.take(rows).floats, drawn)


def _reconstructed(model: Model, training: LabelledImages, count: int, seed: int) -> np.ndarray:
    """[count, H, W] drawings, without iterative inference, of the images that are the floor of a seed."""
    images = training.take(_two_sets(training, count, seed)[1]).floats
    return model.to_source_grid(images, model.infer(images, iterations=0).canvases[:, -1])


# ---- Distances between sets of images ----

_NAMES = ("fid", "kernel_distance", "precision", "recall")


def _distances(
    training: LabelledImages, drawn: np.ndarray, features: Features, seed: int
) -> dict[str, float]:
    """What [N, D] features of drawings, and N other real images, are against the same N real images."""
    count = len(drawn)
    real, other = (features(training.take(rows).floats) for rows in _two_sets(training, count, seed))
    found = {}
    for prefix, compared in (("", drawn), ("real_", other)):
        numbers = (
            frechet_distance(real, compared),
            kernel_distance(real, compared),
            *precision_and_recall(real, compared),
        )
        found.update({f"{prefix}{name}": number for name, number in zip(_NAMES, numbers, strict=True)})
    return found


def _two_sets(training: LabelledImages, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of twice so many different training images, by seed: those to compare with, and the others."""
    rows = np.random.default_rng(seed).permutation(len(training.labels))
    return rows[:count], rows[count : 2 * count]


def summary(repeats: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and standard deviation of every number over repeats, and the ratio of mean distance to floor."""
    over = {name: np.array([one[name] for one in repeats]) for name in repeats[0]}
    means = {name: {"mean": float(each.mean()), "sd": float(each.std())} for name, each in over.items()}
    floor = means["real_fid"]["mean"]
    ratio = means["fid"]["mean"] / floor if floor > 0 else None
    return {**means, "ratio": ratio, "repeats": len(repeats)}


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """|μ - μ'|² + tr(Σ + Σ' - 2 (Σ Σ')^½) of the Gaussians through [N, D] and [M, D] features, N, M > 1."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    covariance, covariance_other = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (one, other))
    # Σ Σ' has the eigenvalues of the symmetric matrix Σ^½ Σ' Σ^½, of which rounding leaves none complex.
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    of_product = np.maximum(np.linalg.eigvalsh(root @ covariance_other @ root), 0)
    between = ((one.mean(0) - other.mean(0)) ** 2).sum()
    apart = between + np.trace(covariance) + np.trace(covariance_other) - 2 * np.sqrt(of_product).sum()
    return float(max(apart, 0))


def kernel_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of [N, D] and [M, D] features under (x · y / D + 1)³.

    It may be a little below 0, as it has no bias.
    """
    one, other = (each[:_MAX_COMPARED].astype(np.float64) for each in (one, other))
    similarity = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3
    within = sum(_off_diagonal_mean(similarity(each, each)) for each in (one, other))
    return float(within - 2 * similarity(one, other).mean())


def _off_diagonal_mean(matrix: np.ndarray) -> float:
    count = len(matrix)
    return (matrix.sum() - np.trace(matrix)) / (count * (count - 1))


def precision_and_recall(real: np.ndarray, generated: np.ndarray) -> tuple[float, float]:
    """Fraction of [M, D] generated features that lie among [N, D] real ones, and of real among generated.

    A point lies among a set if it is no farther from one of its members than that member's third nearest
    neighbour in the set (Kynkäänniemi et al. 2019).
    """
    real, generated = real[:_MAX_COMPARED], generated[:_MAX_COMPARED]
    between = cdist(generated, real)
    among_real = between <= _neighbour_distance(real)[None]
    among_generated = between <= _neighbour_distance(generated)[:, None]
    return float(among_real.any(1).mean()), float(among_generated.any(0).mean())


def _neighbour_distance(features: np.ndarray) -> np.ndarray:
    """[N] distance from each of [N, D] features to its third nearest neighbour, or the last of fewer."""
    which = min(_NEIGHBOURS, len(features) - 1)
    return np.partition(cdist(features, features), which, axis=1)[:, which]


def nearest(images: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest of uint8 [M, H, W] images to each of [N, H, W] images in 0..1.

    Returns [N] rows of the gallery and [N] distances, the root of summed squared differences of pixels.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    rows, least = np.zeros(len(flat), int), np.full(len(flat), np.inf, np.float32)
    for start in range(0, len(gallery), _NEAREST_BATCH):
        part = gallery[start : start + _NEAREST_BATCH].reshape(-1, flat.shape[1]).astype(np.float32) / 255
        squares = (flat**2).sum(1)[:, None] + (part**2).sum(1) - 2 * flat @ part.T
        found = squares.argmin(1)
        distance = squares[np.arange(len(flat)), found]
        rows = np.where(distance < least, start + found, rows)
        least = np.minimum(distance, least)
    return rows, np.sqrt(np.maximum(least, 0))


def pixel_features(images: np.ndarray) -> np.ndarray:
    """[N, 100] pixels of [N, H, W] images in 0..1, resized to 10 x 10."""
    in_bytes = (255 * images + 0.5).astype(np.uint8)
    return resize(in_bytes, _PIXEL_FEATURES_SIDE).reshape(len(images), -1) / 255


def _confident_fraction(probabilities: np.ndarray) -> float:
    """Fraction of images, with [N, C] class probabilities, that are recognised."""
    return float((probabilities.max(1) > _CONFIDENT).mean())
