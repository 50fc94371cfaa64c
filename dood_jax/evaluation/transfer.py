"""The task `transfer`: models trained on one set, measured on all (method.md 10.1, the paper's Fig. 4).

A cell of the table is one model on one set. It is written once it is measured, so that a killed study goes on
where it was.
"""

import dataclasses
import functools
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.config import datasets
from dood_jax.config.groups import Config
from dood_jax.config.model import ModelConfig
from dood_jax.data import sources
from dood_jax.errors import BadInput
from dood_jax.evaluation import likelihood, results
from dood_jax.evaluation.reconstruction import best_drawings
from dood_jax.evaluation.resume_cache import digest, origin_of
from dood_jax.inference import image_sets
from dood_jax.model.networks import Params
from dood_jax.model.observation import SCALES
from dood_jax.rendering.source_grid import may_be_enlarged
from dood_jax.runtime import processes

_PUBLISHED_SIZE = 50  # pixels along a side of the images of the published numbers
_SHOWN = 4  # images in a cell of the heat map
_REDUCED = "†"  # marks a source of which fewer training images were at hand than are published
Cells = dict[str, dict[str, list[dict[str, Any]]]]  # source, target -> the values of every seed


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Measures every model on every set; writes `transfer.json`, `transfer.md` and a heat map for each scale.

    The sets are those of `data.names`; all five if it is empty. Values: `table[scale][source][target]` in
    nats, `l1` and `strokes` by source and target, `blank_canvas` by target, and the `reduced` sources, of
    which fewer training images were at hand than are published.
    """
    measurement = results.Measurement("transfer", config, models)
    targets = config.data.sets if config.data.names else tuple(datasets.CATALOG)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, names=",".join(targets)))
    rows = _rows(models)
    cells: Cells = defaultdict(lambda: defaultdict(list))
    images: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    seconds_before = 0.0
    for model, row in zip(models, rows, strict=True):
        fitted = functools.cache(functools.partial(likelihood.with_both_scales, model, config))
        for target in targets:
            on_target = config.on(target)
            cell, seconds = _cell(model, on_target, workdir, fitted)
            cells[row][target].append(cell)
            seconds_before += seconds
            images[row].setdefault(target, _images_and_drawings(model, on_target))
    table = {scale: _over_seeds(cells, f"log_likelihood_{scale}") for scale in SCALES}
    values = {
        "table": table,
        **{name: _over_seeds(cells, name) for name in ("l1", "strokes")},
        "blank_canvas": {target: cells[rows[0]][target][0]["blank_canvas"] for target in targets},
        "reduced": [row for row in cells if _is_reduced(models[rows.index(row)], config)],
    }
    name, folder = f"transfer{results.suffix(config, models)}", workdir / "results"
    count = max(cell["n"] for row in cells.values() for seeds in row.values() for cell in seeds)
    measurement.write(workdir, values, count, path=f"{name}.json", seconds_before=seconds_before)
    (folder / f"{name}.md").write_text(markdown(values, config, models[0].config.image_size))
    for scale in SCALES:
        means = {
            row: {target: cell["mean"] for target, cell in of.items()} for row, of in table[scale].items()
        }
        figures.heat_map(folder / f"{name}-{scale}.png", means, images, "trained on", "tested on")
    return values


def source_of(model: Model) -> str:
    """The set that a model was trained on."""
    return model.meta["config"]["data"]["name"]


def _rows(models: Sequence[Model]) -> list[str]:
    """The row of every model: its set, and its name where models of that set are of different kinds.

    Models that differ in the seed alone are of one kind and share a row.
    """
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for model in models:
        kind = {group: dict(model.meta["config"].get(group, {})) for group in ("data", "model", "objective")}
        kind["data"].pop("dir", None)
        kind["model"] = {**dataclasses.asdict(ModelConfig()), **kind["model"]}
        if kind not in kinds[source_of(model)]:
            kinds[source_of(model)].append(kind)
    of_one_kind = lambda model: len(kinds[source_of(model)]) == 1
    name = lambda model: source_of(model) if of_one_kind(model) else f"{source_of(model)} ({model.name})"
    return [name(model) for model in models]


def _cell(
    model: Model, config: Config, workdir: Path, fitted: Callable[[], Params]
) -> tuple[dict[str, Any], float]:
    """The likelihood values of one model on one set, and the seconds that an earlier run spent on them.

    They are read from `results/cells` if they were written there. `fitted` gives the parameters with both
    observation scales, which are fitted once for all sets.
    """
    images = image_sets.test_images(config.data, config.evaluation)
    about = origin_of(model, config, images)
    if config.evaluation.brush_bits or not likelihood.has_both_scales(model):  # fitted to training images
        about += [str(config.data.dir), os.environ.get("DOOD_DATA_DIR")]
    name = f"{source_of(model)}-on-{config.data.name}{results.suffix(config, [model])}-{digest(about)}.json"
    path = workdir / "results" / "cells" / name
    stored = processes.told_by_first(lambda: results.read(path) if path.is_file() else None)
    if stored is not None:
        return stored, stored["seconds"]
    started = time.monotonic()
    values, caches = likelihood.measure(model, config, images, workdir, fitted())
    seconds_before = sum(cache.seconds_before for cache in caches)
    cell = {**values, "n": len(images), "seconds": time.monotonic() - started + seconds_before}
    results.save(path, cell)
    for cache in caches:
        cache.discard()
    logging.info("%s on %s: %s", model.name, config.data.name, values)
    return cell, seconds_before


def _images_and_drawings(model: Model, config: Config) -> np.ndarray:
    """[2, N, H, W] a few images of a set, and a model's drawings of them."""
    images = image_sets.test_images(config.data, config.evaluation)[:_SHOWN]
    return np.stack([images, best_drawings(model, images, config).canvases[:, -1]])


