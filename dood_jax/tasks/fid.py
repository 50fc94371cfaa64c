"""How far invented drawings are from real pictures, and whether they are memorised (method.md 10.6).

The published distances are between ImageNet class probabilities; ours are between features of the set's own
judge. What compares is the ratio to the floor: the distance of real pictures from other real pictures.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.data.resize import resize
from dood_jax.errors import BadInput
from dood_jax.judging import distances, pictures, prepare
from dood_jax.judging.pictures import Labelled
from dood_jax.settings.config import Config
from dood_jax.tasks import invented, published, results
from dood_jax.types import BrushParams

_SIDE = 10  # pixels of a side of the smallest description
_SHOWN = 16  # invented drawings beside their nearest training pictures
_JUDGED_NEAREST = 256
_REDRAWN_SEED = 2**32  # apart from those of repeats
_CERTAIN = 0.9  # probability of its class with which a picture is recognised
Features = Callable[[np.ndarray], np.ndarray]  # [N, H, W] pictures, 0..1 -> [N, D] features


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Compares `invention.num_samples` drawings with real pictures; writes `fid-<dataset>.json` and `.png`.

    `ratio` is of the distance to the floor. `redrawn` has what the model's drawings of real pictures come to:
    what is left is due to curves and pens, the rest to the prior. `certain` is the share that the judge
    recognises, `nearest` the median distance from the nearest training picture, each beside that of real
    held-out pictures. The figure shows drawings above their nearest training pictures. Of a set with fewer
    than twice as many training pictures, halves of what there is are compared.
    """
    (model,) = models
    config = config.unrefined()
    measurement = results.Measurement("fid", config, models)
    learned = pictures.load(config.data, "train")
    count = min(config.invention.num_samples, len(learned.labels) // 2)
    if count < 2:
        raise BadInput(
            f"{config.data.name} has {len(learned.labels)} training pictures; fid needs at least 4"
        )
    judge = prepare.judge_of(config.data, workdir / "results")
    features = {"classifier": judge.features, "pixels": small_pictures}[config.invention.features]
    repeats = range(config.evaluation.seed, config.evaluation.seed + config.invention.repeats)
    pens = invented.pens_of(model, config)
    draw = functools.partial(_invented, model, config, pens, learned)
    runs = [_compare(learned, features(draw(count, seed)), features, seed) for seed in repeats]
    redrawn = _compare(learned, features(_redrawn(model, learned, count)), features, repeats[0])
    found = draw(min(count, _JUDGED_NEAREST), repeats[0])
    held_out = pictures.labelled(config.data, config.evaluation).inks[: len(found)]
    rows, apart = distances.nearest(found, learned.images)
    values = {
        **summary(runs),
        "redrawn": {name: redrawn[name] for name in ("fid", "kernel_distance", "precision", "recall")},
        "pictures": count,
        "certain": _certain(judge.probabilities(found)),
        "real_certain": _certain(judge.probabilities(held_out)),
        "nearest": float(np.median(apart)),
        "real_nearest": float(np.median(distances.nearest(held_out, learned.images)[1])),
        "published": published.numbers()["fid"],
        "judge": judge.card,
    }
    record = measurement.write(workdir, values, count, pictures=f"{config.data.name}, training")
    neighbours = learned.take(rows[:_SHOWN]).inks
    rows_of = {"invented": found[:_SHOWN], "the nearest training picture of each": neighbours}
    blocks = {title: block[None] for title, block in rows_of.items()}
    figures.sheets(record.with_suffix(".png"), blocks, upright=True)
    return values


def small_pictures(images: np.ndarray) -> np.ndarray:
    """[N, 100] of [N, H, W] pictures: their pixels, ten by ten."""
    return resize((255 * images + 0.5).astype(np.uint8), _SIDE).reshape(len(images), -1) / 255


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and population deviation of every number over repeats, and the ratio of distance to floor."""
    over = {name: np.array([one[name] for one in runs]) for name in runs[0]}
    means = {name: {"mean": float(each.mean()), "sd": float(each.std())} for name, each in over.items()}
    floor = means["real_fid"]["mean"]
    return {**means, "ratio": means["fid"]["mean"] / floor if floor > 0 else None, "repeats": len(runs)}


def _compare(learned: Labelled, drawn: np.ndarray, features: Features, seed: int) -> dict[str, float]:
    """[N, D] features of drawings, and of other real pictures, against those of the same real pictures."""
    count = len(drawn)
    rows = np.random.default_rng(seed).permutation(len(learned.labels))
    real, other = (features(learned.take(one).inks) for one in (rows[:count], rows[count : 2 * count]))
    measured = {}
    for prefix, these in (("", drawn), ("real_", other)):
        measured[f"{prefix}fid"] = distances.frechet(real, these)
        measured[f"{prefix}kernel_distance"] = distances.kernel(real, these)
        precision, recall = distances.precision_and_recall(real, these)
        measured.update({f"{prefix}precision": precision, f"{prefix}recall": recall})
    return measured


def _invented(
    model: Model, config: Config, pens: BrushParams, learned: Labelled, count: int, seed: int
) -> np.ndarray:
    """[count, H, W] invented drawings, each as some training picture was recorded."""
    drawn = invented.samples(model, config, pens, count, seed).canvases[:, -1]
    rows = np.random.default_rng(seed).integers(len(learned.labels), size=count)
    return model.as_recorded(learned.take(rows).inks, drawn)


def _redrawn(model: Model, learned: Labelled, count: int) -> np.ndarray:
    """[count, H, W] drawings by the first look of training pictures that are compared with no other."""
    rows = np.random.default_rng(_REDRAWN_SEED).permutation(len(learned.labels))[:count]
    inks = learned.take(rows).inks
    return model.as_recorded(inks, invented.first_look(model).infer(inks).canvases[:, -1])


def _certain(probabilities: np.ndarray) -> float:
    return float((probabilities.max(1) > _CERTAIN).mean())
