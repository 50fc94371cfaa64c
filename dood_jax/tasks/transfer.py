"""The across-dataset study: models trained on one set, tested on all (method.md 10.1, the paper's Fig. 4).

A cell that was measured is kept in the workdir, so that an interrupted study goes on where it was.
"""

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from dood_jax import figures
from dood_jax.api import Model
from dood_jax.data import catalog
from dood_jax.errors import BadInput
from dood_jax.model.likelihood import SCALES
from dood_jax.tasks import likelihood, published, results
from dood_jax.tasks.reconstruction import best_drawings
from dood_jax.training import datasets, evaluation
from dood_jax.training.checkpoint import commit
from dood_jax.training.config import Config, resolve

_DRAWN = 4  # pictures in a cell of the heat map
_REDUCED = "†"  # marks a source of which fewer training pictures were at hand than are published
Cells = dict[str, dict[str, list[dict[str, Any]]]]  # source, target -> what every seed gave


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Measures every model on every set and writes `transfer.json`, `.md` and a heat map for each scale.

    The sets are those of `data.names`; all five if it is empty.
    """
    started = time.monotonic()
    targets = config.data.sets if config.data.names else tuple(catalog.CATALOG)
    cells: Cells = defaultdict(lambda: defaultdict(list))
    pictures: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for model in models:
        source = source_of(model)
        for target in targets:
            on_target = config.on(target)
            cells[source][target].append(_cell(model, on_target, workdir))
            pictures[source].setdefault(target, _drawn(model, on_target))
    table = {scale: _table(cells, f"log_likelihood_{scale}") for scale in SCALES}
    values = {
        "table": table,
        **{name: _table(cells, name) for name in ("l1", "strokes")},
        "blank_canvas": {target: next(iter(cells.values()))[target][0]["blank_canvas"] for target in targets},
        "reduced": [source for source in cells if _is_reduced(models, source, config)],
    }
    name = f"transfer{results.suffix(config)}"
    folder = workdir / "results"
    results.write(workdir, "transfer", values, config, models, _count(cells), started, path=f"{name}.json")
    (folder / f"{name}.md").write_text(markdown(values))
    for scale in SCALES:
        means = {source: {t: cell["mean"] for t, cell in row.items()} for source, row in table[scale].items()}
        figures.heat_map(folder / f"{name}-{scale}.png", means, pictures, "trained on", "tested on")
    return values


def source_of(model: Model) -> str:
    """The set that a model was trained on."""
    return model.meta["config"]["data"]["name"]


def markdown(values: dict[str, Any]) -> str:
    """The table under both scales, beside the paper's, AIR's and the floor of blank canvases."""
    targets = list(values["blank_canvas"])
    lines = [
        "Nats a picture of 50 × 50; ± is the standard deviation over seeds, or the standard error of one.",
        "",
        "| trained on | scale | " + " | ".join(targets) + " |",
        "|---|---|" + "---|" * len(targets),
    ]
    for source in values["table"]["map"]:
        name = source + (_REDUCED if source in values["reduced"] else "")
        for scale in SCALES:
            row = values["table"][scale][source]
            lines.append(_row(name, scale, [_with_spread(row[target]) for target in targets]))
        for rival in ("DooD", "AIR"):
            nats = [published.log_likelihood(rival, source, target) for target in targets]
            if any(value is not None for value in nats):
                shown = ["–" if value is None else f"{value:,.0f}" for value in nats]
                lines.append(_row(name, f"published {rival}, map", shown))
    lines.append(
        _row("blank canvas", "map", [f"{values['blank_canvas'][target]:,.0f}" for target in targets])
    )
    if values["reduced"]:
        lines += ["", f"{_REDUCED} trained on fewer pictures than are published"]
    return "\n".join(lines) + "\n"


def _row(*entries: Any) -> str:
    *names, figures_of_row = entries
    return "| " + " | ".join([*names, *figures_of_row]) + " |"


def _with_spread(cell: dict[str, float]) -> str:
    return f"{cell['mean']:,.0f} ± {cell['sd'] if cell['n'] > 1 else cell['stderr']:,.0f}"


def _cell(model: Model, config: Config, workdir: Path) -> dict[str, Any]:
    """The likelihood of one model on one set, measured or remembered."""
    about = [model.meta["sha256"], {**config.as_dict()["data"], "dir": None}]
    about += [config.as_dict()["evaluation"], config.as_dict()["model"], commit()]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
    name = f"{source_of(model)}-on-{config.data.name}{results.suffix(config)}-{digest}.json"
    path = workdir / "results" / "cells" / name
    if path.is_file():
        return json.loads(path.read_text())
    values, count = likelihood.measure(model, config, workdir)
    results.save(path, {**values, "n": count})
    logging.info("%s on %s: %s", model.name, config.data.name, values)
    return {**values, "n": count}


def _drawn(model: Model, config: Config) -> np.ndarray:
    """[2, N, H, W] a few pictures of a set and a model's drawings of them."""
    images = evaluation.held_out_images(config.data, config.evaluation)[:_DRAWN]
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
    """Most pictures of a set that were measured."""
    return max(cell["n"] for row in cells.values() for seeds in row.values() for cell in seeds)


def _is_reduced(models: Sequence[Model], source: str, config: Config) -> bool:
    """Whether the training set at hand is smaller than the published one; one that is absent is not known."""
    if source not in catalog.CATALOG:
        return False
    stored = next(model for model in models if source_of(model) == source).meta["config"]["data"]
    try:
        data = resolve({"data": {**stored, "dir": config.data.dir or stored["dir"]}}).data
        return len(datasets.load(data, "train").images) < catalog.CATALOG[source].counts["train"]
    except BadInput:
        return False
