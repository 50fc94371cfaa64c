"""How well strokes found in images agree with those that people made with a pen.

    python benchmarks/pen.py [--data=FOLDER] [--sets=kanjivg,homus] [--tools=NAMES] [--count=20]
        [--json=FILE]

`FOLDER`, `pen` in DOOD_DATA_DIR if none is given, holds one npz file for each set (`pen_sets`). Every drawing
is an image of 64, 128 and 256 pixels, on a clean and a shaded background in turn. `pen_measures` says what is
measured, `ink_tools` who the peers are. Prints a table for each set; errors are of drawings, resampled by
writer where writers are known. What a file has of other sets and tools stays in it. The strokes of people are
used for measuring only. Needs `pip install .[benchmarks]`.
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
import pen_page
import pen_sets
from pen_measures import rows_of, tables_of

from dood_jax.checkpointing import restore
from dood_jax.checkpointing.metadata import CARD_FILE, commit
from dood_jax.checkpointing.restore import checksum
from dood_jax.data import sources
from dood_jax.runtime import parallel

SETS = ("digilets", "pendigits", "kanjivg", "crohme", "homus", "hanzi", "sheep", pen_sets.OMNIGLOT)
MODELS = {  # of the tools that have one
    "dood_jax": ink_tools.MODEL,
    "synthetic alone": "synthetic",
    "synthetic alone, joined": "synthetic",
    "mnist alone, joined": "mnist",
}
TOOLS = {
    "dood_jax": ink_tools.ours,
    "without votes": ink_tools.without_votes,
    "in reading order": ink_tools.in_reading_order,
    "synthetic alone": functools.partial(ink_tools.model_alone, name="synthetic"),
    "synthetic alone, joined": functools.partial(ink_tools.model_alone, name="synthetic", is_joined=True),
    "mnist alone, joined": functools.partial(ink_tools.model_alone, name="mnist", is_joined=True),
    "skan": ink_tools.skan_branches,
    "sknw": ink_tools.sknw_graph,
    "autotrace": ink_tools.autotrace_centrelines,
}


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
    record = json.loads(options.json.read_text()) if options.json and options.json.is_file() else {}
    for name in options.sets.split(","):
        pens = list(pen_sets.drawings(folder / f"{name}.npz", options.count))
        tables = tables_of(rows_of(pens, tools))
        print(f"\n## {name}\n\n{pen_page.of_tools(tables)}", flush=True)
        record = with_tables(record, name, tables)
        if options.json:
            options.json.write_text(json.dumps(record) + "\n")


def with_tables(record: dict[str, Any], name: str, tables: dict[str, Any]) -> dict[str, Any]:
    """A record with what was measured of tools on a set, and of which models and commit that is."""
    tools = {**record.get("tools", {}), **{tool: {"commit": commit()} for tool in tables}}
    for tool in tables.keys() & MODELS.keys():
        card = json.loads((restore.find(MODELS[tool]) / CARD_FILE).read_text())
        tools[tool] = {**tools[tool], "checkpoint": MODELS[tool], "checkpoint_sha256": checksum(card)}
    in_order = lambda found: {tool: found[tool] for tool in TOOLS if tool in found}
    sets = record.get("sets", {})
    known = [one for one in tools.values() if "checkpoint" in one]
    return {
        "task": "pen",
        **{key: [one[key] for one in known] for key in ("checkpoint", "checkpoint_sha256")},
        "commit": commit(),
        "device": f"{jax.devices()[0].platform} ({os.cpu_count()} cores)",
        "tools": in_order(tools),
        "sets": {**sets, name: in_order({**sets.get(name, {}), **tables})},
    }


if __name__ == "__main__":
    main()
