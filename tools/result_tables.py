"""Tables in Markdown of the records in `docs/results`, for the pages that hold them.

A record is what a task or a benchmark wrote: nested plain values (see `dood_jax/evaluation/results.py`).
"""

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dood_jax.evaluation import results as published

Record = dict[str, Any]
SETS = ("mnist", "emnist", "kmnist", "quickdraw", "omniglot")
_NOT_MEASURED = "–"
_BOUNDS = ("map", "paper", "canvas", "strokes", "L1")
GENERATION_ROWS = (  # of docs/generation.md: what, task, where in its values, decimals
    ("Fréchet distance of samples from training images", "fid", "fid mean", 1),
    ("… of other training images: the floor", "fid", "real_fid mean", 1),
    ("… ratio", "fid", "ratio", 2),
    ("… of initial drawings of training images", "fid", "reconstructed fid", 1),
    ("precision of samples", "fid", "precision mean", 2),
    ("… of real images", "fid", "real_precision mean", 2),
    ("recall of samples", "fid", "recall mean", 2),
    ("… of real images", "fid", "real_recall mean", 2),
    ("fraction of samples that the classifier recognises (a class above 0.9)", "fid", "confident", 2),
    ("… of real images", "fid", "real_confident", 2),
    ("distance of samples from the nearest training image", "fid", "nearest", 1),
    ("… of test images", "fid", "real_nearest", 1),
    ("completions of one stroke: of the image's class", "completion", "class_consistency", 2),
    ("… diversity (two samples: 1)", "completion", "diversity", 2),
    (
        "completions of two strokes: of the image's class",
        "completion",
        "by_prefix_strokes 2 class_consistency",
        2,
    ),
    ("exemplars: of the image's class", "exemplars", "class_agreement", 2),
    ("… originality (two real images of a class: 1)", "exemplars", "originality", 2),
    ("… of the image's class, twice the noise", "exemplars", "curve 2.0 class_agreement", 2),
    ("silhouette of 8 clusters of strokes", "clusters", "silhouette", 2),
    ("… of their curves on the canvas", "clusters", "placed_silhouette", 2),
    ("class told from the strokes: a small network", "probe", "accuracy", 3),
    ("… linear", "probe", "linear", 3),
)
RIVALS = {  # variants of configs/ablations.py
    "dood": "DooD",
    "renderer": "− δR: a network draws strokes",
    "guidance": "− EG: the canvas is not seen",
    "prior": "− sequential prior",
    "difference_air": "Difference-AIR",
    "air": "AIR",
    "vae": "VAE",
}


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines])


def nats(bound: dict[str, float]) -> str:
    """A mean with its standard error."""
    return f"{bound['mean']:,.0f} ± {bound['stderr']:.0f}"


def as_list(value: Any) -> list[Any]:
    """Several values as they are, a single one in a list."""
    return value if isinstance(value, list) else [value]


def _paper(source: str, targets: Sequence[str]) -> list[str]:
    """Published nats of DooD trained on one set."""
    numbers = [published.published_log_likelihood("DooD", source, target) for target in targets]
    return [_NOT_MEASURED if number is None else f"{number:,.0f}" for number in numbers]


def models_table(cards: dict[str, Record]) -> str:
    """A row for every released model, by the cards."""
    rows = []
    for name, card in cards.items():
        metrics = card["metrics"]
        rows.append(
            [
                name,
                f"`{card['command']}`",
                card["config"]["training"].get("init_from") or "nothing",
                f"{card['step']:,}",
                f"{card['seconds'] / 60:.0f}",
                nats({"mean": metrics["log_likelihood"], "stderr": metrics["stderr"]}),
                f"{metrics['strokes']:.1f}",
                f"{metrics['l1']:.0f}",
                card["commit"],
            ]
        )
    head = ["model", "command", "begins with", "steps", "minutes", "nats", "strokes", "L1", "commit"]
    return table(head, rows)


def own_sets_table(records: Sequence[Record]) -> str:
    """A row for every run of the `likelihood` task: nats under both scales beside the paper's."""
    rows = []
    for record in records:
        settings = record["config"]["evaluation"]
        rows.append(
            [
                record["checkpoint"],
                _source_resolution(record),
                str(record["config"]["model"].get("newton_steps") or "–"),
                f"{record['n']:,}",
                str(settings["num_particles"]),
                *_bounds(record),
            ]
        )
    settings = ["model", "source resolution", "Gauss-Newton steps", "images", "particles"]
    return table([*settings, *_BOUNDS], rows)


def lying_table(records: Sequence[Record]) -> str:
    """EMNIST on its side: nats under both scales beside the paper's of a model of the same set."""
    rows = [[record["checkpoint"], _source_resolution(record), *_bounds(record)] for record in records]
    return table(["model", "source resolution", *_BOUNDS], rows)


