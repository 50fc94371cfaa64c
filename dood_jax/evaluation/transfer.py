"""The across-dataset study: models trained on one set, tested on all (method.md 10.1, the paper's Fig. 4).

A cell that was measured is kept in the workdir, so that an interrupted study goes on where it was.
"""

import dataclasses
import functools
import json
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
from dood_jax.config.resolving import resolve
from dood_jax.data import sources
from dood_jax.errors import BadInput
from dood_jax.evaluation import likelihood, published_results, results
from dood_jax.evaluation.reconstruction import best_drawings
from dood_jax.evaluation.resume_cache import digest, origin_of
from dood_jax.inference import test_images
from dood_jax.model.likelihood import SCALES
from dood_jax.model.networks import Params
from dood_jax.rendering.source_grid import may_be_enlarged
from dood_jax.runtime import processes

_PUBLISHED_SIZE = 50  # pixels of a side
_DRAWN = 4  # images in a cell of the heat map
_REDUCED = "†"  # marks a source of which fewer training images were at hand than are published
Cells = dict[str, dict[str, list[dict[str, Any]]]]  # source, target -> what every seed gave


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Measures every model on every set and writes `transfer.json`, `.md` and a heat map for each scale.

    The sets are those of `data.names`; all five if it is empty.
    """
    measurement = results.Measurement("transfer", config, models)
    targets = config.data.sets if config.data.names else tuple(datasets.CATALOG)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, names=",".join(targets)))
    sources = _rows(models)
    cells: Cells = defaultdict(lambda: defaultdict(list))
    images: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    seconds_before = 0.0
    for model, source in zip(models, sources, strict=True):
        fitted = functools.cache(functools.partial(likelihood.with_both_scales, model, config))
        for target in targets:
            on_target = config.on(target)
            cell, seconds = _cell(model, on_target, workdir, fitted)
            cells[source][target].append(cell)
            seconds_before += seconds
            images[source].setdefault(target, _drawn(model, on_target))
    table = {scale: _table(cells, f"log_likelihood_{scale}") for scale in SCALES}
    values = {
        "table": table,
        **{name: _table(cells, name) for name in ("l1", "strokes")},
        "blank_canvas": {target: next(iter(cells.values()))[target][0]["blank_canvas"] for target in targets},
        "reduced": [row for row in cells if _is_reduced(models[sources.index(row)], config)],
    }
    name = f"transfer{results.suffix(config, models)}"
    folder = workdir / "results"
    measurement.write(workdir, values, _count(cells), path=f"{name}.json", seconds_before=seconds_before)
    (folder / f"{name}.md").write_text(markdown(values, config, models[0].config.image_size))
    for scale in SCALES:
        means = {source: {t: cell["mean"] for t, cell in row.items()} for source, row in table[scale].items()}
        figures.heat_map(folder / f"{name}-{scale}.png", means, images, "trained on", "tested on")
    return values


def source_of(model: Model) -> str:
    """The set that a model was trained on."""
    return model.meta["config"]["data"]["name"]


def _rows(models: Sequence[Model]) -> list[str]:
    """The row of every model: its set, and its name where models of that set are of different kinds."""
    kinds = defaultdict(list)
    for model in models:
        kind = {group: dict(model.meta["config"].get(group, {})) for group in ("data", "model", "objective")}
        kind["data"].pop("dir", None)
        kind["model"] = {**dataclasses.asdict(ModelConfig()), **kind["model"]}
        if kind not in kinds[source_of(model)]:
            kinds[source_of(model)].append(kind)
    alike = lambda model: len(kinds[source_of(model)]) == 1
    return [source_of(model) if alike(model) else f"{source_of(model)} ({model.name})" for model in models]


def markdown(values: dict[str, Any], config: Config, size: int) -> str:
    """The table under both scales, beside the paper's, AIR's (of one image size) and blank canvases."""
    targets = list(values["blank_canvas"])
    settings = config.evaluation
    refined = (
        f", posteriors refined by {settings.optimize_steps} steps an image" if settings.optimize_steps else ""
    )
    charged = f", brushes charged at {settings.brush_bits} bits a number" if settings.brush_bits else ""
    native = config.model.source_size if may_be_enlarged(config.model.source_size, size) else 0
    lines = [
        f"Nats an image of {size} × {size}, {settings.num_images or 'all'} images a set,"
        f" {settings.num_particles} particles{refined}{charged}; images compared"
        f" {f'on their own grid where it has {native} × {native} pixels' if native else 'as they are'}.",
        "± is the standard deviation over seeds, or the standard error of one. EMNIST is"
        f" {'on its side, as published' if config.data.transpose else 'upright; on its side as published'}.",
        "",
        "| trained on | scale | " + " | ".join(targets) + " |",
        "|---|---|" + "---|" * len(targets),
    ]
    for source in values["table"]["map"]:
        name = source + (_REDUCED if source in values["reduced"] else "")
        for scale in SCALES:
            row = values["table"][scale][source]
            lines.append(_row(name, scale, [_with_spread(row[target]) for target in targets]))
        for rival in ("DooD", "AIR") if size == _PUBLISHED_SIZE else ():
            nats = [
                published_results.log_likelihood(rival, source.split(" (")[0], target) for target in targets
            ]
            if any(value is not None for value in nats):
                shown = ["–" if value is None else f"{value:,.0f}" for value in nats]
                lines.append(_row(name, f"published {rival}, map", shown))
    lines.append(
        _row("blank canvas", "map", [f"{values['blank_canvas'][target]:,.0f}" for target in targets])
    )
    if values["reduced"]:
        lines += ["", f"{_REDUCED} trained on fewer images than are published"]
    return "\n".join(lines) + "\n"


def _row(*entries: Any) -> str:
    *names, figures_of_row = entries
    return "| " + " | ".join([*names, *figures_of_row]) + " |"


def _with_spread(cell: dict[str, float]) -> str:
    return f"{cell['mean']:,.0f} ± {cell['sd'] if cell['n'] > 1 else cell['stderr']:,.0f}"


def _cell(
    model: Model, config: Config, workdir: Path, fitted: Callable[[], Params]
) -> tuple[dict[str, Any], float]:
    """The likelihood of one model on one set, measured or remembered; and the seconds it took before.

    `fitted` gives the parameters with both scales, which are fitted once for all sets.
    """
    images = test_images.images(config.data, config.evaluation)
    about = origin_of(model, config, images)
    if config.evaluation.brush_bits or not likelihood.has_both_scales(model):  # fitted to training images
        about += [str(config.data.dir), os.environ.get("DOOD_DATA_DIR")]
    name = f"{source_of(model)}-on-{config.data.name}{results.suffix(config, [model])}-{digest(about)}.json"
    path = workdir / "results" / "cells" / name
    remembered = processes.told_by_first(lambda: json.loads(path.read_text()) if path.is_file() else None)
    if remembered is not None:
        return remembered, remembered["seconds"]
    started = time.monotonic()
    values, kept = likelihood.measure(model, config, images, workdir, fitted())
    before = sum(one.seconds_before for one in kept)
    cell = {**values, "n": len(images), "seconds": time.monotonic() - started + before}
    results.save(path, cell)
    for one in kept:
        one.discard()
    logging.info("%s on %s: %s", model.name, config.data.name, values)
    return cell, before


def _drawn(model: Model, config: Config) -> np.ndarray:
    """[2, N, H, W] a few images of a set and a model's drawings of them."""
    images = test_images.images(config.data, config.evaluation)[:_DRAWN]
    return np.stack([images, best_drawings(model, images, config).canvases[:, -1]])


