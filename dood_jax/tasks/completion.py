"""Partial drawings taken further (method.md 10.8, the paper's Fig. 8)."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.errors import BadInput
from dood_jax.judging import pictures, prepare
from dood_jax.judging.classifier import Judge
from dood_jax.judging.pictures import Labelled
from dood_jax.settings.config import Config
from dood_jax.tasks import invented, results
from dood_jax.tasks.reconstruction import best_drawings
from dood_jax.types import BrushParams, Sketch

_SHOWN = 8  # partial drawings in the figure
_INVENTED_STARTS = 4  # as published
_UNRELATED = 64  # samples, between which distances are taken


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Keeps the first strokes of held-out drawings and goes on; writes `completion-<dataset>.json`, `.png`.

    `by_kept` has an entry for every number of strokes kept, of the drawings that had more: `diversity`, how
    unlike the completions of one start are, where unconditional samples are 1 apart; `classes`, how many the
    judge finds among them; `class_consistency`, the share that is of the class of the picture the start was
    taken from. `invented` is of starts of one stroke that the model invented itself, as published.
    """
    (model,) = models
    most = config.evaluation.num_strokes or model.config.num_strokes
    if config.invention.kept_strokes >= most:
        raise BadInput(
            f"invention.kept_strokes={config.invention.kept_strokes} leaves none of {most} to add; give fewer"
        )
    measurement = results.Measurement("completion", config, models)
    judge = prepare.judge_of(config.data, workdir / "results")
    given = pictures.labelled(config.data, config.evaluation)
    sketch = best_drawings(model, given.inks, config)
    pens = invented.pens_of(model, config)
    samples = invented.samples(model, config, pens, _UNRELATED, config.evaluation.seed)
    apart = mean_distance(samples.canvases[None, :, -1])
    by_kept = {}
    for kept in range(sketch.strokes.presence.shape[1]):
        going_on = np.flatnonzero(sketch.strokes.presence.sum(1) > kept)
        if len(going_on):
            starts = jax.tree_util.tree_map(lambda leaf: leaf[going_on], sketch)  # noqa: B023
            drawn = several(model, starts, config, kept)
            by_kept[str(kept)] = _judged(judge, given.take(going_on), drawn, apart)
    starts, new = _invented_starts(model, config, pens)
    values = {
        "diversity": by_kept.get("1", {}).get("diversity"),
        "class_consistency": by_kept.get("1", {}).get("class_consistency"),
        "by_kept": by_kept,
        "invented": {"diversity": _ratio(mean_distance(new), apart), "starts": len(new)},
        "judge": judge.card,
    }
    record = measurement.write(workdir, values, len(given.labels))
    _show(record.with_suffix(".png"), model, config, given, sketch, (starts, new))
    return values


def several(model: Model, sketch: Sketch, config: Config, kept: int) -> np.ndarray:
    """[N, K, H, W] completions of the first `kept` strokes of N drawings."""
    seeds = range(config.evaluation.seed, config.evaluation.seed + config.invention.per_picture)
    spread = invented.spread_of(config)._replace(temperature=config.invention.completion_temperature)
    return np.stack([model.complete(sketch, kept, seed, spread=spread).canvases[:, -1] for seed in seeds], 1)


def mean_distance(drawn: np.ndarray) -> float:
    """Mean L1 distance between two of the [N, K, H, W] pictures of one row, K > 1."""
    pairs = itertools.combinations(range(drawn.shape[1]), 2)
    return float(
        np.mean([np.abs(drawn[:, one] - drawn[:, other]).sum((1, 2)).mean() for one, other in pairs])
    )


def _invented_starts(model: Model, config: Config, pens: BrushParams) -> tuple[np.ndarray, np.ndarray]:
    """[N, H, W] single strokes that the model invents and then draws itself, and [N, K, H, W] completions."""
    seed = config.evaluation.seed
    strokes = invented.samples(model, config, pens, _INVENTED_STARTS, seed).canvases[:, 0]
    drawn = model.infer(strokes, seed)
    return strokes, several(model, drawn, config, drawn.strokes.presence.shape[1])


def _judged(judge: Judge, given: Labelled, drawn: np.ndarray, apart: float) -> dict[str, Any]:
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


def _show(
    path: Path,
    model: Model,
    config: Config,
    given: Labelled,
    sketch: Sketch,
    invented_too: tuple[np.ndarray, np.ndarray],
) -> None:
    """Starts of held-out pictures, then invented ones; what was added is coloured."""
    kept = config.invention.kept_strokes
    rows = np.flatnonzero(sketch.strokes.presence.sum(1) > kept)[:_SHOWN]
    chosen = jax.tree_util.tree_map(lambda leaf: leaf[rows], sketch)
    starts = chosen.canvases[:, kept - 1] if kept else np.zeros_like(chosen.canvases[:, 0])
    new_starts, new = invented_too
    whole = np.concatenate([several(model, chosen, config, kept), new]) if len(rows) else new
    pictures_of = np.concatenate([given.inks[rows], np.zeros_like(new_starts)])
    starts = np.concatenate([starts, new_starts])
    further = [figures.taken_further(starts, whole[:, which]) for which in range(whole.shape[1])]
    blocks = {"real": pictures_of[:, None], "start": starts[:, None], "taken further": np.stack(further, 1)}
    figures.sheets(path, blocks)
