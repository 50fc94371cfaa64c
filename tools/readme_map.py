"""Prints README's map of the package: `python tools/readme_map.py`.

The rooms and their order are `ROWS` of `tests/test_layering.py`, which holds the imports to them; a test
compares the table with README's.
"""

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_WIDTH = 110  # characters of a line of README
ROOMS = {  # room -> what is there
    "errors": "what bad input raises",
    "version": "the version",
    "types": "the records that cross rooms",
    "figures": "arrays to figures",
    "command_line": "what commands share",
    "geometry": "layouts, frames, Bézier curves",
    "rendering": "brushes, canvases, glimpses",
    "distributions": "Gaussians, mixtures, presence, pixel densities",
    "config": "every setting, with its checks and presets",
    "model": "DooD and its parts: guidance, recognition, prior, renderer, iterative inference",
    "objectives": "bound, exact stopping, NVIL, particles",
    "test_time": "revisions, gradient steps on one image",
    "data": "datasets, synthetic strokes, augmentation",
    "runtime": "devices, processes",
    "checkpointing": "checkpoints and released models",
    "inference": "drawing, generating and weighing in batches",
    "training": "loop, step, losses",
    "vectorize": "bitmap to ink",
    "api": "the model a user holds",
    "evaluation": "tasks and metrics",
    "apps": "bitmap to ink, and the page to draw on",
    "demo": "a page to draw on",
    "export": "exports",
    "main": "training and evaluation",
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
    """The map in Markdown, from the ground up; neighbouring layers share a line as long as they fit.

    Raises KeyError for a room without a description.
    """
    lines, filling = ["| in `dood_jax/` | what is there |", "|---|---|"], []
    for layer in layers:
        if filling and len(_line([*filling, *layer])) > _WIDTH:
            lines.append(_line(filling))
            filling = []
        filling += layer
    return "\n".join([*lines, _line(filling)])


def _line(rooms: Sequence[str]) -> str:
    """A line of the table."""
    return f"| {', '.join(f'`{room}`' for room in rooms)} | {'; '.join(ROOMS[room] for room in rooms)} |"


if __name__ == "__main__":
    sys.stdout.write(table(rows()) + "\n")