def _table(cells: Cells, name: str) -> dict[str, dict[str, dict[str, float]]]:
    """Means over seeds, with the population's deviation and, of nats, the mean standard error."""
    return {
        source: {target: _over_seeds([cell[name] for cell in seeds]) for target, seeds in row.items()}
        for source, row in cells.items()
    }


def _over_seeds(found: list[Any]) -> dict[str, float]:
    nats = isinstance(found[0], dict)
    means = [one["mean"] if nats else one for one in found]
    errors = {"stderr": float(np.mean([one["stderr"] for one in found]))} if nats else {}
    return {"mean": float(np.mean(means)), "sd": float(np.std(means)), "n": len(found), **errors}


def _count(cells: Cells) -> int:
    """Most images of a set that were measured."""
    return max(cell["n"] for row in cells.values() for seeds in row.values() for cell in seeds)


def _is_reduced(model: Model, config: Config) -> bool:
    """Whether the training set at hand is smaller than the published one; one that is absent is not known."""
    source = source_of(model)
    if source not in datasets.CATALOG:
        return False
    stored = model.meta["config"]["data"]
    try:
        data = resolve({"data": {**stored, "dir": config.data.dir or stored["dir"]}}).data
        return len(sources.load_configured(data, "train").images) < datasets.CATALOG[source].counts["train"]
    except BadInput:
        return False
