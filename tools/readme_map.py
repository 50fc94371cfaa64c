"""Prints README's map of the package: `python tools/readme_map.py`.

The rooms and their order are `ROWS` of `tests/test_layering.py`, which holds the imports to them; a test
compares the table with README's.
"""

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {  # room -> what is there
    "errors": "errors for bad input",
    "version": "the version",
    "types": "the records that cross rooms",
    "figures": "arrays to figures",
    "command_line": "what all commands share",
    "geometry": "layouts, frames, Bézier curves",
    "rendering": "brushes, canvases, glimpses, source resolution",
    "distributions": "Gaussians, mixtures, presence, pixel densities",
    "config": "every setting, with its checks and presets",
    "networks": "encoders, heads, recurrent cells",
    "model": "DooD and its parts: guidance, recognition, prior, renderer, iterative inference; AIR, VAE",
    "objectives": "the bound, exact stopping, NVIL, the K-particle bound",
    "test_time": "gradient steps on the strokes or the posterior of one image",
    "data": "datasets, synthetic strokes, augmentation",
    "runtime": "devices, processes, signals, logs",
    "checkpointing": "checkpoints and released models",
    "inference": "infer, generate, weigh; in batches",
    "training": "the loop, the step, the losses",
    "vectorize": "bitmap to ink",
    "api": "the model a user holds",
    "evaluation": "the tasks of `--mode=evaluate` and their metrics",
    "apps": "bitmap to ink, and the page to draw on",
    "demo": "the page to draw on",
    "main": "`python -m dood_jax.main`",
    "cli": "the command `dood`",
}


def rows() -> Sequence[Sequence[str]]:
    """`ROWS` of tests/test_layering.py: tuples of rooms, from the ground up."""
    tree = ast.parse((ROOT / "tests" / "test_layering.py").read_text())
    values = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["ROWS"]
    ]
    return ast.literal_eval(values[0])


def table(layers: Sequence[Sequence[str]]) -> str:
    """The map in Markdown: a line for each layer, from the ground up. Raises KeyError for an unknown room."""
    lines = [
        f"| {', '.join(f'`{room}`' for room in rooms)} | {'; '.join(ROOMS[room] for room in rooms)} |"
        for rooms in layers
    ]
    return "\n".join(["| in `dood_jax/` | what is there |", "|---|---|", *lines])


if __name__ == "__main__":
    sys.stdout.write(table(rows()) + "\n")
