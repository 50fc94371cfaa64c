"""One-shot classification: characters told apart by one example of each (method.md 10.9, Table 1).

The 20 runs of Omniglot have 20 supports and 20 queries each. With `one_shot.form=registration` the drawings
of support and query are registered onto each other; with `token_optimization` tokens of the support are
fitted to the query's image by gradient, as in the paper. Nothing is learned from the runs, and each query is
classified as if it were the only one. The accuracy of an assignment, which knows that every support has
exactly one query, is reported apart as `assigned`.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.config.groups import Config
from dood_jax.data import omniglot, sources
from dood_jax.data.omniglot import OneShotRuns
from dood_jax.errors import require_choice
from dood_jax.evaluation import results
from dood_jax.evaluation.one_shot import registration, strokes, tokens
from dood_jax.evaluation.one_shot.registration import EnergyTerms, Registration
from dood_jax.evaluation.one_shot.strokes import Segments
from dood_jax.evaluation.resume_cache import CachedArrays, origin_of

NUM_SEGMENTS = 64  # of each drawing
_PARTICLES, _STROKES, _OPTIMIZE_STEPS = 4, 8, 60  # of the model's drawings
_BATCH_SIZE = 400  # images that are drawn between two writes to the resume cache
_SHOWN = 30  # misclassified queries in the figure

# Weights of the energy, calibrated on episodes of the background alphabets by benchmarks/one_shot.py.
ONE_WAY = EnergyTerms(238.0, 210.0, 2.67, 2.77, 0.59, 0.459, 7.45)
TWO_WAY = EnergyTerms(125.0, 102.0, 0.954, 1.96, 0.269, 0.459, 7.7)  # of the sum over both directions


class Drawings(NamedTuple):
    """Drawings of all images: segments with axes [K, R, 20, ...] for K ways to draw and R runs."""

    supports: Segments
    queries: Segments
    ways: tuple[str, ...]  # keys of `WAYS_TO_DRAW`


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Classifies all queries of all runs; writes `one_shot-omniglot.json` and a figure of the misses.

    Raises BadInput for a model whose strokes have no control points.
    """
    (model,) = models
    require_choice("model.decoder", model.config.decoder, ("curve",))
    measurement = results.Measurement("one_shot", config, models)
    episodes = load(config)
    about = [*origin_of(model, config, episodes.queries), str(config.one_shot)]
    cache = CachedArrays(workdir / "results", "one_shot", about)
    one_way, two_way = registration_energies(model, config, episodes, cache)
    values: dict[str, Any] = {"form": config.one_shot.form}
    if config.one_shot.form == "registration":
        values |= {**_accuracies(one_way, episodes), "two_way": _accuracies(two_way, episodes)}
    else:
        one_way = tokens.energies(model, config, episodes, one_way, cache)
        values |= _accuracies(one_way, episodes)
    values["misses"] = misses(one_way, episodes.answers)
    values["published"] = results.published()["one_shot"]
    record = measurement.write(
        workdir,
        values,
        episodes.answers.size,
        path=f"{_name(config)}.json",
        images="omniglot runs" if config.one_shot.episodes == "runs" else "omniglot background episodes",
        seconds_before=cache.seconds_before,
    )
    _show_misses(record.with_name(f"{record.stem}-misses.png"), episodes, values["misses"])
    cache.discard()
    return {key: values[key] for key in ("form", "accuracy", "per_run")}


def load(config: Config) -> OneShotRuns:
    """The runs, or episodes of the same kind made of the background alphabets, at the size of their files.

    Raises BadInput where the set is missing.
    """
    settings = config.one_shot
    if settings.episodes == "runs":
        runs = sources.one_shot_runs(config.data.dir)
        return OneShotRuns(*(part[: settings.num_episodes] for part in runs))
    background = sources.load("omniglot", "train", config.data.dir, omniglot.SIZE)
    return omniglot.episodes(background, settings.num_episodes, config.evaluation.seed)


# ---- Energies by registration ----


def registration_energies(
    model: Model, config: Config, episodes: OneShotRuns, cache: CachedArrays
) -> tuple[np.ndarray, np.ndarray]:
    """[R, Q, S] energies, one-way (supports registered onto queries) and two-way, over all ways to draw."""
    drawings = draw(model, config, episodes, cache)
    return combine(*register_runs(drawings, Registration(), cache))


def combine(forward: EnergyTerms, backward: EnergyTerms) -> tuple[np.ndarray, np.ndarray]:
    """[K, ..., Q, S] terms by K ways to draw -> [..., Q, S] energies, one-way and two-way."""
    both = registration.sum_of_directions(forward, backward)
    one_way = registration.average_energy(registration.energy(forward, ONE_WAY))
    return one_way, registration.average_energy(registration.energy(both, TWO_WAY))


