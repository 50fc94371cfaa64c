"""How well strokes found in images agree with those that people made with a pen.

    python benchmarks/pen.py [--data=FOLDER] [--sets=kanjivg,homus] [--count=20] [--json=FILE]

`FOLDER`, `pen` in DOOD_DATA_DIR if none is given, holds one npz file for each set (`pen_sets`). Every drawing
is an image of 64, 128 and 256 pixels, on a clean and a shaded background in turn. `pen_measures` says what is
measured, `ink_tools` who the peers are. Prints a table for each set; errors are of drawings, resampled by
writer where writers are known. The strokes of people are used for measuring only. Needs
`pip install .[benchmarks]`.
"""

import argparse
import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import ink_tools
import jax
import numpy as np
import pen_page
import pen_sets
from ink_measures import Found
from pen_measures import measures
from pen_sets import Pen

from dood_jax.checkpointing import restore
from dood_jax.checkpointing.metadata import CARD_FILE, commit
from dood_jax.checkpointing.restore import checksum
from dood_jax.data import sources
from dood_jax.errors import BadInput
from dood_jax.runtime import parallel

SETS = ("digilets", "pendigits", "kanjivg", "crohme", "homus", "hanzi", "sheep", pen_sets.OMNIGLOT)
MODELS = (ink_tools.MODEL, "mnist")  # that take part
_ALONE = "alone"  # in the names of tools that draw one character
TOOLS = {
    "dood_jax": ink_tools.ours,
    "without votes": ink_tools.without_votes,
    "synthetic alone": ink_tools.model_alone,
    "synthetic alone, joined": functools.partial(ink_tools.model_alone, is_joined=True),
    "mnist alone, joined": functools.partial(ink_tools.model_alone, name="mnist", is_joined=True),
    "skan": ink_tools.skan_branches,
    "sknw": ink_tools.sknw_graph,
    "autotrace": ink_tools.autotrace_centrelines,
}
MEASURES = (*pen_page.COLUMNS, "seconds")
_RESAMPLED = 200  # times, for the errors
_COUNTS = ((1, "1"), (2, "2"), (5, "3 to 5"), (10**9, "6 and more"))  # most strokes, and what they are called


def rows_of(pens: list[Pen], tools: dict[str, Any]) -> list[dict[str, Any]]:
    """The measures of each tool on each drawing, and what they are of."""
    rows = []
    for pen in pens:
        strokes = next(name for most, name in _COUNTS if len(pen.strokes) <= most)
        about = {"size": pen.side, "background": pen.condition, "strokes": strokes, "writer": pen.writer}
        for name, tool in tools.items():
            if _ALONE in name and pen.source in pen_sets.OF_SEVERAL:
                continue
            try:
                found = tool(pen)
            except BadInput:  # nothing is drawn here, it says
                found = Found([], [], np.zeros_like(pen.ink), 0.0)
            rows.append({"tool": name, **about, **measures(pen, found)})
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the drawings that have a measure, and the errors of the means."""
    values: dict[str, Any] = {"n": len(rows)}
    hands = np.array([row["writer"] for row in rows])
    groups = [np.flatnonzero(hands == hand) for hand in np.unique(hands)] if (hands >= 0).all() else None
    groups = groups if groups and len(groups) > 1 else [np.array([index]) for index in range(len(rows))]
    random = np.random.default_rng(0)
    drawn = [
        np.concatenate([groups[i] for i in random.integers(len(groups), size=len(groups))])
        for _ in range(_RESAMPLED)
    ]
    for key in MEASURES:
        known = np.array([row.get(key, np.nan) for row in rows], float)
        if np.isfinite(known).any():
            middle = np.nanmedian if key == "seconds" else np.nanmean
            again = [middle(known[chosen]) for chosen in drawn if np.isfinite(known[chosen]).any()]
            values[key] = [round(float(middle(known)), 4), round(float(np.std(again)), 4)]
    return values


def tables_of(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By tool: of all drawings, and by size, background and number of strokes."""
    tables: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["tool"] for row in rows):
        own = [row for row in rows if row["tool"] == name]
        tables[name] = {"all": summary(own)}
        for by in ("size", "background", "strokes"):
            for value in sorted({row[by] for row in own}, key=str):
                tables[name][f"{by} {value}"] = summary([row for row in own if row[by] == value])
    return tables


def main() -> None:
    """Prints the tables, and writes them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the folder of the npz files")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--tools", default=";".join(TOOLS), help="names, between semicolons")
    parser.add_argument("--count", type=int, default=20, help="drawings of each set, each at three sizes")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folder = options.data or Path(sources.data_directory(None)) / "pen"
    parallel.keep_compiled_programs()
    commit()  # of what is measured, however long it takes
    tools = {name: TOOLS[name] for name in options.tools.split(";")}
    tables = {}
    for name in options.sets.split(","):
        pens = list(pen_sets.drawings(folder / f"{name}.npz", options.count))
        tables[name] = tables_of(rows_of(pens, tools))
        print(f"\n## {name}\n\n{pen_page.of_tools(tables[name])}", flush=True)
        if options.json:
            options.json.write_text(json.dumps(record_of(tables)) + "\n")


def record_of(tables: dict[str, Any]) -> dict[str, Any]:
    """The tables of all sets, and what they are of."""
    cards = [json.loads((restore.find(name) / CARD_FILE).read_text()) for name in MODELS]
    return {
        "task": "pen",
        "checkpoint": list(MODELS),
        "checkpoint_sha256": [checksum(card) for card in cards],
        "commit": commit(),
        "device": f"{jax.devices()[0].platform} ({os.cpu_count()} cores)",
        "sets": tables,
    }


if __name__ == "__main__":
    main()
