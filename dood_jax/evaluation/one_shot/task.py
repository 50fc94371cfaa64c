"""Characters told apart by one example of each: the 20 runs of Omniglot (method.md 10.9, Table 1).

`one_shot.form=bent` compares drawings by how far one must be bent to become the other; `published` and
`turned` fit tokens by gradient as the paper does. Nothing is learned from the runs, and each query is
classified as if it were the only one; what knows that every support has one query is reported apart, as
`assigned`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.config.groups import Config
from dood_jax.data import omniglot, sources
from dood_jax.data.omniglot import OneShotRuns
from dood_jax.evaluation import published_results, results
from dood_jax.evaluation.one_shot import registered, tokens
from dood_jax.evaluation.resume_cache import KeptArrays, origin_of

_SHOWN = 30  # misses in the figure
_ROWS = {"its own": "class", "taken for": "taken_for"}


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Classifies all queries of all runs; writes `one_shot-omniglot.json` and a figure of the misses."""
    (model,) = models
    measurement = results.Measurement("one_shot", config, models)
    episodes = load(config)
    kept = KeptArrays(
        workdir / "results", "one_shot", [*origin_of(model, config, episodes.queries), str(config.one_shot)]
    )
    one_way, two_way = registered.energies(model, config, episodes, kept)
    if config.one_shot.form == "bent":
        values = {**_accuracies(one_way, episodes), "two_way": _accuracies(two_way, episodes)}
    else:
        one_way = tokens.energies(model, config, episodes, one_way, kept)
        values = _accuracies(one_way, episodes)
    name = _name(config)
    values = {"mode": config.one_shot.form, **values, "misses": misses(one_way, episodes.answers)}
    values["published"] = published_results.numbers()["one_shot"]
    count = episodes.answers.size
    about = "omniglot runs" if config.one_shot.episodes == "runs" else "omniglot background episodes"
    measurement.write(workdir, values, count, f"{name}.json", about, kept.seconds_before)
    _show_misses(workdir / "results" / f"{name}-misses.png", episodes, values["misses"])
    kept.discard()
    return {key: values[key] for key in ("mode", "accuracy", "per_run")}


def load(config: Config) -> OneShotRuns:
    """The runs, or episodes of the same kind from the background alphabets, at their native size."""
    settings, directory = config.one_shot, sources.data_directory(config.data.dir)
    if settings.episodes == "runs":
        runs = omniglot.one_shot_runs(directory, omniglot.SIZE)
        return OneShotRuns(*(part[: settings.num_episodes] for part in runs))
    background = sources.load("omniglot", "train", config.data.dir, omniglot.SIZE)
    return omniglot.episodes(background, settings.num_episodes, config.evaluation.seed)


def misses(energies: np.ndarray, answers: np.ndarray) -> list[dict[str, int]]:
    """Which of [R, Q] queries are taken for which support of [R, Q, S]; numbers from 1."""
    chosen = energies.argmin(-1)
    places = np.argwhere(chosen != answers)
    name = lambda run, item: {
        "run": run + 1,
        "item": item + 1,
        "class": int(answers[run, item]) + 1,
        "taken_for": int(chosen[run, item]) + 1,
    }
    return [name(*place) for place in places.tolist()]


def _accuracies(energies: np.ndarray, episodes: OneShotRuns) -> dict[str, Any]:
    """Over all runs and of each, by [R, Q, S] energies; `assigned` gives each support one query."""
    right = energies.argmin(-1) == episodes.answers
    values = {"accuracy": float(right.mean()), "per_run": right.mean(1).tolist()}
    if np.isfinite(energies).all():
        together = np.stack([linear_sum_assignment(of_run)[1] for of_run in energies])
        values["assigned"] = float((together == episodes.answers).mean())
    return values


def _name(config: Config) -> str:
    """`one_shot-omniglot`, with what differs from the plain measurement."""
    form, episodes = config.one_shot.form, config.one_shot.episodes
    return (
        "one_shot-omniglot"
        + ("" if form == "bent" else f"-{form}")
        + ("" if episodes == "runs" else f"-{episodes}")
    )


def _show_misses(path: Path, episodes: OneShotRuns, missed: list[dict[str, int]]) -> None:
    """A column a miss: the query as target, the support it belongs to, the support it was taken for."""
    if not missed:
        return
    shown = missed[:_SHOWN]
    of = lambda images, key: np.stack([images[miss["run"] - 1, miss[key] - 1] for miss in shown]) / 255
    supports = {name: of(episodes.supports, key)[:, None] for name, key in _ROWS.items()}
    figures.side_by_side(path, of(episodes.queries, "item"), supports)
