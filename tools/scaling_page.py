"""The page on scaling: from 1 to 256 chips, and what the study of 25 models costs.

    python tools/scaling_page.py [--write] [--products=0.1] [--traffic=0.5] [--start=5e-6] [--links=0.5]
        [--price_v5e=PRICE] [--price_h100=PRICE] [--price_cores=PRICE]

Prints the page, or writes `docs/scaling.md`; no number in a table is typed by hand. It stands on
`docs/results/scaling.json` (see `benchmarks/scaling_measured.py`), the records of MNIST runs in
`docs/results/metrics-mnist.jsonl` and `seeds-mnist.json`, the traffic in `docs/performance.md`, and the
figures and equations of `scaling_model.py`. Prices are those of one chip, or of two cores, an hour.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import scaling_model as model
from scaling_model import Assumed, Chip, Counted

ROOT = Path(__file__).resolve().parents[1]
COUNTS = [2**power for power in range(9)]
STACKED = [1, 2, 5, 25]
SETS, SEEDS = 5, 5  # of the study
SHAPES = (("h100", 1, SEEDS), ("v5e", 8, 8))  # chips of the study, and seeds whose models divide over them

_HEAD = """\
# Scaling
Written by `python tools/scaling_page.py --write`. **No accelerator was at hand: every time of a chip
below is an estimate** from what a step asks for (counted), published peaks, and assumed fractions of them
(named). Times of two cores and the ratios of the last table are measured.

## What is counted, published and assumed"""

_FORMULAS = """\
A step of m stacked models, b images each, on one chip, nothing overlapped:

t(b, m) = products · start + m · (2 · multiply-adds(b) / fraction / peak + bytes(b) / fraction / width) (1)

and over n chips, with G the bytes averaged,

t(b / n, 1) + 2 (n − 1) / n · G / fraction / link + hops · hop (2)

Where two kinds of links lie between chips, (2) is taken twice: within eight GPUs, then an eighth of G
between such groups. Hops are 2 log n in a tree, or 2 (r + c − 2) along the sides of an r × c torus. Bytes
are what the CPU's compiled program reads and writes; another compiler fuses otherwise. The gradient is
taken to go as one message, after the backward pass. So the tables tell orders of magnitude; a run's
`images_per_second` in `metrics.jsonl` tells what is true, and what is assumed can be given by flags."""

_MANY = """\
Models side by side (`training.num_models`, and `data.names` for several sets) are split whole over
devices and never speak to each other: twice the chips are twice the models, at the same step time.
Their number has to divide over the chips. Several on one chip share the starts of their operations:"""

_SIMULATED = """\
## Splitting, on one machine
Forced CPU devices, and processes that meet on the loopback, share the same cores: **these ratios show what
splitting costs, not what it gains.** A tiny model (two strokes on 20 × 20 pixels, {batch} images), compiled
without optimisation; medians of forms in turns within one process. A ratio above 1 is faster than the first
column. {about}; `python benchmarks/scaling_measured.py`."""


def main() -> None:
    """Prints or writes the page."""
    arguments = parsed()
    assumed = model.Assumed(arguments.products, arguments.traffic, arguments.start, arguments.links)
    prices = {name: getattr(arguments, f"price_{name}") for name in (*model.CHIPS, "cores")}
    text = page(ROOT / "docs" / "results", assumed, prices)
    if arguments.write:
        (ROOT / "docs" / "scaling.md").write_text(text)
    else:
        sys.stdout.write(text)


def parsed() -> argparse.Namespace:
    """The flags; what makes no sense is refused in one line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--write", action="store_true", help="write docs/scaling.md")
    for name, value in model.Assumed()._asdict().items():
        parser.add_argument(f"--{name}", type=float, default=value, help="assumed; see scaling_model.py")
    for name in (*model.CHIPS, "cores"):
        parser.add_argument(f"--price_{name}", type=float, help="an hour")
    arguments = parser.parse_args()
    for name in model.Assumed._fields:
        value = getattr(arguments, name)
        if not 0 < value <= 1:
            parser.exit(2, f"scaling_page.py: --{name}={value}; give a number above 0, at most 1\n")
    return arguments


def page(results: Path, assumed: Assumed, prices: dict[str, float | None]) -> str:
    """The page, in Markdown."""
    measured = json.loads((results / "scaling.json").read_text())
    seeds = json.loads((results / "seeds-mnist.json").read_text())["seeds"]
    run = {
        "step": json.loads((results / "metrics-mnist.jsonl").read_text().splitlines()[-1])["step"],
        "seconds": 60 * min(seed["minutes"] for seed in seeds),  # the others had less of their core
    }
    counted = Counted(**measured["counted"], traffic=traffic((results.parent / "performance.md").read_text()))
    parts = [_HEAD, counted_table(counted), published_text(), assumed_table(assumed), _FORMULAS]
    parts.append(cores_text(run, counted.batch_size))
    for chip in model.CHIPS.values():
        parts += [f"## {chip.name}", "\n".join(scaling_table(counted, chip, assumed))]
        parts += [
            paying_text(counted, chip, assumed),
            "If one assumption is other, a step of 64 on one chip:",
        ]
        parts += ["\n".join(sensitivity_table(counted, chip, assumed))]
    parts += ["## Data-parallel or many models", _MANY, "\n".join(stacking_table(counted, assumed))]
    parts += [study_text(run), "\n".join(study_table(counted, assumed, run, prices))]
    about = f"Measured on {measured['device']}, jax {measured['jax']}, beside other work"
    parts += [_SIMULATED.format(batch=measured["simulated_batch"], about=about)]
    return "\n\n".join([*parts, "\n".join(simulated_table(measured["simulated"]))]) + "\n"


def traffic(performance: str) -> float:
    """Bytes of a step's reads and writes, as `budget.py` found and the page on performance tells."""
    found = re.search(r"operations read and write ([\d.]+) GiB", performance)
    if found is None:
        raise ValueError("docs/performance.md does not say what operations read and write; see budget.py")
    return float(found[1]) * 2**30