def _source_resolution(record: Record) -> str:
    return "with" if record["config"]["model"].get("source_size") else "without"


def _bounds(record: Record) -> list[str]:
    """The cells under `_BOUNDS` of a record of the `likelihood` task."""
    values = record["values"]
    return [
        nats(values["log_likelihood_map"]),
        *_paper(record["checkpoint"], [record["dataset"]]),
        nats(values["log_likelihood_canvas"]),
        f"{values['strokes']:.1f}",
        f"{values['l1']:.0f}",
    ]


class Study(NamedTuple):
    """Records of the `transfer` task of one kind, each of one model, by the names of their files."""

    records: dict[str, Record]

    @property
    def values(self) -> Record:
        """The values of all models."""
        return merged(list(self.records.values()))

    def alike(self) -> list[dict[str, Record]]:
        """The records of equal settings together, those of most images first."""
        found: dict[str, dict[str, Record]] = {}
        for name, record in self.records.items():
            settings = {key: record["config"]["evaluation"][key] for key in ("num_images", "num_particles")}
            found.setdefault(json.dumps(settings), {})[name] = record
        return sorted(found.values(), key=lambda records: -next(iter(records.values()))["n"])


def studies(results: Path) -> dict[str, Study]:
    """Kind -> study, of the files `transfer-<model>-<kind>.json` of a folder; the plain kind is empty."""
    found: dict[str, Study] = {}
    for path in sorted(results.glob("transfer-*.json")):
        _, _, kind = path.stem.removeprefix("transfer-").partition("-")
        found.setdefault(kind, Study({})).records[path.stem] = json.loads(path.read_text())
    return found


def merged(records: Sequence[Record]) -> Record:
    """The values of records of the `transfer` task on the same sets, each of other models, as of one run."""
    values = [record["values"] for record in records]
    rows = lambda of: {source: row for one in values for source, row in of(one).items()}
    return {
        "table": {scale: rows(lambda one, scale=scale: one["table"][scale]) for scale in values[0]["table"]},
        "l1": rows(lambda one: one["l1"]),
        "strokes": rows(lambda one: one["strokes"]),
        "blank_canvas": values[0]["blank_canvas"],
        "reduced": [source for one in values for source in one["reduced"]],
    }


def seeds_table(record: Record) -> str:
    """A row for every seed of a model, and their mean and standard deviation."""
    columns: list[tuple[str, str, Callable[[Record], float | None]]] = [
        ("validation", ",.0f", lambda seed: seed["validation"]["log_likelihood"]),
        *((name, ",.0f", lambda seed, name=name: seed["map"][name]["mean"]) for name in SETS),
        ("L1", ".1f", lambda seed: seed["l1"][SETS[0]]["mean"]),
        ("Fréchet ratio", ".2f", lambda seed: seed["fid_ratio"]),
        ("class kept", ".2f", lambda seed: seed.get("kept")),
    ]
    seeds = record["seeds"]
    rows = [[str(seed["seed"]), seed["trained_at_commit"]] for seed in seeds] + [["mean ± sd", ""]]
    for _, form, of in columns:
        found = [value for value in map(of, seeds) if value is not None]
        cells = [format(value, form) for value in found] or [_NOT_MEASURED] * len(seeds)
        spread = f" ± {format(statistics.stdev(found), form)}" if len(found) > 1 else ""
        cells.append(f"{format(statistics.mean(found), form)}{spread}" if found else _NOT_MEASURED)
        rows = [[*row, cell] for row, cell in zip(rows, cells, strict=True)]
    return table(["seed", "commit", *(name for name, _, _ in columns)], rows)


def comparison_table(study: Study, other: Study) -> str:
    """Nats of the map in two studies of the `transfer` task, with the paper's."""
    one, changed = (next(iter(of.records.values()))["config"] for of in (study, other))
    settings, own_size = changed["evaluation"], one["model"]["source_size"]
    turns = settings.get("revisions")
    newton_steps = changed["model"].get("newton_steps")
    changes = ["without source resolution"] if changed["model"]["source_size"] != own_size else []
    changes += [f"{turns} revisions"] if turns else []
    changes += [f"{newton_steps} Gauss-Newton steps"] if newton_steps else []
    names = ("as in `Across sets`", ", ".join(changes))
    targets = [target for target in SETS if target in other.values["blank_canvas"]]
    rows = []
    for source in other.values["table"]["map"]:
        for name, of in zip(names, (study, other), strict=True):
            cells = of.values["table"]["map"].get(source)
            if cells is not None:
                rows.append([source, name, *(nats(cells[target]) for target in targets)])
        rows.append([source, "published DooD", *_paper(source, targets)])
    return table(["trained on", "", *targets], rows)


