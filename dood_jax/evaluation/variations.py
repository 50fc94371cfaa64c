"""The tasks `exemplars` and `completion`: drawings varied, and taken further.

New exemplars of given images: are they still the same, and are they new? (method.md 10.7, Fig. 7).

Partial drawings taken further (method.md 10.8, the paper's Fig. 8).
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from scipy.spatial.distance import cdist

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.config.groups import Config
from dood_jax.errors import BadInput
from dood_jax.evaluation import generation, results
from dood_jax.evaluation.metrics import prepare
from dood_jax.evaluation.metrics.classifier import Judge
from dood_jax.evaluation.metrics.labelled_images import Labelled
from dood_jax.evaluation.reconstruction import best_drawings
from dood_jax.types import BrushParams, Sketch

_FACTORS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # of the noise, along the curve
_SHOWN_EXEMPLARS = 10  # images in the figure
_COMPARED = 1000  # images between which distances are taken, at most


def run_exemplars(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Draws held-out images and varies each drawing; writes `exemplars-<dataset>.json` and two figures.

    `class_agreement` is the share of exemplars to which the set's judge gives the class that it gives the
    image they were made from, `accuracy` the share given that image's true class; `originality` is how
    far they are from it in the judge's features, where two real images of one class are 1 apart. `curve`
    has all this for more and less noise.
    """
    (model,) = models
    measurement = results.Measurement("exemplars", config, models)
    judge = prepare.judge_of(config.data, workdir / "results")
    given = prepare.labelled(config.data, config.evaluation)
    sketch = best_drawings(model, given.inks, config)
    apart = same_class_distance(judge.features(given.inks[:_COMPARED]), given.labels[:_COMPARED])
    curve = {
        str(factor): _judged_exemplars(
            judge,
            given,
            model.to_source_grid(given.inks, several_exemplars(model, sketch, config, factor)),
            apart,
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
    _show_exemplars(record.with_suffix(".png"), model, config, given, sketch)
    _show_curve(record.with_name(f"{record.stem}-curve.png"), curve)
    return values


def several_exemplars(model: Model, sketch: Sketch, config: Config, factor: float) -> np.ndarray:
    """[N, K, H, W] exemplars of N drawings, with the noise of the settings times a factor."""
    noise = generation.noise_of(config).times(factor)
    seeds = range(config.evaluation.seed, config.evaluation.seed + config.generation.per_image)
    turned = config.generation.turned
    return np.stack([model.vary(sketch, seed, noise, turned).canvases[:, -1] for seed in seeds], 1)


def same_class_distance(features: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of [N, D] features of two images of one class; of any two where no class has two."""
    between = cdist(features, features)
    other = ~np.eye(len(labels), dtype=bool)
    alike = (labels[:, None] == labels[None]) & other
    chosen = alike if alike.any() else other
    return float(between[chosen].mean()) if chosen.any() else 0.0


def _judged_exemplars(
    judge: Judge, given: Labelled, drawn: np.ndarray, apart: float
) -> dict[str, float | None]:
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


def _show_exemplars(path: Path, model: Model, config: Config, given: Labelled, sketch: Sketch) -> None:
    """The first image of every class in turn, beside its exemplars."""
    seen = [np.sum(given.labels[:row] == label) for row, label in enumerate(given.labels)]
    order = np.argsort(seen, kind="stable")
    rows = np.sort(order[:_SHOWN_EXEMPLARS])
    chosen = jax.tree_util.tree_map(lambda leaf: leaf[rows], sketch)
    new = several_exemplars(model, chosen, config, 1.0)
    figures.sheets(path, {"given": given.inks[rows][:, None], "new exemplars": new})


def _show_curve(path: Path, curve: dict[str, dict[str, float | None]]) -> None:
    points = [one for one in curve.values() if one["originality"] is not None]
    if not points:
        return
    name = f"exemplars, {' '.join(f'{factor:g}' for factor in _FACTORS)} times the noise"
    line = [one["originality"] for one in points], [one["class_agreement"] for one in points]
    far = "distance from the image (1: two real images of one class)"
    figures.curves(path, {name: line}, far, "class agreement")


_SHOWN_COMPLETIONS = 8  # partial drawings in the figure
_INVENTED_STARTS = 4  # as published
_UNRELATED = 64  # samples, between which distances are taken


def run_completion(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Keeps the first strokes of held-out drawings and goes on; writes `completion-<dataset>.json`, `.png`.

    `by_kept` has an entry for every number of strokes kept, of the drawings that had more: `diversity`, how
    unlike the completions of one start are, where unconditional samples are 1 apart; `classes`, how many the
    judge finds among them; `class_consistency`, the share that is of the class of the image the start was
    taken from. `invented` is of starts of one stroke that the model invented itself, as published.
    """
    (model,) = models
    most = config.evaluation.num_strokes or model.config.num_strokes
    if config.generation.num_prefix_strokes >= most:
        raise BadInput(
            f"generation.num_prefix_strokes={config.generation.num_prefix_strokes} leaves none of {most};"
            " give fewer"
        )
    measurement = results.Measurement("completion", config, models)
    judge = prepare.judge_of(config.data, workdir / "results")
    given = prepare.labelled(config.data, config.evaluation)
    sketch = best_drawings(model, given.inks, config)
    brushes = generation.brushes_of(model, config)
    samples = generation.samples(model, config, brushes, _UNRELATED, config.evaluation.seed)
    apart = mean_distance(samples.canvases[None, :, -1])
    by_kept = {}
    for kept in range(sketch.strokes.presence.shape[1]):
        going_on = np.flatnonzero(sketch.strokes.presence.sum(1) > kept)
        if len(going_on):
            starts = jax.tree_util.tree_map(lambda leaf: leaf[going_on], sketch)  # noqa: B023
            drawn = several_completions(model, starts, config, kept)
            by_kept[str(kept)] = _judged_completions(judge, given.take(going_on), drawn, apart)
    starts, new = _invented_starts(model, config, brushes)
    values = {
        "diversity": by_kept.get("1", {}).get("diversity"),
        "class_consistency": by_kept.get("1", {}).get("class_consistency"),
        "by_kept": by_kept,
        "invented": {"diversity": _ratio(mean_distance(new), apart), "starts": len(new)},
        "judge": judge.card,
    }
    record = measurement.write(workdir, values, len(given.labels))
    _show_completions(record.with_suffix(".png"), model, config, given, sketch, (starts, new))
    return values


def several_completions(model: Model, sketch: Sketch, config: Config, kept: int) -> np.ndarray:
    """[N, K, H, W] completions of the first `kept` strokes of N drawings."""
    seeds = range(config.evaluation.seed, config.evaluation.seed + config.generation.per_image)
    spread = generation.spread_of(config)._replace(temperature=config.generation.completion_temperature)
    return np.stack([model.complete(sketch, kept, seed, spread=spread).canvases[:, -1] for seed in seeds], 1)


def mean_distance(drawn: np.ndarray) -> float:
    """Mean L1 distance between two of the [N, K, H, W] images of one row, K > 1."""
    pairs = itertools.combinations(range(drawn.shape[1]), 2)
    return float(
        np.mean([np.abs(drawn[:, one] - drawn[:, other]).sum((1, 2)).mean() for one, other in pairs])
    )


def _invented_starts(model: Model, config: Config, brushes: BrushParams) -> tuple[np.ndarray, np.ndarray]:
    """[N, H, W] single strokes that the model invents and then draws itself, and [N, K, H, W] completions."""
    seed = config.evaluation.seed
    strokes = generation.samples(model, config, brushes, _INVENTED_STARTS, seed).canvases[:, 0]
    drawn = model.infer(strokes, seed)
    return strokes, several_completions(model, drawn, config, drawn.strokes.presence.shape[1])


def _judged_completions(judge: Judge, given: Labelled, drawn: np.ndarray, apart: float) -> dict[str, Any]:
    count, each = drawn.shape[:2]
    flat = drawn.reshape(count * each, *drawn.shape[2:])
    found = judge.probabilities(flat).argmax(1).reshape(count, each)
    own = judge.probabilities(given.inks).argmax(1)[:, None]
    return {
        "diversity": _ratio(mean_distance(drawn), apart),
        "classes": float(np.mean([len(set(row)) for row in found])),
        "class_consistency": float((found == own).mean()),
        "starts": count,
    }


def _ratio(distance: float, apart: float) -> float | None:
    return distance / apart if apart > 0 else None


def _show_completions(
    path: Path,
    model: Model,
    config: Config,
    given: Labelled,
    sketch: Sketch,
    invented_too: tuple[np.ndarray, np.ndarray],
) -> None:
    """Starts of held-out images, then invented ones; what was added is coloured."""
    kept = config.generation.num_prefix_strokes
    rows = np.flatnonzero(sketch.strokes.presence.sum(1) > kept)[:_SHOWN_COMPLETIONS]
    chosen = jax.tree_util.tree_map(lambda leaf: leaf[rows], sketch)
    starts = chosen.canvases[:, kept - 1] if kept else np.zeros_like(chosen.canvases[:, 0])
    new_starts, new = invented_too
    whole = np.concatenate([several_completions(model, chosen, config, kept), new]) if len(rows) else new
    images_of = np.concatenate([given.inks[rows], np.zeros_like(new_starts)])
    starts = np.concatenate([starts, new_starts])
    further = [figures.taken_further(starts, whole[:, which]) for which in range(whole.shape[1])]
    blocks = {"real": images_of[:, None], "start": starts[:, None], "taken further": np.stack(further, 1)}
    figures.sheets(path, blocks)