def draw(model: Model, config: Config, episodes: OneShotRuns, cache: CachedArrays) -> Drawings:
    """Draws every image in each of the ways of `one_shot.strokes`."""
    images = np.stack([episodes.supports, episodes.queries])
    flat = images.reshape(-1, *images.shape[-2:])
    ways, sides = tuple(config.one_shot.strokes.split("+")), []
    for way in ways:
        batches = [flat[start : start + _BATCH_SIZE] for start in range(0, len(flat), _BATCH_SIZE)]
        draw_in = functools.partial(WAYS_TO_DRAW[way], model, seed=config.evaluation.seed)
        parts = [_segments(draw_in, f"{way}-{number}", batch, cache) for number, batch in enumerate(batches)]
        whole = [np.concatenate(values) for values in zip(*parts, strict=True)]
        sides.append([values.reshape(*images.shape[:3], *values.shape[1:]) for values in whole])
    together = [np.stack(values, axis=1) for values in zip(*sides, strict=True)]
    supports, queries = (Segments(*(values[side] for values in together)) for side in (0, 1))
    return Drawings(supports, queries, ways)


def _segments(
    draw_in: Callable[[np.ndarray], Segments], part: str, images: np.ndarray, cache: CachedArrays
) -> Segments:
    """The segments of a batch of images drawn in one way, from the part of the cache where they are there."""
    arrays = cache.get(part)
    if arrays is None:
        arrays = draw_in(images)._asdict()
        cache.put(part, **arrays)
    return Segments(**arrays)


def _drawn_by_model(model: Model, images: np.ndarray, seed: int) -> Segments:
    parses = strokes.parse(model, images, seed, _PARTICLES, _STROKES, _OPTIMIZE_STEPS)
    return strokes.segments_of_sketch(parses.sketch, parses.windows, NUM_SEGMENTS)


def _traced(_: Model, images: np.ndarray, seed: int) -> Segments:
    """Lines are traced by rules, in which nothing is random."""
    drawings = [strokes.segments_of_curves(strokes.trace(image), NUM_SEGMENTS) for image in images]
    return strokes.stack_segments(drawings)


WAYS_TO_DRAW: dict[str, Callable[..., Segments]] = {
    "model": _drawn_by_model,
    "traced": _traced,
}


def register_runs(
    drawings: Drawings, how: Registration, cache: CachedArrays
) -> tuple[EnergyTerms, EnergyTerms]:
    """[K, R, Q, S] terms of supports registered onto queries, and reversed, for each way to draw."""
    runs = range(drawings.supports.size.shape[1])
    ways = range(len(drawings.ways))
    found = [[_register_run(drawings, way, run, how, cache) for run in runs] for way in ways]
    forward, backward = np.moveaxis(np.array(found), (2, 3), (0, 1))  # of [K, R, 2, terms, Q, S]
    return EnergyTerms(*forward), EnergyTerms(*backward)


def _register_run(
    drawings: Drawings, way: int, run: int, how: Registration, cache: CachedArrays
) -> np.ndarray:
    """[2, terms, Q, S] both directions of one run drawn in one way, from the cache where they are there."""
    part = f"{drawings.ways[way]}-registered-{run}"
    arrays = cache.get(part)
    if arrays is None:
        supports, queries = (
            Segments(*(values[way, run] for values in side)) for side in (drawings.supports, drawings.queries)
        )
        arrays = {"terms": np.array(registration.register_all(supports, queries, how))}
        cache.put(part, **arrays)
    return arrays["terms"]


# ---- What is reported ----


def misses(energies: np.ndarray, answers: np.ndarray) -> list[dict[str, int]]:
    """The queries that [R, Q, S] energies misclassify, by [R, Q] right answers; all numbers begin at 1."""
    chosen = energies.argmin(-1)
    return [
        {
            "run": run + 1,
            "item": item + 1,
            "class": int(answers[run, item]) + 1,
            "taken_for": int(chosen[run, item]) + 1,
        }
        for run, item in np.argwhere(chosen != answers).tolist()
    ]


def _accuracies(energies: np.ndarray, episodes: OneShotRuns) -> dict[str, Any]:
    """Accuracy over all runs and of each run, by [R, Q, S] energies; `assigned` gives each support one query.

    There is no assignment where some energies are infinite, because their supports were screened off.
    """
    right = energies.argmin(-1) == episodes.answers
    values = {"accuracy": float(right.mean()), "per_run": right.mean(1).tolist()}
    if np.isfinite(energies).all():
        assigned = np.stack([linear_sum_assignment(of_run)[1] for of_run in energies])
        values["assigned"] = float((assigned == episodes.answers).mean())
    return values


def _name(config: Config) -> str:
    """`one_shot-omniglot`, followed by what differs from the plain measurement."""
    settings = config.one_shot
    form = "" if settings.form == "registration" else f"-{settings.form}"
    rotation = "-fixed_rotation" if form and settings.fix_rotation_units else ""
    return f"one_shot-omniglot{form}{rotation}" + ("" if settings.episodes == "runs" else "-validation")


def _show_misses(path: Path, episodes: OneShotRuns, missed: list[dict[str, int]]) -> None:
    """A column for each miss: the query, the support of its class, and the support it was taken for."""
    if not missed:
        return
    shown = missed[:_SHOWN]
    column = lambda images, key: np.stack([images[miss["run"] - 1, miss[key] - 1] for miss in shown]) / 255
    rows = {"its own": "class", "taken for": "taken_for"}
    supports = {name: column(episodes.supports, key)[:, None] for name, key in rows.items()}
    figures.side_by_side(path, column(episodes.queries, "item"), supports)