def errors_table(values: Record) -> str:
    """L1 errors of a run of the `transfer` task, with strokes in brackets."""
    targets = [target for target in SETS if target in values["blank_canvas"]]
    cell = lambda source, target: (
        f"{values['l1'][source][target]['mean']:.0f} ({values['strokes'][source][target]['mean']:.1f})"
    )
    rows = [[source, *(cell(source, target) for target in targets)] for source in values["l1"]]
    return table(["trained on", *targets], rows)


def floors_table(values: Record) -> str:
    """Nats of principal components fitted to each set."""
    rows = [
        [source, str(found["components"]), *(nats(found["on"][target]) for target in SETS)]
        for source, found in values["pca"].items()
    ]
    return table(["components of", "how many", *SETS], rows)


def floor_curves(values: Record) -> tuple[str, str]:
    """Nats on MNIST against the number of latent numbers, of components and of autoencoders, if any."""

    def curve(name: str, found: dict[str, Record]) -> str:
        return table(
            ["MNIST, latent numbers", *found], [[name, *(f"{x['mean']:,.0f}" for x in found.values())]]
        )

    autoencoders = values.get("vae", {})
    components = curve("principal components", values["pca"]["mnist"]["by_components"])
    return components, curve("autoencoder", autoencoders) if autoencoders else ""


def rivals_table(record: Record) -> str:
    """A row for DooD and for each of its rivals, at equal training time."""
    values = record["values"]
    targets = list(values["blank_canvas"])
    rows = []
    for name, row in zip(record["training_steps"], values["table"]["map"], strict=True):
        bounds = values["table"]["map"][row].values()
        costs = [f"{record[of][name]:,.0f}" for of in ("milliseconds_a_step", "training_steps", "parameters")]
        strokes, l1 = (next(iter(values[of][row].values()))["mean"] for of in ("strokes", "l1"))
        cells = [f"{bound['mean']:,.0f} ± {bound['stderr']:,.0f}" for bound in bounds]
        rows.append([RIVALS[name], *costs, *cells, f"{strokes:.1f}", f"{l1:.0f}"])
    blank = [f"{values['blank_canvas'][target]:,.0f}" for target in targets]
    rows.append(["blank canvas", "", "", "", *blank, "0", ""])
    return table(["model", "ms a step", "steps", "parameters", *targets, "strokes", "L1 on MNIST"], rows)


def readme_table(results: Path) -> str:
    """README's table: both models across sets, with and without source resolution, beside paper and floor."""
    known = {kind: study.values for kind, study in studies(results).items()}
    with_size, without = known[""], known["without-source-size"]
    revised, nearer, without_nearer = (
        known[kind] for kind in ("revised", "newton", "without-source-size-newton")
    )
    floors = json.loads((results / "floors.json").read_text())["values"]["pca"]
    rows = []
    for source, name in (("mnist", "MNIST"), ("synthetic", "synthetic strokes")):
        rows_of = [
            ("map, without source resolution", without["table"]["map"][source]),
            ("the same, Gauss-Newton steps", without_nearer["table"]["map"][source]),
            ("map, with source resolution", with_size["table"]["map"][source]),
            ("the same, Gauss-Newton steps", nearer["table"]["map"][source]),
            ("the same, drawings revised", revised["table"]["map"][source]),
            ("principal components: map, without source resolution", floors[source]["on"]),
        ]
        of_source = [[what, *(f"{cells[one]['mean']:,.0f}" for one in SETS)] for what, cells in rows_of]
        of_source.insert(5, ["published DooD: map, without source resolution", *_paper(source, SETS)])
        for number, row in enumerate(of_source):
            numbers = [cell.replace("-", "−") for cell in row[1:]]
            rows.append([name if number == 0 else "", row[0], *numbers])
    return table(["trained on", "", "MNIST", "EMNIST", "KMNIST", "Quick, Draw!", "Omniglot"], rows)


def generation_table(results: Path) -> str:
    """How well the models of the sets generate and complete; a dash for what was not measured."""
    names = (*SETS, "synthetic")
    rows = []
    for what, task, place, decimals in GENERATION_ROWS:
        cells = []
        for name in names:
            path = results / f"{task}-{name}.json"
            value = json.loads(path.read_text())["values"] if path.is_file() else {}
            for key in place.split():
                value = (value or {}).get(key)
            cells.append(_NOT_MEASURED if value is None else f"{value:.{decimals}f}")
        if set(cells) != {_NOT_MEASURED}:
            rows.append([what, *cells])
    return table(["", *names], rows)
