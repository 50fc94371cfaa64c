"""The task `fid`: how far generated drawings lie from training images (Fréchet distance).

How far two sets of images are apart, by their features (method.md 10.6).

How far invented drawings are from real images, and whether they are memorised (method.md 10.6).

The published distances are between ImageNet class probabilities; ours are between features of the set's own
judge. What compares is the ratio to the floor: the distance of real images from other real images.
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
from dood_jax.evaluation import generation, published_results, results
from dood_jax.evaluation.metrics import prepare
from dood_jax.evaluation.metrics.labelled_images import Labelled, load_labelled
from dood_jax.types import BrushParams

_NEIGHBOURS = 3  # of an image, within whose distance its surroundings lie
_CHUNK = 4096
_MOST = 5000  # images of a set, where all are compared with all


def frechet(one: np.ndarray, other: np.ndarray) -> float:
    """|μ - μ'|² + tr(Σ + Σ' - 2 (Σ Σ')^½) of the Gaussians through [N, D] and [M, D] features, N, M > 1."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    covariance, covariance_other = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (one, other))
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    of_product = np.maximum(np.linalg.eigvalsh(root @ covariance_other @ root), 0)
    between = ((one.mean(0) - other.mean(0)) ** 2).sum()
    apart = between + np.trace(covariance) + np.trace(covariance_other) - 2 * np.sqrt(of_product).sum()
    return float(max(apart, 0))


def kernel(one: np.ndarray, other: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy under (x · y / D + 1)³; may be a little below 0."""
    one, other = (each[:_MOST].astype(np.float64) for each in (one, other))
    similar = lambda x, y: (x @ y.T / x.shape[1] + 1) ** 3
    within = sum(_off_diagonal_mean(similar(each, each)) for each in (one, other))
    return float(within - 2 * similar(one, other).mean())


def _off_diagonal_mean(matrix: np.ndarray) -> float:
    count = len(matrix)
    return (matrix.sum() - np.trace(matrix)) / (count * (count - 1))


def precision_and_recall(real: np.ndarray, invented: np.ndarray) -> tuple[float, float]:
    """Shares of [M, D] invented features among the real ones, and of [N, D] real ones among the invented.

    Among them is what lies within the distance of the third neighbour of any (Kynkäänniemi et al. 2019).
    """
    real, invented = real[:_MOST], invented[:_MOST]
    between = cdist(invented, real)
    among_real = between <= _reach(real)[None]
    among_invented = between <= _reach(invented)[:, None]
    return float(among_real.any(1).mean()), float(among_invented.any(0).mean())


def _reach(features: np.ndarray) -> np.ndarray:
    """[N] distance of the third neighbour of each, or of the last of fewer."""
    which = min(_NEIGHBOURS, len(features) - 1)
    return np.partition(cdist(features, features), which, axis=1)[:, which]


def nearest(images: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The closest of uint8 [M, H, W] images to each of [N, H, W] in 0..1: [N] rows, and distances.

    The distance is the root of the summed squares of pixels.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    rows, least = np.zeros(len(flat), int), np.full(len(flat), np.inf, np.float32)
    for start in range(0, len(gallery), _CHUNK):
        part = gallery[start : start + _CHUNK].reshape(-1, flat.shape[1]).astype(np.float32) / 255
        squares = (flat**2).sum(1)[:, None] + (part**2).sum(1) - 2 * flat @ part.T
        found = squares.argmin(1)
        closer = squares[np.arange(len(flat)), found] < least
        rows = np.where(closer, start + found, rows)
        least = np.where(closer, squares[np.arange(len(flat)), found], least)
    return rows, np.sqrt(np.maximum(least, 0))


_SIDE = 10  # pixels of a side of the smallest description
_SHOWN = 16  # invented drawings beside their nearest training images
_JUDGED_NEAREST = 256
_REDRAWN_SEED = 2**32  # apart from those of repeats
_CERTAIN = 0.9  # probability of its class with which an image is recognised
Features = Callable[[np.ndarray], np.ndarray]  # [N, H, W] images, 0..1 -> [N, D] features


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Compares `generation.num_samples` drawings with real images; writes `fid-<dataset>.json` and `.png`.

    `ratio` is of the distance to the floor. `redrawn` has what the model's drawings of real images come to:
    what is left is due to curves and brushes, the rest to the prior. `certain` is the share that the judge
    recognises, `nearest` the median distance from the nearest training image, each beside that of real
    held-out images. The figure shows drawings above their nearest training images. Of a set with fewer
    than twice as many training images, halves of what there is are compared.
    """
    (model,) = models
    config = config.unrefined()
    measurement = results.Measurement("fid", config, models)
    learned = load_labelled(config.data, "train")
    count = min(config.generation.num_samples, len(learned.labels) // 2)
    if count < 2:
        raise BadInput(f"{config.data.name} has {len(learned.labels)} training images; fid needs at least 4")
    judge = prepare.judge_of(config.data, workdir / "results")
    features = {"classifier": judge.features, "pixels": small_images}[config.generation.features]
    repeats = range(config.evaluation.seed, config.evaluation.seed + config.generation.repeats)
    brushes = generation.brushes_of(model, config)
    draw = functools.partial(_invented, model, config, brushes, learned)
    runs = [_compare(learned, features(draw(count, seed)), features, seed) for seed in repeats]
    redrawn = _compare(learned, features(_redrawn(model, learned, count)), features, repeats[0])
    found = draw(min(count, _JUDGED_NEAREST), repeats[0])
    held_out = prepare.labelled(config.data, config.evaluation).inks[: len(found)]
    rows, apart = nearest(found, learned.images)
    values = {
        **summary(runs),
        "redrawn": {name: redrawn[name] for name in ("fid", "kernel_distance", "precision", "recall")},
        "images": count,
        "certain": _certain(judge.probabilities(found)),
        "real_certain": _certain(judge.probabilities(held_out)),
        "nearest": float(np.median(apart)),
        "real_nearest": float(np.median(nearest(held_out, learned.images)[1])),
        "published": published_results.numbers()["fid"],
        "judge": judge.card,
    }
    record = measurement.write(workdir, values, count, images=f"{config.data.name}, training")
    neighbours = learned.take(rows[:_SHOWN]).inks
    rows_of = {"invented": found[:_SHOWN], "the nearest training image of each": neighbours}
    blocks = {title: block[None] for title, block in rows_of.items()}
    figures.sheets(record.with_suffix(".png"), blocks, upright=True)
    return values


def small_images(images: np.ndarray) -> np.ndarray:
    """[N, 100] of [N, H, W] images: their pixels, ten by ten."""
    return resize((255 * images + 0.5).astype(np.uint8), _SIDE).reshape(len(images), -1) / 255


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and population deviation of every number over repeats, and the ratio of distance to floor."""
    over = {name: np.array([one[name] for one in runs]) for name in runs[0]}
    means = {name: {"mean": float(each.mean()), "sd": float(each.std())} for name, each in over.items()}
    floor = means["real_fid"]["mean"]
    return {**means, "ratio": means["fid"]["mean"] / floor if floor > 0 else None, "repeats": len(runs)}


def _compare(learned: Labelled, drawn: np.ndarray, features: Features, seed: int) -> dict[str, float]:
    """[N, D] features of drawings, and of other real images, against those of the same real images."""
    count = len(drawn)
    rows = np.random.default_rng(seed).permutation(len(learned.labels))
    real, other = (features(learned.take(one).inks) for one in (rows[:count], rows[count : 2 * count]))
    measured = {}
    for prefix, these in (("", drawn), ("real_", other)):
        measured[f"{prefix}fid"] = frechet(real, these)
        measured[f"{prefix}kernel_distance"] = kernel(real, these)
        precision, recall = precision_and_recall(real, these)
        measured.update({f"{prefix}precision": precision, f"{prefix}recall": recall})
    return measured


def _invented(
    model: Model, config: Config, brushes: BrushParams, learned: Labelled, count: int, seed: int
) -> np.ndarray:
    """[count, H, W] invented drawings, each as some training image was recorded."""
    drawn = generation.samples(model, config, brushes, count, seed).canvases[:, -1]
    rows = np.random.default_rng(seed).integers(len(learned.labels), size=count)
    return model.to_source_grid(learned.take(rows).inks, drawn)


def _redrawn(model: Model, learned: Labelled, count: int) -> np.ndarray:
    """[count, H, W] drawings by the first look of training images that are compared with no other."""
    rows = np.random.default_rng(_REDRAWN_SEED).permutation(len(learned.labels))[:count]
    inks = learned.take(rows).inks
    return model.to_source_grid(inks, generation.first_look(model).infer(inks).canvases[:, -1])


def _certain(probabilities: np.ndarray) -> float:
    return float((probabilities.max(1) > _CERTAIN).mean())