def counted_table(counted: Counted) -> str:
    """What a step asks for."""
    rows = [
        ("images", f"{counted.batch_size}"),
        ("multiply-adds in products", f"{counted.multiply_adds / 1e9:.2f} G"),
        ("products, one after the other", f"{counted.products:,}"),
        ("bytes read and written ([Performance](performance.md))", f"{counted.traffic / 1e9:.2f} GB"),
        ("of them the optimiser's, whatever the batch", f"{counted.optimizer_traffic / 1e9:.3f} GB"),
        ("parameters", f"{counted.parameters:,}"),
        ("averaged over devices", f"{counted.reduced / 1e6:.2f} MB"),
    ]
    table = ["| a training step of the default model, counted | |", "|---|---|"]
    return "\n".join([*table, *(f"| {name} | {value} |" for name, value in rows)])


def published_text() -> str:
    """Where the peaks stand."""
    return "\n".join(f"* {chip.name}: {chip.source}." for chip in model.CHIPS.values())


def assumed_table(assumed: Assumed) -> str:
    """What is assumed."""
    rows = [
        ("fraction of the peak that these products reach", f"{assumed.products:.0%}"),
        ("fraction of the memory's bandwidth", f"{assumed.traffic:.0%}"),
        ("fraction of the links' bandwidth", f"{assumed.links:.0%}"),
        ("start of a product and of what is fused around it", f"{1e6 * assumed.start:.0f} µs"),
    ]
    for chip in model.CHIPS.values():
        hop = ", ".join(f"{1e6 * links.hop:.0f} µs up to {links.most} chips" for links in chip.links)
        rows.append((f"a hop, {chip.name}", hop))
    return "\n".join(["| assumed | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def scaling_table(counted: Counted, chip: Chip, assumed: Assumed) -> list[str]:
    """All chip counts: the batch split, the batch grown, and a model a chip."""
    rows = [
        "| chips | all-reduce: MB sent a chip | ms | batch of 64 split: ms | efficiency | 64 a chip: ms"
        " | images/s | input MB/s a chip | efficiency | a model a chip: ms | images/s |",
        "|---" * 11 + "|",
    ]
    for chips in COUNTS:
        grown = model.data_parallel(counted, chip, assumed, chips, chips * counted.batch_size)
        models = model.many_models(counted, chip, assumed, chips, 1)
        split = "– | –"
        if counted.batch_size % chips == 0:
            row = model.data_parallel(counted, chip, assumed, chips, counted.batch_size)
            split = f"{1e3 * row['seconds']:.2f} | {row['efficiency']:.0%}"
        rows.append(
            f"| {chips} | {grown['sent'] / 1e6:.1f} | {1e3 * grown['reduce']:.3f} | {split}"
            f" | {1e3 * grown['seconds']:.2f} | {grown['images']:,.0f} | {grown['input'] / 1e6:.1f}"
            f" | {grown['efficiency']:.0%} | {1e3 * models['seconds']:.2f} | {models['images']:,.0f} |"
        )
    return rows


def paying_text(counted: Counted, chip: Chip, assumed: Assumed) -> str:
    """Where it stops paying, at half of a chip's speed alone."""
    whole = [chips for chips in COUNTS if counted.batch_size % chips == 0]
    split = [model.data_parallel(counted, chip, assumed, chips, counted.batch_size) for chips in whole]
    grown = [
        model.data_parallel(counted, chip, assumed, chips, chips * counted.batch_size) for chips in COUNTS
    ]
    best = min(split, key=lambda row: row["seconds"])
    gain = split[0]["seconds"] / best["seconds"]
    return (
        f"Splitting a batch of {counted.batch_size} keeps at least half of each chip's speed up to"
        f" {model.last_that_pays(split)} chips. It is quickest on {best['chips']}, {gain:.1f} times one chip."
        f" With {counted.batch_size} images a chip half is kept up to {model.last_that_pays(grown)}, of"
        " images a second; whether larger batches need fewer steps was not measured."
        f" Images lie in the chip's memory from the start, so that the input crosses no link."
    )


def cores_text(run: dict[str, Any], batch_size: int) -> str:
    """What the same step has been seen to do."""
    rate = run["step"] * batch_size / run["seconds"]
    return (
        f"Measured beside these estimates: one of two shared cores made {rate:,.0f} images a second over the"
        " fastest recorded MNIST run, evaluations included; there products alone would take a quarter of the"
        " step at the rate of one large product ([Performance](performance.md)): a chip is assumed to"
        " do worse."
    )


def sensitivity_table(counted: Counted, chip: Chip, assumed: Assumed) -> list[str]:
    """The estimate for one chip with each assumption halved and doubled."""
    time = lambda other: 1e3 * model.chip_seconds(counted, chip, other, counted.batch_size)
    rows = ["| | half | as assumed, ms | twice |", "|---|---|---|---|"]
    for name, label in (
        ("products", "fraction of the peak"),
        ("traffic", "of the bandwidth"),
        ("start", "start"),
    ):
        half, twice = (assumed._replace(**{name: factor * getattr(assumed, name)}) for factor in (0.5, 2))
        rows.append(f"| {label} | {time(half):.1f} | {time(assumed):.1f} | {time(twice):.1f} |")
    return rows


def stacking_table(counted: Counted, assumed: Assumed) -> list[str]:
    """More and more models on one chip."""
    chips = model.CHIPS.values()
    head = " | ".join(f"{chip.name}: ms | images/s | against one alone" for chip in chips)
    rows = [f"| models on one chip | {head} |", "|---" * (1 + 3 * len(chips)) + "|"]
    for models in STACKED:
        cells = []
        for chip in chips:
            row = model.many_models(counted, chip, assumed, 1, models)
            cells.append(f"{1e3 * row['seconds']:.1f} | {row['images']:,.0f} | {row['efficiency']:.1f}")
        rows.append(f"| {models} | " + " | ".join(cells) + " |")
    return rows


def study_text(run: dict[str, Any]) -> str:
    """What the study is."""
    return (
        f"## The study of {SETS * SEEDS} models\nFive sets, five seeds, each trained like the fastest"
        f" recorded MNIST run: {run['step']:,} steps, {run['seconds'] / 3600:.2f} hours on one of two"
        " shared cores with its evaluations (measured). Chips: training steps alone (estimated), no"
        " evaluation, no compilation, no waiting for machines. Costs are hours × chips × the price of a chip"
        " an hour, which flags give. 25 models do not divide over 8 chips and would be refused: there one"
        " program takes eight seeds, so five models a chip, or a queue gives each chip one at a time."
    )


def study_table(
    counted: Counted, assumed: Assumed, run: dict[str, Any], prices: dict[str, float | None]
) -> list[str]:
    """Hours and costs, wherever the study runs."""
    rows = ["| on | how | | hours | cost |", "|---" * 5 + "|"]
    steps, hours = run["step"], SETS * SEEDS * run["seconds"] / 3600
    paid = cost(hours, 1, prices["cores"])
    rows.append(f"| 1 core | one after the other | measured, times 25 | {hours:.1f} | {paid} |")
    for name, chips, seeds in SHAPES:
        chip = model.CHIPS[name]
        ways = {
            "one at a time on a chip": (SETS * SEEDS, False),
            f"{SETS * seeds} models in one program": (SETS * seeds, True),
        }
        for how, (models, stacked) in ways.items():
            seconds = model.study_seconds(counted, chip, assumed, steps, models, chips, stacked)
            paid = cost(seconds / 3600, chips, prices[name])
            rows.append(f"| {chips} × {chip.name} | {how} | estimated | {seconds / 3600:.2f} | {paid} |")
    return rows


def cost(hours: float, chips: int, price: float | None) -> str:
    """Hours x chips x price, or the formula where there is no price."""
    return f"{hours * chips:.2f} × price" if price is None else f"{hours * chips * price:,.2f}"


def simulated_table(simulated: dict[str, dict[str, float]]) -> list[str]:
    """Ratios within one run."""
    counts = sorted({int(count) for found in simulated.values() for count in found})
    rows = ["| | " + " | ".join(map(str, counts)) + " |", "|---" * (1 + len(counts)) + "|"]
    for name, found in simulated.items():
        ratio = lambda count, found=found: f"{found['1'] / found[count]:.2f}" if count in found else "–"
        rows.append(f"| {name} | " + " | ".join(ratio(str(count)) for count in counts) + " |")
    return rows


if __name__ == "__main__":
    main()
