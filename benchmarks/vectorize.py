"""How well ink is found, beside what other tools make of the same images.

    python benchmarks/vectorize.py [--only=known,omniglot,quickdraw] [--count=16] [--json=FILE]
        [--image=FILE]

Prints tables of means, and medians of seconds; `ink_sets` says what the images are, `ink_measures` what is
measured, `ink_tools` who the peers are. Needs `pip install .[benchmarks]`, and for Omniglot and Quick, Draw!
their files in DOOD_DATA_DIR. Human pen strokes are used for measuring only.
"""

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import jax
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from absl import app, flags, logging
from ink_measures import measures
from ink_sets import Known, known_set, omniglot_set, quickdraw_set
from ink_tools import MODEL, TOOLS

from dood_jax.checkpointing import restore
from dood_jax.checkpointing.metadata import CARD_FILE, commit
from dood_jax.checkpointing.restore import checksum
from dood_jax.runtime import parallel

_ONLY = flags.DEFINE_list("only", ["known", "omniglot", "quickdraw"], "Sets to measure.")
_COUNT = flags.DEFINE_integer("count", 16, "Known drawings of each source, size and width.")
_CHARACTERS = flags.DEFINE_integer("characters", 2720, "Characters of Omniglot.")
_SKETCHES = flags.DEFINE_integer("sketches", 256, "Sketches of Quick, Draw!")
_JSON = flags.DEFINE_string("json", None, "Where the means are written as JSON.")
_IMAGE = flags.DEFINE_string("image", None, "Where examples are written as PNG.")

COLUMNS = {  # measure -> heading
    "iou": "IoU",
    "chamfer": "Chamfer, %",
    "strokes_found": "found",
    "strokes_ratio": "found / true",
    "strokes_error": "count off by",
    "count_right": "count right",
    "matched": "matched",
    "direction": "direction",
    "order": "order",
    "width_error": "width error",
    "bytes": "SVG bytes",
    "seconds": "seconds",
    "seconds_per_megapixel": "s / megapixel",
}


def measure(known: list[Known]) -> list[dict[str, Any]]:
    """A row for each tool and drawing."""
    rows = []
    for name, tool in TOOLS.items():
        for one in {one.grey.shape: one for one in known}.values():
            tool(one)  # compiles
        for one in known:
            about = {"source": one.source, "condition": one.condition, "size": one.grey.shape[0]}
            about["width"] = round(one.width / one.grey.shape[0], 3)
            rows.append({"tool": name, **about, **measures(one, tool(one))})
    return rows


def means(rows: list[dict[str, Any]], by: str | None = None) -> list[dict[str, Any]]:
    """Means over the drawings that have a measure, for each tool and value of a column."""
    found = []
    for name, value in itertools.product(TOOLS, sorted({row[by] for row in rows}, key=str) if by else [None]):
        chosen = [row for row in rows if row["tool"] == name and (not by or row[by] == value)]
        row: dict[str, Any] = {"tool": name, **({by: value} if by else {}), "n": len(chosen)}
        for key in COLUMNS:
            values = [one[key] for one in chosen if np.isfinite(one.get(key, np.nan))]
            middle = np.median if key.startswith("seconds") else np.mean
            row[key] = float(middle(values)) if values else None
        found.append(row)
    return found


def show(table: list[dict[str, Any]], by: str | None = None) -> None:
    """Prints a table in Markdown."""
    first = ["tool", *([by] if by else [])]
    print("\n| " + " | ".join([*first, *COLUMNS.values()]) + " |")
    print("|---" * (len(first) + len(COLUMNS)) + "|")
    for row in table:
        scaled = {**row, "chamfer": 100 * row["chamfer"] if row["chamfer"] is not None else None}
        cells = ["–" if scaled[key] is None else format(scaled[key], ".3g") for key in COLUMNS]
        print("| " + " | ".join([*(str(row[key]) for key in first), *cells]) + " |")


def image(path: Path, known: list[Known]) -> None:
    """Examples: what was given, and what each tool made of it, strokes in colours."""
    figure, axes = plt.subplots(len(TOOLS) + 1, len(known), squeeze=False)
    figure.set_size_inches(1.5 * len(known), 1.5 * (len(TOOLS) + 1))
    for column, one in enumerate(known):
        high, wide = one.grey.shape
        axes[0, column].imshow(one.grey, cmap="gray", vmin=0, vmax=1, extent=(0, wide, high, 0))
        for row, tool in enumerate(TOOLS.values(), start=1):
            for line in tool(one).strokes:
                axes[row, column].plot(*line.T, lw=1.5)
            axes[row, column].set(xlim=(0, wide), ylim=(high, 0), aspect="equal")
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for row, name in enumerate(["given", *TOOLS]):
        axes[row, 0].set_ylabel(name)
    figure.tight_layout(pad=0.3)
    figure.savefig(path, dpi=90)


def main(_: list[str]) -> None:
    """Prints the tables, and writes means and examples where asked."""
    logging.set_verbosity(logging.WARNING)
    parallel.keep_compiled_programs()
    makers = {
        "known": lambda: known_set(_COUNT.value),
        "omniglot": lambda: omniglot_set(_CHARACTERS.value),
        "quickdraw": lambda: quickdraw_set(_SKETCHES.value),
    }
    tables = {}
    for name in _ONLY.value:
        known = makers[name]()
        rows = measure(known)
        print(f"\n## {name}: {len(known)} drawings")
        for by in (None, "source", "condition", "size", "width") if name == "known" else (None,):
            tables[f"{name} by {by}" if by else name] = table = means(rows, by)
            show(table, by)
        if _IMAGE.value and name == "known":
            image(Path(_IMAGE.value), known[:: max(1, len(known) // 9) + 1][:9])
    if _JSON.value:
        device = f"{jax.devices()[0].platform} ({os.cpu_count()} cores)"
        card = json.loads((restore.find(MODEL) / CARD_FILE).read_text())
        record = {
            "task": "vectorize",
            "checkpoint": MODEL,
            "checkpoint_sha256": checksum(card),
            "commit": commit(),
            "device": device,
            "means": tables,
        }
        Path(_JSON.value).write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
