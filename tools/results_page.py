"""The pages of results, made from what evaluations and benchmarks wrote: `python tools/results_page.py`.

Reads `docs/results/*.json`, the learning curves beside them and the cards of the released models; writes
`docs/results.md`, `docs/rivals.md` and `docs/curves.png`, and the tables of `README.md` and
`docs/generation.md`. Nothing in them is typed by hand.
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import result_tables as tables
from result_tables import Record

from dood_jax import figures
from dood_jax.config.resolving import resolve
from dood_jax.evaluation import results as published
from dood_jax.evaluation import transfer

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = 18  # of a stroke with its brush
TITLES = {  # of studies by their kind, in their order on the page
    "": "Across sets",
    "newton": "Across sets, Gauss-Newton steps",
    "revised": "Across sets, drawings revised",
    "without-source-size": "Across sets, without the source resolution",
    "without-source-size-newton": "Across sets, without the source resolution, Gauss-Newton steps",
    "without-source-size-revised": "Across sets, without the source resolution, drawings revised",
}
INTRODUCTION = """\
Nats are bounds on the log-likelihood of a 50 × 50 image, means over images ± standard error. Read them with
this in mind:

* **map** is the published observation model, one learned Laplace scale a pixel; **canvas** computes the
  scale from the drawing. Both are fitted to training images of the model's own set. Only rows of one scale
  compare.
* **With source resolution**: an image that was enlarged from 28 × 28 pixels is compared with the drawing at
  that resolution ([method](method.md) 4.1). The paper's models do not do so. **Without** is the comparison as
  in the paper: pixels as they are, both scales fitted anew to training drawings. Iterative inference was
  learned with the source resolution, which is a little unfair to those rows.
* **The brush** of a drawing (width, ink slope, canvas slope) is a latent variable with a prior, so numbers
  are bounds on log p(x). In the paper it is free: its numbers bound the largest log p(x | brush).
* **Gauss-Newton steps**: after the iterations 24 such steps bring points and brush nearer
  ([method](method.md) 5.3). Nothing is learned for them. With them inference takes three times the time.
* **Revised**: after the iterations strokes are added, replaced and taken away four times, and what has a
  higher bound stays ([method](method.md) 5.2). Nothing is learned for it; it takes five times the time. Four
  particles come from each of five posteriors.
* One seed a row, 500 test images where nothing else is said; the paper has five seeds and all images
  (10,000 to 18,800). Models on their own sets were measured on all images too.
* EMNIST's test images are another selection than the published one, Quick, Draw!'s have nine of the ten
  categories ([data](data.md)): numbers beside the paper's there are of substitutes. EMNIST is upright where
  nothing else is said; the paper's lies on its side.
* Half of the synthetic training images passed through 28 × 28 pixels, and their generator was chosen by test
  numbers of the five sets. Other early choices used 128 or 256 of the 500 test images too, without an effect
  that could be measured; models are decided on by validation images ([experiments](experiments.md)).
* The models of EMNIST, KMNIST, Quick, Draw! and Omniglot begin with the one of synthetic strokes, the paper's
  with nothing.
* AIR's row of Omniglot is published with a Gaussian observation and one sample, unlike its other rows.
* The published model (`model.preset=published`) agrees with golden vectors of the paper's code, but was
  never trained here: no number below is of it.
* Iterations amplify float32 rounding: the bound of an image unlike the training images may change by tens of
  nats between machines ([experiments](experiments.md) 2). Means do not.
