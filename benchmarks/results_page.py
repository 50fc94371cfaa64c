"""The page of results, from what evaluations wrote: `python benchmarks/results_page.py`.

Reads `docs/results/*.json`, learning curves and the cards of the released models; writes `docs/results.md`
and `docs/curves.png`. Nothing on the page is typed by hand.
"""

import json
from pathlib import Path
from typing import Any

from dood_jax import figures
from dood_jax.settings.resolving import resolve
from dood_jax.tasks import published, transfer

ROOT = Path(__file__).resolve().parents[1]
MOST_TARGETS = ("mnist", "emnist", "kmnist", "quickdraw", "omniglot")


def main() -> None:
    """Writes the page and its picture."""
    docs = ROOT / "docs"
    figures.curve_panels(
        docs / "curves.png",
        learning_curves(docs / "results"),
        "minutes since the run began",
        "held-out nats (20 particles)",
    )
    (docs / "results.md").write_text(page(docs / "results", ROOT / "checkpoints"))


def page(results: Path, checkpoints: Path) -> str:
    """The page, in Markdown."""
    cards = {
        path.parent.name: json.loads(path.read_text()) for path in sorted(checkpoints.glob("*/card.json"))
    }
    studies = {path.stem: json.loads(path.read_text()) for path in sorted(results.glob("transfer*.json"))}
    parts = [
        "# Results",
        "Written by `python benchmarks/results_page.py` from [`docs/results`](results) and the cards in"
        " [`checkpoints`](../checkpoints).",
        "## The models",
        models_table(cards),
        "Nats are of each model's own test set, published map; minutes are those of the command alone. A"
        " model that begins with another has that one's training behind it.",
        "![Held-out nats while learning](curves.png)",
        "256 held-out pictures a set; each run begins with what the one before it had learned, as"
        " [experiments](experiments.md) tell.",
        "## Models on test pictures of their own sets",
        own_sets_table([json.loads(path.read_text()) for path in sorted(results.glob("likelihood-*.json"))]),
        "From `likelihood-*.json`; that of MNIST stands under `transfer`. EMNIST is upright; on its side as"
        " published.",
    ]
    for name, study in studies.items():
        parts += study_parts(name, study)
    return "\n\n".join(parts) + "\n"


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
        "| model | trained at | grid | pictures | particles | most strokes | map | paper | canvas | strokes"
        " | L1 |",
        "|---" * 11 + "|",
    ]
    for record in records:
        values, asked = record["values"], record["config"]["evaluation"]
        paper = published.log_likelihood("DooD", record["dataset"], record["dataset"])
        nats = [
            f"{values[name]['mean']:,.0f} ± {values[name]['stderr']:.0f}"
            for name in ("log_likelihood_map", "log_likelihood_canvas")
        ]
        rows.append(
            f"| {record['checkpoint']} | {record['trained_at_commit']}"
            f" | {'known' if record['config']['model'].get('native_size') else 'not known'}"
            f" | {asked['num_images']} | {asked['num_particles']} | {asked['num_strokes'] or 6} | {nats[0]}"
            f" | {'–' if paper is None else f'{paper:,.0f}'} | {nats[1]}"
            f" | {values['strokes']:.1f} | {values['l1']:.0f} |"
        )
    return "\n".join(rows)


def study_parts(name: str, study: dict[str, Any]) -> list[str]:
    """What a run of the `transfer` task gave: nats beside published ones, errors and strokes."""
    study["config"]["model"].setdefault("native_size", 0)  # of studies before there was one
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
        f"## {name}",
        f"Measured at commit {study['commit']} on {study['device']}: {steps}.",
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
