"""The page of results, from what evaluations wrote: `python benchmarks/results_page.py`.

Reads `docs/results/*.json`, learning curves and the cards of the released models; writes `docs/results.md`
and `docs/curves.png`. Nothing on the page is typed by hand.
"""

import json
from pathlib import Path
from typing import Any

from dood_jax import figures
from dood_jax.config.resolving import resolve
from dood_jax.evaluation import published_results, transfer

ROOT = Path(__file__).resolve().parents[1]
MOST_TARGETS = ("mnist", "emnist", "kmnist", "quickdraw", "omniglot")


def main() -> None:
    """Writes the page and its image."""
    docs = ROOT / "docs"
    figures.curve_panels(
        docs / "curves.png",
        learning_curves(docs / "results"),
        "minutes since the run began",
        "held-out nats (20 particles)",
    )
    (docs / "results.md").write_text(page(docs / "results", ROOT / "checkpoints"))


TITLES = {  # of the studies, in their order on the page
    "transfer": "Across sets",
    "transfer-without-grid": "Across sets, the grid not known",
    "transfer-charged": "Across sets, the brush charged",
    "transfer-own-sets": "Across sets, models of the other sets",
}
INTRODUCTION = """\
Nats are bounds on the log-likelihood of a 50 × 50 image, means over images ± standard error. Read them with
this in mind:

* **map** is the published observation model, one learned Laplace scale a pixel; **canvas** computes the
  scale from the drawing. Both are fitted to training images of the model's own set. Only rows of one scale
  compare.
* **Grid known**: an image that was enlarged from 28 × 28 pixels is compared with the drawing on that grid
  ([method](method.md) 4.1). The paper's models do not do so. **Grid not known** is the comparison as in the
  paper: no grid at test time, both scales fitted anew to training drawings. The models' looks were learned
  with the grid, which is a little unfair to those rows.
* **The brush** of a drawing (width, ink slope, canvas slope) is free, as in the paper, so the number bounds
  the largest log p(x | brush). **Charged** numbers are bounds on log p(x): every number of the brush is
  rounded to 6 bits and its code paid for, with a prior fitted to training drawings.
* One seed a row, 500 test images where nothing else is said; the paper has five seeds and all images
  (10,000 to 18,800).
* EMNIST's test images are another selection than the published one, Quick, Draw!'s have nine of the ten
  categories ([data](data.md)): numbers beside the paper's there are of substitutes. EMNIST is upright; the
  paper's lies on its side.
* Half of the synthetic training images passed through 28 × 28 pixels; choices so far used test images, with
  no measurable effect ([experiments](experiments.md)).
* AIR's row of Omniglot is published with a Gaussian observation and one sample, unlike its other rows.
* The published model (`model.preset=published`) agrees with golden vectors of the paper's code, but was
  never trained here: no number below is of it.
* 24 looks amplify float32 rounding: the bound of a single image changes by tens of nats between machines.
  Means do not.
* **L1 error** is that of the drawing on the image's grid; drawings as they are lie some 8 farther off on
  MNIST."""


def page(results: Path, checkpoints: Path) -> str:
    """The page, in Markdown."""
    cards = {
        path.parent.name: json.loads(path.read_text()) for path in sorted(checkpoints.glob("*/card.json"))
    }
    studies = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("transfer*.json"))}
    order = sorted(studies, key=lambda name: (list(TITLES).index(name) if name in TITLES else 99, name))
    likelihoods = [json.loads(path.read_text()) for path in sorted(results.glob("likelihood-*.json"))]
    parts = [
        "# Results",
        "Written by `python benchmarks/results_page.py` from [`docs/results`](results) and the cards in"
        " [`checkpoints`](../checkpoints). Every file names the sha256 of the parameters that it was measured"
        " with; a test compares it with the shipped ones.",
        INTRODUCTION,
        "## The models",
        models_table(cards),
        "Nats are of each model's own test set, 20 particles, published map; minutes are those of the command"
        " alone. A model that begins with another has that one's training behind it.",
        "![Held-out nats while learning](curves.png)",
        "256 test images a set; each run begins with what the one before it had learned.",
        "## Models on test images of their own sets",
        own_sets_table(likelihoods),
        "From `likelihood-*.json`.",
    ]
    if {"transfer", "transfer-without-grid"} <= set(studies):
        parts += [
            "## What the grid carries",
            *compared(studies["transfer"], studies["transfer-without-grid"]),
        ]
    if {"transfer", "transfer-charged"} <= set(studies):
        parts += ["## What the brush is worth", *compared(studies["transfer"], studies["transfer-charged"])]
    if (results / "floors.json").is_file():
        parts += floors_parts(json.loads((results / "floors.json").read_text()), studies.get("transfer"))
    for name in order:
        parts += study_parts(name, studies[name])
    return "\n\n".join(parts) + "\n"