* **L1 error** is that of the drawing at the source resolution; drawings as they are lie some 8 farther off on
  MNIST."""


def main() -> None:
    """Writes the pages and their image, and the tables of other pages."""
    docs, results = ROOT / "docs", ROOT / "docs" / "results"
    figures.curve_panels(
        docs / "curves.png",
        {name: curve_lines(name, curve) for name, curve in learning_curves(results).items()},
        "minutes since the run began",
        "nats of validation images (20 particles)",
    )
    (docs / "results.md").write_text(page(results, ROOT / "checkpoints"))
    (docs / "rivals.md").write_text(rivals_page(_read(results / "rivals.json")))
    for file, table in (
        (ROOT / "README.md", tables.readme_table(results)),
        (docs / "generation.md", tables.generation_table(results)),
    ):
        file.write_text(with_table(file.read_text(), table))


def with_table(text: str, table: str) -> str:
    """A page with a table in place of the one of the same first line; ValueError if it has none."""
    lines = text.splitlines()
    start = lines.index(table.splitlines()[0])
    end = next((i for i in range(start, len(lines)) if not lines[i].startswith("|")), len(lines))
    return "\n".join([*lines[:start], table, *lines[end:]]) + "\n"


def page(results: Path, checkpoints: Path) -> str:
    """`docs/results.md`, from a folder of records and a folder of released models."""
    cards = {path.parent.name: _read(path) for path in sorted(checkpoints.glob("*/card.json"))}
    studies = tables.studies(results)
    likelihoods = [_read(path) for path in sorted(results.glob("likelihood-*.json"))]
    parts = [
        "# Results",
        "Written by `python tools/results_page.py` from [`docs/results`](results) and the cards in"
        " [`checkpoints`](../checkpoints). A file of measurements of a released model names the sha256 of its"
        " parameters; a test compares it with the shipped ones.",
        INTRODUCTION,
        "## The models",
        tables.models_table(cards),
        "Nats are of each model's own test set, 20 particles, published map. Minutes are those of the command"
        " alone, on one core that other work shared, for MNIST at idle priority. A model that begins with"
        " another has that one's training behind it.",
        "![Nats of validation images while learning](curves.png)",
        "256 validation images a set, with source resolution, which the paper's numbers are without. The"
        " first measurement above them, in minutes of the run itself:",
        passing_table(learning_curves(results)),
        *seeds_parts(results),
        "## Models on test images of their own sets",
        tables.own_sets_table(likelihoods),
        "From `likelihood-*.json`.",
    ]
    lying = [_read(path) for path in sorted(results.glob("lying-*.json"))]
    if lying:
        parts += [
            "## EMNIST on its side",
            "As published, and as the paper's models saw it (`data.transpose`). Ours learned from upright"
            " images: 500 test images, 40 particles, from `lying-*.json`.",
            tables.lying_table(lying),
        ]
    for title, other in (
        ("What Gauss-Newton steps are worth", "newton"),
        ("What revisions are worth", "revised"),
        ("What the source resolution is worth", "without-source-size"),
        ("What revisions are worth without it", "without-source-size-revised"),
    ):
        if {"", other} <= set(studies):
            parts += [f"## {title}", tables.comparison_table(studies[""], studies[other])]
    if (results / "floors.json").is_file():
        parts += floors_parts(_read(results / "floors.json"), studies.get("without-source-size"))
    for kind, title in TITLES.items():
        parts += study_parts(title, studies[kind]) if kind in studies else []
    return "\n\n".join(parts) + "\n"


def seeds_parts(results: Path) -> list[str]:
    """What the seed changes, of models of which more than one was trained."""
    parts = []
    for path in sorted(results.glob("seeds-*.json")):
        record = _read(path)
        name, released = record["checkpoint"], record["checkpoint_sha256"]
        (best,) = (one["seed"] for one in record["seeds"] if one["checkpoint_sha256"] == released)
        parts += [
            f"## Seeds of the {name} model",
            "The same config but for `--config.training.seed`; commits are those that trained. Seed"
            f" {best} is released ([why](experiments.md#17-what-is-a-seed-worth)). Nats under the map of 500"
            " test images of five sets, 40 particles, with source resolution; L1 on MNIST; the Fréchet ratio"
            " of samples; the fraction of completions of one stroke that keep the image's class."
            " `python tools/seeds.py`.",
            tables.seeds_table(record),
        ]
    return parts


def floors_parts(record: Record, study: tables.Study | None) -> list[str]:
    """Models without strokes, and nats against the number of latent numbers."""
    values = record["values"]
    principal, autoencoder = tables.floor_curves(values)
    beside = ""
    if study and "mnist" in study.values["l1"]:
        strokes = study.values["strokes"]["mnist"]["mnist"]["mean"]
        own = study.values["table"]["map"]["mnist"]["mnist"]["mean"]
        beside = (
            f" The MNIST model has {own:,.0f} nats (without source resolution) with {strokes:.1f} strokes of"
            f" {NUMBERS} numbers, of which four are the brush, about {NUMBERS * strokes:.0f}."
        )
    layers = (
        "The autoencoders have two hidden layers of 512, 30,000 steps, 200 particles: small ones, briefly"
        " trained, so these are floors and no limits of what as few numbers can do."
    )
    return [
        "## Floors: models without strokes",
        "`python benchmarks/floors.py`: principal components with a Gaussian prior and posterior and the same"
        " Laplace map, drawn pixels clipped to 0..1; a bound in closed form, two minutes a set, without"
        " source resolution. The number of components and the posterior's width are chosen on training images"
        " that nothing was fitted to.",
        tables.floors_table(values),
        "**A linear model has more nats than DooD, ours and the paper's, on most sets in domain**: hundreds"
        " of numbers code an enlarged image of 784 pixels almost without loss. Nats alone are no measure of"
        " drawing. What a drawing model wins is few numbers that mean something (places, strokes, their"
        " order), Omniglot, transfer from MNIST to sets that look otherwise, and strokes themselves. From"
        " synthetic strokes it wins on MNIST and Omniglot alone; on the others components have more."
        + beside,
        "![Nats against the number of latent numbers](floors.png)",
        principal,
        *([autoencoder, layers] if autoencoder else []),
        f"A blank image has {values['blank']['mnist']:,.0f} nats under the MNIST model, more than a digit:"
        " blank pixels are certain. Nats weigh images against each other only where they hold as much ink.",
    ]


def study_parts(title: str, study: tables.Study) -> list[str]:
    """What runs of the `transfer` task gave: nats beside published ones, errors and strokes."""
    parts = [f"## {title}"]
    for records in study.alike():
        about = [
            f"[`{name}.json`](results/{name}.json), measured at commit {one['commit']} on {one['device']}:"
            f" {one['step']:,} steps, commit {one['trained_at_commit']}"
            for name, one in records.items()
        ]
        config = resolve(next(iter(records.values()))["config"])
        values = tables.merged(list(records.values()))
        parts += [
            f"{'; '.join(about)}.",
            transfer.markdown(values, config, config.data.image_size).strip(),
            "L1 error of drawings, and strokes drawn, means over particles:",
            tables.errors_table(values),
        ]
    return parts


def rivals_page(record: Record) -> str:
    """`docs/rivals.md`, from the record of `benchmarks/rivals.py`."""
    settings = record["config"]["evaluation"]
    introduction = (
        "Written by `python tools/results_page.py` from what `python benchmarks/rivals.py` measured. All"
        " models learn on MNIST, with the networks and the objective of the `fast` preset, but with the"
        " published prior, a brush that is free, and no source resolution, for the time that DooD, without"
        f" iterative inference, takes for {record['training_steps']['dood']:,} steps: some five minutes, so"
        " this ranks no models ([experiments](experiments.md#20-rivals-in-equal-time)). EMNIST and Quick,"
        " Draw! are substitutes ([data](data.md)). Nats an"
        f" image under the published map, {settings['num_images']} images a set,"
        f" {settings['num_particles']} particles; one seed, ± standard error. Measured at commit"
        f" {record['commit']} on {record['device']}."
    )
    return f"# Rivals and ablations\n\n{introduction}\n\n{tables.rivals_table(record)}\n"


def learning_curves(results: Path) -> dict[str, figures.Line]:
    """Set -> minutes and nats of validation images, of every run whose metrics are in the folder."""
    curves = {}
    for path in sorted(results.glob("metrics-*.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        measured = [line for line in lines if line["kind"] in ("test", "validation")]
        minutes, nats = ([line[key] for line in measured] for key in ("seconds", "log_likelihood"))
        curves[path.stem.removeprefix("metrics-")] = ([second / 60 for second in minutes], nats)
    return curves


def curve_lines(name: str, curve: figures.Line) -> dict[str, figures.Line]:
    """A run's curve, and the paper's number of its set beside it."""
    paper = published.published_log_likelihood("DooD", name, name)
    ends = [curve[0][0], curve[0][-1]]
    return {"this model": curve} | ({} if paper is None else {"the paper's": (ends, [paper, paper])})


def passing_table(curves: dict[str, figures.Line]) -> str:
    """The first measurement of every run in which its nats were above the paper's."""
    rows = []
    for name, (minutes, nats) in curves.items():
        paper = published.published_log_likelihood("DooD", name, name)
        if paper is None:
            continue
        above = [(minute, found) for minute, found in zip(minutes, nats, strict=True) if found > paper]
        minute, found = (f"{value:,.0f}" for value in above[0]) if above else ("–", "–")
        rows.append([name, f"{paper:,.0f}", minute, found])
    return tables.table(["model", "paper", "minute", "nats"], rows)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