def _over_seeds(cells: Cells, name: str) -> dict[str, dict[str, dict[str, float]]]:
    """Mean and standard deviation over seeds of one value in every cell, by source and target.

    Nats also have the mean standard error over images.
    """

    def over(found: list[Any]) -> dict[str, float]:
        nats = isinstance(found[0], dict)
        means = [one["mean"] if nats else one for one in found]
        errors = {"stderr": float(np.mean([one["stderr"] for one in found]))} if nats else {}
        return {"mean": float(np.mean(means)), "sd": float(np.std(means)), "n": len(found), **errors}

    return {
        source: {target: over([cell[name] for cell in seeds]) for target, seeds in row.items()}
        for source, row in cells.items()
    }


def _is_reduced(model: Model, config: Config) -> bool:
    """Whether the training set at hand is smaller than the published one; False where it is not at hand."""
    source = source_of(model)
    if source not in datasets.CATALOG:
        return False
    try:
        data = results.training_data_of(model, config)
        return len(sources.load_configured(data, "train").images) < datasets.CATALOG[source].counts["train"]
    except BadInput:
        return False


# ---- The table in Markdown ----


def markdown(values: dict[str, Any], config: Config, size: int) -> str:
    """The table under both scales, beside the paper's, AIR's and blank canvases.

    Published numbers are of images of 50 x 50 pixels and stand beside models of that `size` alone.
    """
    targets = list(values["blank_canvas"])
    lines = [*_introduction(config, size), "", "| trained on | scale | " + " | ".join(targets) + " |"]
    lines.append("|---|---|" + "---|" * len(targets))
    for source in values["table"]["map"]:
        name = source + (_REDUCED if source in values["reduced"] else "")
        for scale in SCALES:
            row = values["table"][scale][source]
            lines.append(_row(name, scale, [_with_deviation(row[target]) for target in targets]))
        for rival in ("DooD", "AIR") if size == _PUBLISHED_SIZE else ():
            set_name = source.split(" (")[0]
            nats = [results.published_log_likelihood(rival, set_name, target) for target in targets]
            if any(value is not None for value in nats):
                shown = ["–" if value is None else f"{value:,.0f}" for value in nats]
                lines.append(_row(name, f"published {rival}, map", shown))
    blank = [f"{values['blank_canvas'][target]:,.0f}" for target in targets]
    lines.append(_row("blank canvas", "map", blank))
    if values["reduced"]:
        lines += ["", f"{_REDUCED} trained on fewer images than are published"]
    return "\n".join(lines) + "\n"


def _introduction(config: Config, size: int) -> list[str]:
    """What the numbers of the table are."""
    settings, source_size = config.evaluation, config.model.source_size
    steps, bits = settings.optimize_steps, settings.brush_bits
    newton = f", {config.model.newton_steps} Gauss-Newton steps" if config.model.newton_steps else ""
    revised = f", drawings revised {settings.revisions} times" if settings.revisions else ""
    optimized = f", posteriors optimised by {steps} steps an image" if steps else ""
    charged = f", brushes charged at {bits} bits a number" if bits else ""
    compared = "as they are"
    if may_be_enlarged(source_size, size):
        compared = f"at their source resolution where it is {source_size} × {source_size} pixels"
    emnist = "on its side, as published" if config.data.transpose else "upright; on its side as published"
    return [
        f"Nats an image of {size} × {size}, {settings.num_images or 'all'} images a set,"
        f" {settings.num_particles} particles{newton}{revised}{optimized}{charged};"
        f" images compared {compared}.",
        f"± is the standard deviation over seeds, or the standard error of one. EMNIST is {emnist}.",
    ]


def _row(name: str, scale: str, cells: list[str]) -> str:
    return "| " + " | ".join([name, scale, *cells]) + " |"


def _with_deviation(cell: dict[str, float]) -> str:
    return f"{cell['mean']:,.0f} ± {cell['sd'] if cell['n'] > 1 else cell['stderr']:,.0f}"
