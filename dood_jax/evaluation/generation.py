"""The tasks `samples`, `exemplars` and `completion`: drawings generated, varied, and taken further.

Samples are drawn from the prior (method.md 10.5, the paper's Fig. 6). Exemplars are new drawings of the same
character: they should keep its class and still be new (method.md 10.7, the paper's Fig. 7). Completions keep
the first strokes of a drawing and let the model go on (method.md 10.8, Fig. 8). The evaluation classifier of
the set says to which classes they belong.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.config.groups import Config
from dood_jax.errors import BadInput, require_choice
from dood_jax.evaluation import results
from dood_jax.evaluation.metrics import prepare
from dood_jax.evaluation.metrics.classifier import (
    Classifier,
    LabelledImages,
    load_labelled,
    load_labelled_test,
)
from dood_jax.evaluation.reconstruction import best_drawings
from dood_jax.inference import image_sets
from dood_jax.model.prior import Spread
from dood_jax.model.variation import SMALL_NOISE, TypeNoise
from dood_jax.types import BrushParams, Sketch

_MEDIAN_IMAGES = 64  # images whose median brush is taken, as published
_MAX_BRUSHES = 512  # images whose brushes are drawn with
PUBLISHED_NOISE = {  # of exemplars, where it is not `SMALL_NOISE`
    "quickdraw": SMALL_NOISE._replace(ink_width=0.001, ink_slope=0.01, canvas_slope=0.01)
}
_GRID = 8  # images along a side of each grid in the figure


def spread_of(config: Config) -> Spread:
    """How far samples stray from what is most likely, by the settings."""
    settings = config.generation
    return Spread(settings.shift_spread, settings.size_spread, settings.points_spread, settings.temperature)


def noise_of(config: Config, factor: float = 1.0) -> TypeNoise:
    """The noise of exemplars: as published for the set, times the settings' factor and another one.

    Brushes vary in exemplars of Quick, Draw! alone (method.md 10.7).
    """
    published = PUBLISHED_NOISE.get(config.data.name, SMALL_NOISE)
    return published.times(config.generation.exemplar_noise * factor)


def samples(model: Model, config: Config, brushes: BrushParams | None, count: int, seed: int) -> Sketch:
    """`count` generated drawings with the spread of the settings.

    Each has one of [M] brushes at random, or its own if there are none.
    """
    if brushes is None:
        return model.sample(count, seed, config.evaluation.num_strokes or None, spread_of(config))
    random = np.random.default_rng([config.evaluation.seed, seed])
    rows = random.integers(len(brushes.canvas_slope), size=count)
    brush = BrushParams(*(value[rows] for value in brushes[:3]))
    return model.sample(count, seed, config.evaluation.num_strokes or None, spread_of(config), brush)


def brushes_of(model: Model, config: Config) -> BrushParams | None:
    """[M] brushes to generate with, by `generation.brush`; None if the model has a prior of brushes.

    `drawn`: the brushes of the first strokes of the model's drawings of training images; `median`: the median
    of these; `trained`: the mean brush of training. Only the first two draw, without iterative inference.
    """
    which = config.generation.brush
    if model.config.has_latent_brush:
        return None
    if which == "trained":
        return BrushParams(*(np.reshape(value, 1) for value in model.brush[:3]))
    count = _MEDIAN_IMAGES if which == "median" else _MAX_BRUSHES
    training = load_labelled(config.data, "train", count)
    found = model.infer(training.floats, config.evaluation.seed, iterations=0).brush
    brushes = BrushParams(found.ink_width[:, 0], found.ink_slope[:, 0], found.canvas_slope)
    if which == "median":
        return BrushParams(*(np.median(value, keepdims=True) for value in brushes[:3]))
    return brushes


def run_samples(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Generates 64 drawings; writes `samples-<dataset>.json` and a figure with real images beside them.

    The values are means over generated drawings and over test images: the ink of an image (the sum of its
    pixels), the number of strokes, and the fraction of drawings without strokes.
    """
    (model,) = models
    config = config.with_plain_inference()
    measurement = results.Measurement("samples", config, models)
    real = image_sets.test_images(config.data, config.evaluation)
    sketch = samples(model, config, brushes_of(model, config), _GRID**2, config.evaluation.seed)
    generated = np.asarray(sketch.canvases[:, -1])
    num_strokes = sketch.strokes.presence.sum(1)
    values = {
        "strokes": float(num_strokes.mean()),
        "ink": float(generated.sum((1, 2)).mean()),
        "real_ink": float(real.sum((1, 2)).mean()),
        "blank": float((num_strokes == 0).mean()),
    }
    record = measurement.write(workdir, values, len(generated))
    rows = np.arange(_GRID**2) % len(real)
    blocks: dict[str, np.ndarray] = {f"{config.data.name}: real": real[rows], "generated": generated}
    blocks["stroke by stroke"] = figures.coloured_drawings(np.asarray(sketch.canvases))
    grids = {title: block.reshape(_GRID, _GRID, *block.shape[1:]) for title, block in blocks.items()}
    figures.image_blocks(record.with_suffix(".png"), grids)
    return values


