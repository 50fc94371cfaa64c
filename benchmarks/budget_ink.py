"""Where the time of `vectorize` goes: processor time of every stage, for three pictures that are drawn here.

    python benchmarks/budget_ink.py [--repeats=3]

Prints milliseconds of all threads, of the quickest of some runs: of a drawing of 256 pixels, a dense page of
1024, and an A4 sheet at 300 dpi. A stage does not count the stages inside it.
"""

import contextlib
import functools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from absl import app, flags
from PIL import Image, ImageDraw

from dood_jax import api
from dood_jax.vectorize import (
    areas,
    batch,
    colours,
    corners,
    crossings,
    curves,
    forks,
    graph,
    levels,
    model_votes,
    order,
    page,
    paper,
    reading,
    retraced,
    ruled,
    tracing,
)

_REPEATS = flags.DEFINE_integer("repeats", 3, "Runs of each picture, after one that is not measured.")

STAGES = {  # label -> functions, where they are called
    "reading": [(reading, "_scan")],
    "paper": [(paper, "find_paper")],
    "rules": [(ruled, "find_rules"), (ruled, "without_rules")],
    "levels of ink": [(levels, "full_contrast")],
    "rest of ink": [(page, "remove_background")],
    "marks": [(tracing, "find_marks"), (tracing, "marks_of")],
    "areas": [(areas, "split")],
    "model": [(model_votes, "draw_windows")],
    "graph": [(graph, "trace")],
    "forks": [(forks, "repair"), (retraced, "draw_twice")],
    "crossings": [(crossings, "join")],
    "corners": [(corners, "lift")],
    "votes": [(model_votes, "crossing_votes")],
    "curves": [(tracing, "_lines"), (tracing, "_strokes")],
    "fitting": [(tracing, "fit_lines")],
    "ink that is left": [(tracing, "residual_ink")],
    "order": [(order, "in_order")],
    "colours": [(colours, "coloured")],
    "writing": [(batch, "_write"), (batch._Work, "_encode")],
    "rest": [(batch, "export")],
}


def pictures() -> dict[str, np.ndarray]:
    """uint8 [H, W, 3] pictures by their names: curves of blue ink on paper."""
    random = np.random.default_rng(0)
    return {
        "drawing 256": drawn(random, (256, 256), 6, 60.0, 6),
        "page 1024": drawn(random, (1024, 1024), 300, 45.0, 4),
        "A4 2480 x 3508": drawn(random, (2480, 3508), 700, 60.0, 7),
    }


def drawn(
    random: np.random.Generator, size: tuple[int, int], count: int, reach: float, pen: int
) -> np.ndarray:
    """Random cubics about `reach` pixels long on [width, height] of `size`."""
    image = Image.new("RGB", (2 * size[0], 2 * size[1]), "white")
    draw = ImageDraw.Draw(image)
    weights = curves.bernstein(np.linspace(0, 1, 60))
    for middle in random.uniform(0.06, 0.94, (count, 2)) * size:
        control_points = (middle + random.normal(0, reach, (4, 2))).clip(pen, np.array(size) - pen)
        run = [(x, y) for x, y in 2 * weights @ control_points]
        draw.line(run, fill=(20, 30, 120), width=2 * pen, joint="curve")
    return np.asarray(image.resize(size, Image.Resampling.BOX))


@contextlib.contextmanager
def measured() -> Iterator[Counter]:
    """Counts seconds of processor time by stage, each without the stages inside it."""
    seconds: Counter = Counter()
    inside = [0.0]

    def timed(function: Any, label: str) -> Any:
        @functools.wraps(function)
        def run(*arguments: Any, **options: Any) -> Any:
            started = time.process_time()
            inside.append(0.0)
            try:
                return function(*arguments, **options)
            finally:
                spent = time.process_time() - started
                seconds[label] += spent - inside.pop()
                inside[-1] += spent

        return run

    kept = [(home, name, getattr(home, name)) for places in STAGES.values() for home, name in places]
    for label, places in STAGES.items():
        for home, name in places:
            setattr(home, name, timed(getattr(home, name), label))
    try:
        yield seconds
    finally:
        for home, name, function in kept:
            setattr(home, name, function)


def stages_of(model: api.Model, image: np.ndarray, repeats: int) -> Counter:
    """Seconds by stage of the quickest of some runs of the whole export of an image."""
    found = []
    options = batch.Options(("svg",), overwrite=True, quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.png")
        Image.fromarray(image).save(path)
        for _ in range(repeats + 1):
            with measured() as seconds:
                batch.export(model.vectorize, batch.gather([str(path)]), options, Path(folder))
            found.append(seconds)
    return min(found[1:], key=lambda seconds: seconds.total())


def main(_: list[str]) -> None:
    """Prints the table."""
    model = api.load("synthetic")
    columns = {name: stages_of(model, image, _REPEATS.value) for name, image in pictures().items()}
    print(f"{'ms of all threads':18}" + "".join(f"{name:>16}" for name in columns))
    for label in STAGES:
        print(f"{label:18}" + "".join(f"{1e3 * seconds[label]:16.1f}" for seconds in columns.values()))
    print(f"{'all':18}" + "".join(f"{1e3 * seconds.total():16.1f}" for seconds in columns.values()))


if __name__ == "__main__":
    app.run(main)