def compared(study: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Nats of the map in two studies side by side, with the paper's."""
    names = ["as in `transfer`", other_name(other)]
    targets = [target for target in MOST_TARGETS if target in other["values"]["blank_canvas"]]
    rows = ["| trained on | | " + " | ".join(targets) + " |", "|---" * (len(targets) + 2) + "|"]
    for source in other["values"]["table"]["map"]:
        for name, one in zip(names, (study, other), strict=True):
            cells = one["values"]["table"]["map"].get(source)
            if cells is None:
                continue
            nats = [f"{cells[target]['mean']:,.0f} ± {cells[target]['stderr']:.0f}" for target in targets]
            rows.append(f"| {source} | {name} | " + " | ".join(nats) + " |")
        paper = [published_results.log_likelihood("DooD", source, target) for target in targets]
        rows.append(
            f"| {source} | published DooD | "
            + " | ".join("–" if x is None else f"{x:,.0f}" for x in paper)
            + " |"
        )
    return ["\n".join(rows)]


def other_name(study: dict[str, Any]) -> str:
    """What sets a study apart."""
    if study["config"]["evaluation"].get("brush_bits"):
        return f"brush charged, {study['config']['evaluation']['brush_bits']} bits"
    return "grid not known"


def floors_parts(record: dict[str, Any], study: dict[str, Any] | None) -> list[str]:
    """Models without strokes, and nats against the number of latent numbers."""
    values = record["values"]
    components = values["pca"]
    rows = [
        "| components of | how many | " + " | ".join(MOST_TARGETS) + " |",
        "|---" * (len(MOST_TARGETS) + 2) + "|",
    ]
    for source, found in components.items():
        cells = [
            f"{found['on'][target]['mean']:,.0f} ± {found['on'][target]['stderr']:.0f}"
            for target in MOST_TARGETS
        ]
        rows.append(f"| {source} | {found['components']} | " + " | ".join(cells) + " |")
    counts = list(components["mnist"]["by_components"])
    curve = ["| MNIST, latent numbers | " + " | ".join(counts) + " |", "|---" * (len(counts) + 1) + "|"]
    nats = [f"{one['mean']:,.0f}" for one in components["mnist"]["by_components"].values()]
    curve.append("| principal components | " + " | ".join(nats) + " |")
    vae = values.get("vae", {})
    few = ["| MNIST, latent numbers | " + " | ".join(vae) + " |", "|---" * (len(vae) + 1) + "|"]
    few.append("| autoencoder | " + " | ".join(f"{one['mean']:,.0f}" for one in vae.values()) + " |")
    autoencoders = (
        ["\n".join(few), "They have two hidden layers of 512, 2,500 steps, 200 particles."] if vae else []
    )
    said = ""
    if study:
        strokes = study["values"]["strokes"]["mnist"]["mnist"]["mean"]
        own = study["values"]["table"]["map"]["mnist"]["mnist"]["mean"]
        said = (
            f" The MNIST model has {own:,.0f} nats (grid known) with {strokes:.1f} strokes of 14 numbers,"
            f" about {14 * strokes:.0f}."
        )
    return [
        "## Floors: models without strokes",
        "`python benchmarks/floors.py`: principal components with a Gaussian prior and posterior and the same"
        " Laplace map; a bound in closed form, a minute a set, the grid not known. The number of components"
        " and the posterior's width are chosen on training images that nothing was fitted to.",
        "\n".join(rows),
        "**A linear model has more nats than DooD, ours and the paper's, on most sets in domain**: hundreds"
        " of numbers code an enlarged image of 784 pixels almost without loss. Nats alone are no measure of"
        " drawing. What a drawing model wins is few numbers that mean something (places, strokes, their"
        " order), Omniglot, transfer from MNIST to sets that look otherwise, and strokes themselves." + said,
        "![Nats against the number of latent numbers](floors.png)",
        "\n".join(curve),
        *autoencoders,
        f"A blank image has {values['blank']['mnist']:,.0f} nats under the MNIST model, more than a digit:"
        " blank pixels are certain. Nats weigh images against each other only where they hold as much ink.",
    ]


def readme_table(results: Path) -> str:
    """README's table: both models across sets, with and without the grid, beside the paper and a floor."""
    read = lambda name: json.loads((results / f"{name}.json").read_text())["values"]
    known, unknown, floors = read("transfer"), read("transfer-without-grid"), read("floors")["pca"]
    rows = [
        "| trained on | | MNIST | EMNIST | KMNIST | Quick, Draw! | Omniglot |",
        "|---" * 7 + "|",
    ]
    row = lambda name, what, nats: rows.append(
        f"| {name} | {what} | " + " | ".join(map(nats, MOST_TARGETS)) + " |"
    )
    shown = lambda value: f"{value:,.0f}".replace("-", "−")
    for source, name in (("mnist", "MNIST"), ("synthetic", "synthetic strokes")):
        of = lambda table, source=source: lambda target: shown(table[source][target]["mean"])
        row(name, "map, grid not known", of(unknown["table"]["map"]))
        row("", "map, grid known", of(known["table"]["map"]))
        row("", "canvas, grid known", of(known["table"]["canvas"]))
        row(
            "",
            "published DooD: map, grid not known",
            lambda target, source=source: shown(published_results.log_likelihood("DooD", source, target)),
        )
        row(
            "",
            "principal components: map, grid not known",
            lambda target, source=source: shown(floors[source]["on"][target]["mean"]),
        )
    return "\n".join(rows)


INVENTED = (  # of docs/generation.md: what, task, where in its values, decimals
    ("Fréchet distance of samples from training images", "fid", "fid mean", 1),
    ("… of other training images: the floor", "fid", "real_fid mean", 1),
    ("… ratio", "fid", "ratio", 2),
    ("… of the first look's drawings of training images", "fid", "redrawn fid", 1),
    ("precision of samples", "fid", "precision mean", 2),
    ("… of real images", "fid", "real_precision mean", 2),
    ("recall of samples", "fid", "recall mean", 2),
    ("… of real images", "fid", "real_recall mean", 2),
    ("share of samples that the judge recognises (a class above 0.9)", "fid", "certain", 2),
    ("… of real images", "fid", "real_certain", 2),
    ("distance of samples from the nearest training image", "fid", "nearest", 1),
    ("… of test images", "fid", "real_nearest", 1),
    ("completions of one stroke: of the image's class", "completion", "class_consistency", 2),
    ("… diversity (two samples: 1)", "completion", "diversity", 2),
    ("completions of two strokes: of the image's class", "completion", "by_kept 2 class_consistency", 2),
    ("exemplars: of the image's class", "exemplars", "class_agreement", 2),
    ("… originality (two real images of a class: 1)", "exemplars", "originality", 2),
    ("… of the image's class, twice the noise", "exemplars", "curve 2.0 class_agreement", 2),
    ("silhouette of 8 clusters of strokes", "clusters", "silhouette", 2),
    ("… of their curves on the canvas", "clusters", "placed_silhouette", 2),
    ("class told from the strokes: a small network", "probe", "accuracy", 3),
    ("… linear", "probe", "linear", 3),
)


def invented_table(results: Path) -> str:
    """How well the models of the sets invent and complete; a dash for what was not measured of the model."""
    rows = ["| | " + " | ".join((*MOST_TARGETS, "synthetic")) + " |", "|---" * (len(MOST_TARGETS) + 2) + "|"]
    for what, task, place, decimals in INVENTED:
        cells = []
        for name in (*MOST_TARGETS, "synthetic"):
            path = results / f"{task}-{name}.json"
            value = json.loads(path.read_text())["values"] if path.is_file() else {}
            for key in place.split():
                value = (value or {}).get(key)
            cells.append("–" if value is None else f"{value:.{decimals}f}")
        if set(cells) != {"–"}:
            rows.append(f"| {what} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def models_table(cards: dict[str, dict[str, Any]]) -> str:
    """A row for every released model."""
    rows = [
        "| model | command | begins with | steps | minutes | nats | strokes | L1 | commit |",
        "|---" * 9 + "|",
    ]
    for name, card in cards.items():
        training, metrics = card["config"]["training"], card["metrics"]
        rows.append(
            f"| {name} | `{card['command']}` | {training.get('init_from') or 'nothing'} | {card['step']:,}"
            f" | {card['seconds'] / 60:.0f} | {metrics['log_likelihood']:,.0f} ± {metrics['stderr']:.0f}"
            f" | {metrics['strokes']:.1f} | {metrics['l1']:.0f} | {card['commit']} |"
        )
    return "\n".join(rows)


def own_sets_table(records: list[dict[str, Any]]) -> str:
    """A row for every run of the `likelihood` task: nats under both scales beside the paper's."""
    rows = [
        "| model | grid | images | particles | map | paper | canvas | strokes | L1 |",
        "|---" * 9 + "|",
    ]
    for record in records:
        values, asked = record["values"], record["config"]["evaluation"]
        paper = published_results.log_likelihood("DooD", record["dataset"], record["dataset"])
        nats = [
            f"{values[name]['mean']:,.0f} ± {values[name]['stderr']:.0f}"
            for name in ("log_likelihood_map", "log_likelihood_canvas")
        ]
        rows.append(
            f"| {record['checkpoint']}"
            f" | {'known' if record['config']['model'].get('source_size') else 'not known'}"
            f" | {asked['num_images']} | {asked['num_particles']} | {nats[0]}"
            f" | {'–' if paper is None else f'{paper:,.0f}'} | {nats[1]}"
            f" | {values['strokes']:.1f} | {values['l1']:.0f} |"
        )
    return "\n".join(rows)


def study_parts(name: str, study: dict[str, Any]) -> list[str]:
    """What a run of the `transfer` task gave: nats beside published ones, errors and strokes."""
    config = resolve(study["config"])
    steps = ", ".join(
        f"{model} ({step:,} steps, commit {commit})"
        for model, step, commit in zip(
            as_list(study["checkpoint"]),
            as_list(study["step"]),
            as_list(study["trained_at_commit"]),
            strict=True,
        )
    )
    return [
        f"## {TITLES.get(name, name)}",
        f"[`{name}.json`](results/{name}.json), measured at commit {study['commit']} on {study['device']}:"
        f" {steps}.",
        transfer.markdown(study["values"], config, config.data.image_size).strip(),
        "L1 error of drawings, and strokes drawn, means over particles:",
        errors_table(study["values"]),
    ]


def errors_table(values: dict[str, Any]) -> str:
    """L1 errors with strokes in brackets."""
    targets = [target for target in MOST_TARGETS if target in values["blank_canvas"]]
    rows = ["| trained on | " + " | ".join(targets) + " |", "|---" * (len(targets) + 1) + "|"]
    for source, errors in values["l1"].items():
        strokes = values["strokes"][source]
        cells = [f"{errors[one]['mean']:.0f} ({strokes[one]['mean']:.1f})" for one in targets]
        rows.append(f"| {source} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def learning_curves(results: Path) -> dict[str, dict[str, figures.Line]]:
    """Set -> run -> minutes and held-out nats, of every run whose metrics are kept."""
    panels: dict[str, dict[str, figures.Line]] = {}
    for path in sorted(results.glob("metrics-*.jsonl")):
        kept = [json.loads(line) for line in path.read_text().splitlines()]
        found = [line for line in kept if line["kind"] == "held_out"]
        name, _, run = path.stem.removeprefix("metrics-").partition("-")
        panels.setdefault(name, {})[run or "from nothing"] = (
            [line["seconds"] / 60 for line in found],
            [line["log_likelihood"] for line in found],
        )
    return panels


def as_list(value: Any) -> list[Any]:
    """Several as they are, one alone in a list."""
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    main()