_NOISE_FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # along the curve of exemplars
_SHOWN_EXEMPLARS = 10  # images in the figure
_COMPARED = 1000  # images between which distances are taken, at most
_SHOWN_COMPLETIONS = 8  # drawings of test images in the figure
_GENERATED_STARTS = 4  # as published
_NUM_SAMPLES = 64  # unconditional samples, between which distances are taken


# ---- Exemplars ----


def run_exemplars(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Draws test images and varies each drawing; writes `exemplars-<dataset>.json` and two figures.

    Values:
      class_agreement: fraction of exemplars to which the classifier gives the class that it gives the image
        they were made from.
      accuracy: fraction to which it gives the image's true class.
      originality: how far exemplars are from their image in the classifier's features, where two real images
        of one class are 1 apart.
      curve: all this for less and more noise.

    Raises BadInput for a model whose strokes have no control points.
    """
    (model,) = models
    require_choice("model.decoder", model.config.decoder, ("curve",))
    measurement = results.Measurement("exemplars", config, models)
    classifier = prepare.classifier_of(config.data, workdir / "results")
    given = load_labelled_test(config.data, config.evaluation)
    sketch = best_drawings(model, given.floats, config)
    features = classifier.features(given.floats[:_COMPARED])
    unit = same_class_distance(features, given.labels[:_COMPARED])
    curve = {}
    for factor in _NOISE_FACTORS:
        drawn = exemplars_of(model, sketch, config, factor)
        at_source = model.to_source_grid(given.floats, drawn)
        curve[str(factor)] = _exemplar_values(classifier, given, at_source, unit)
    values = {
        **curve["1.0"],
        "curve": curve,
        "real_accuracy": _accuracy(classifier, given, classifier.predictions(given.floats)),
        "blank": float((sketch.strokes.presence.sum(1) == 0).mean()),
        "classifier": classifier.card,
    }
    record = measurement.write(workdir, values, len(given.labels))
    _show_exemplars(record.with_suffix(".png"), model, config, given, sketch)
    _show_noise_curve(record.with_name(f"{record.stem}-curve.png"), curve)
    return values


def exemplars_of(model: Model, sketch: Sketch, config: Config, factor: float) -> np.ndarray:
    """[N, K, H, W] K exemplars of each of N drawings, with the noise of the settings times a factor."""
    noise = noise_of(config, factor)
    seeds = range(config.evaluation.seed, config.evaluation.seed + config.generation.per_image)
    fix_units = config.generation.fix_rotation_units
    return np.stack([model.vary(sketch, seed, noise, fix_units).canvases[:, -1] for seed in seeds], 1)


def same_class_distance(features: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance between [N, D] features of two images of one class; of any two if no class has two."""
    between = cdist(features, features)
    different = ~np.eye(len(labels), dtype=bool)
    same_class = (labels[:, None] == labels[None]) & different
    pairs = same_class if same_class.any() else different
    return float(between[pairs].mean()) if pairs.any() else 0.0


def _exemplar_values(
    classifier: Classifier, given: LabelledImages, drawn: np.ndarray, unit: float
) -> dict[str, float | None]:
    """The values of [N, K, H, W] exemplars of N images, with `unit` the distance that counts as 1."""
    count, each = drawn.shape[:2]
    flat = drawn.reshape(count * each, *drawn.shape[2:])
    features = classifier.features(flat).reshape(count, each, -1)
    moved = np.linalg.norm(features - classifier.features(given.floats)[:, None], axis=-1).mean()
    found = classifier.predictions(flat).reshape(count, each)
    of_images = classifier.predictions(given.floats)[:, None]
    return {
        "class_agreement": float((found == of_images).mean()),
        "accuracy": _accuracy(classifier, given, found),
        "originality": float(moved / unit) if unit > 0 else None,
        "l1": float(np.abs(drawn - given.floats[:, None]).sum((2, 3)).mean()),
    }


def _accuracy(classifier: Classifier, given: LabelledImages, found: np.ndarray) -> float | None:
    """Fraction of [N] or [N, K] labels that are those of N images; None where the classes are others."""
    if given.classes != classifier.classes:
        return None
    labels = given.labels.reshape(-1, *(1,) * (found.ndim - 1))
    return float((found == labels).mean())


def _show_exemplars(path: Path, model: Model, config: Config, given: LabelledImages, sketch: Sketch) -> None:
    """Draws images, of as many classes as there are, beside their exemplars."""
    earlier = [np.sum(given.labels[:row] == label) for row, label in enumerate(given.labels)]
    rows = np.sort(np.argsort(earlier, kind="stable")[:_SHOWN_EXEMPLARS])
    chosen = sketch[rows]
    new = exemplars_of(model, chosen, config, 1.0)
    figures.image_blocks(path, {"given": given.floats[rows][:, None], "new exemplars": new})


def _show_noise_curve(path: Path, curve: dict[str, dict[str, Any]]) -> None:
    """Draws class agreement against originality."""
    points = [point for point in curve.values() if point["originality"] is not None]
    if not points:
        return
    name = f"exemplars, {' '.join(f'{factor:g}' for factor in _NOISE_FACTORS)} times the noise"
    line = [point["originality"] for point in points], [point["class_agreement"] for point in points]
    x_label = "distance from the image (1: two real images of one class)"
    figures.curves(path, {name: line}, x_label, "class agreement")


# ---- Completions ----


def run_completion(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Keeps the first strokes of drawings of test images and lets the model go on.

    Writes `completion-<dataset>.json` and a figure. Values:
      by_prefix_strokes: an entry for every number of strokes that are kept, over the drawings that have more:
        `diversity`, how different the completions of one start are, where unconditional samples are 1 apart;
        `classes`, how many different classes the classifier finds among them; `class_consistency`, the
        fraction that has the class of the image which the start was taken from.
      diversity, class_consistency: those of one stroke.
      generated: the diversity for starts of one stroke that the model generated itself, as published.

    Raises BadInput for a model whose strokes have no control points, or if all strokes would be kept.
    """
    (model,) = models
    require_choice("model.decoder", model.config.decoder, ("curve",))
    most = config.evaluation.num_strokes or model.config.num_strokes
    prefix = config.generation.num_prefix_strokes
    if prefix >= most:
        raise BadInput(f"generation.num_prefix_strokes={prefix} leaves none of {most}; give fewer")
    measurement = results.Measurement("completion", config, models)
    classifier = prepare.classifier_of(config.data, workdir / "results")
    given = load_labelled_test(config.data, config.evaluation)
    sketch = best_drawings(model, given.floats, config)
    brushes = brushes_of(model, config)
    unrelated = samples(model, config, brushes, _NUM_SAMPLES, config.evaluation.seed)
    unit = mean_distance(np.asarray(unrelated.canvases[None, :, -1]))
    by_prefix = {}
    for num_kept in range(sketch.strokes.presence.shape[1]):
        rows = np.flatnonzero(sketch.strokes.presence.sum(1) > num_kept)
        if len(rows):
            drawn = completions_of(model, sketch[rows], config, num_kept)
            drawn = model.to_source_grid(given.floats[rows], drawn)  # as the classifier's images are
            by_prefix[str(num_kept)] = _completion_values(classifier, given.take(rows), drawn, unit)
    generated = _generated_starts(model, config, brushes)
    of_generated = mean_distance(generated[1])
    values = {
        "diversity": by_prefix.get("1", {}).get("diversity"),
        "class_consistency": by_prefix.get("1", {}).get("class_consistency"),
        "by_prefix_strokes": by_prefix,
        "generated": {"diversity": _ratio(of_generated, unit), "starts": len(generated[1])},
        "classifier": classifier.card,
    }
    record = measurement.write(workdir, values, len(given.labels))
    _show_completions(record.with_suffix(".png"), model, config, given, sketch, generated)
    return values


def completions_of(model: Model, sketch: Sketch, config: Config, num_kept: int) -> np.ndarray:
    """[N, K, H, W] K completions of the first `num_kept` strokes of each of N drawings."""
    seeds = range(config.evaluation.seed, config.evaluation.seed + config.generation.per_image)
    spread = spread_of(config)._replace(temperature=config.generation.completion_temperature)
    complete = lambda seed: model.complete(sketch, num_kept, seed, spread=spread)
    return np.stack([complete(seed).canvases[:, -1] for seed in seeds], 1)


def mean_distance(drawn: np.ndarray) -> float:
    """Mean L1 distance between two of the K images in a row of [N, K, H, W], K > 1."""
    pairs = itertools.combinations(range(drawn.shape[1]), 2)
    distance = lambda one, other: np.abs(drawn[:, one] - drawn[:, other]).sum((1, 2)).mean()
    return float(np.mean([distance(*pair) for pair in pairs]))


def _generated_starts(
    model: Model, config: Config, brushes: BrushParams | None
) -> tuple[np.ndarray, np.ndarray]:
    """[N, H, W] generated single strokes, and [N, K, H, W] completions of the model's drawings of them."""
    # Not a seed of the completions: new strokes would share the noise of the start.
    seed = config.evaluation.seed + config.generation.per_image
    starts = np.asarray(samples(model, config, brushes, _GENERATED_STARTS, seed).canvases[:, 0])
    drawn = model.infer(starts, seed)
    return starts, completions_of(model, drawn, config, drawn.strokes.presence.shape[1])


def _completion_values(
    classifier: Classifier, given: LabelledImages, drawn: np.ndarray, unit: float
) -> dict[str, Any]:
    """The values of [N, K, H, W] completions of N images' drawings, with `unit` what counts as 1 apart."""
    count, each = drawn.shape[:2]
    found = classifier.predictions(drawn.reshape(count * each, *drawn.shape[2:])).reshape(count, each)
    of_images = classifier.predictions(given.floats)[:, None]
    return {
        "diversity": _ratio(mean_distance(drawn), unit),
        "classes": float(np.mean([len(set(row)) for row in found])),
        "class_consistency": float((found == of_images).mean()),
        "starts": count,
    }


def _ratio(distance: float, unit: float) -> float | None:
    return distance / unit if unit > 0 else None


def _show_completions(
    path: Path,
    model: Model,
    config: Config,
    given: LabelledImages,
    sketch: Sketch,
    generated: tuple[np.ndarray, np.ndarray],
) -> None:
    """Draws starts from test images, then generated ones, and their completions; new ink is coloured."""
    num_kept = config.generation.num_prefix_strokes
    rows = np.flatnonzero(sketch.strokes.presence.sum(1) > num_kept)[:_SHOWN_COMPLETIONS]
    chosen = sketch[rows]
    starts = chosen.canvases[:, num_kept - 1] if num_kept else np.zeros_like(chosen.canvases[:, 0])
    own_starts, completed = generated
    if len(rows):
        completed = np.concatenate([completions_of(model, chosen, config, num_kept), completed])
    images = np.concatenate([given.floats[rows], np.zeros_like(own_starts)])
    starts = np.concatenate([starts, own_starts])
    further = [figures.coloured_completions(starts, canvases) for canvases in np.moveaxis(completed, 1, 0)]
    blocks = {"real": images[:, None], "start": starts[:, None], "taken further": np.stack(further, 1)}
    figures.image_blocks(path, blocks)
