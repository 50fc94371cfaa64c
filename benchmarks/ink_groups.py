"""How often the lines, words and characters of a page are found, each with exactly its strokes.

    python benchmarks/ink_groups.py [--count=20] [--json=FILE]

Pages are made of characters whose strokes are known: of four single-stroke fonts of `hershey-fonts`, of
Omniglot's online drawings, and of the digits and letters of people in the folder `pen` of DOOD_DATA_DIR, a
page of one writer each. A page has one to four lines of one to four words of two to six characters. It is
drawn with Pillow, half of the pages on a shaded background, and vectorised by rules alone. A found stroke
belongs to the character that is nearest to most of it. In scripts, where the letters of a word are joined,
characters are left out. Constants of `vectorize/groups.py` were chosen on other pages of these fonts and of
Omniglot. Needs `pip install .[benchmarks]`.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

import ink_sets
import numpy as np
from scipy.spatial import cKDTree

from dood_jax.checkpointing.metadata import commit
from dood_jax.data import omniglot, sources
from dood_jax.vectorize import page, tracing
from dood_jax.vectorize.drawing import InkDrawing

FONTS, SCRIPTS = ("futural", "rowmans"), ("scripts", "cursive")
PEOPLE = ("digilets", "pendigits")
KINDS = ("lines", "words", "characters")
_HEIGHT, _PEN, _MARGIN = 40.0, 3.0, 12.0  # pixels: of a capital, of the pen, around the page
_LETTER_GAPS, _WORD_GAPS = (0.1, 0.35), (0.6, 1.0)  # in heights, between characters of people
_PITCH = (1.5, 2.2)  # heights from line to line
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

Character = tuple[list[np.ndarray], float, float]  # strokes, left edge and width, in heights
Alphabet = Callable[[np.random.Generator], Callable[[], Character]]  # for a page, draws characters


class Page(NamedTuple):
    """A page of text, in pixels."""

    strokes: list[np.ndarray]
    groups: np.ndarray  # [N, 3] numbers of the line, the word and the character of each stroke


def written(random: np.random.Generator, draw: Callable[[], Character], gaps: tuple, spaces: tuple) -> Page:
    """A page of random words of characters that `draw` gives."""
    strokes, groups = [], []
    pitch, word, character = random.uniform(*_PITCH), 0, 0
    for line in range(random.integers(1, 5)):
        x = random.uniform(0, 1)
        for _ in range(random.integers(1, 5)):
            for _ in range(random.integers(2, 7)):
                shapes, left, width = draw()
                strokes += [(shape + np.array([x - left, line * pitch])) * _HEIGHT for shape in shapes]
                groups += [(line, word, character)] * len(shapes)
                x += width + random.uniform(*gaps)
                character += 1
            x += random.uniform(*spaces)
            word += 1
    return Page(strokes, np.array(groups))


def font(name: str) -> Alphabet:
    """Letters of a font with the widths that it gives them, which hold their gaps."""
    from HersheyFonts import HersheyFonts  # noqa: PLC0415 (of the extra `benchmarks`)

    face = HersheyFonts()
    face.load_default_font(name)
    unit = max(np.ptp(np.array(line)[:, 1]) for line in face.strokes_for_text("I"))
    starts = lambda text: np.array(list(face.strokes_for_text(text))[-1], float)[:, 0].min()

    def of_page(random: np.random.Generator) -> Callable[[], Character]:
        wide = random.uniform(1, 1.25)

        def draw() -> Character:
            letter = random.choice(list(_LETTERS))
            lines = [np.array(line, float) / unit for line in face.strokes_for_text(letter)]
            advance = (starts(letter + "l") - starts("l")) / unit * wide
            return ink_sets.visible(lines), 0.0, advance

        return draw

    return of_page


def people(drawings: Sequence[list[np.ndarray]], writers: np.ndarray) -> Alphabet:
    """Characters of one hand a page; drawings are in heights, and stand on one line."""

    def of_page(random: np.random.Generator) -> Callable[[], Character]:
        own = np.flatnonzero(writers == random.choice(np.unique(writers)))

        def draw() -> Character:
            shapes = drawings[random.choice(own)]
            x = np.concatenate(shapes)[:, 0]
            return shapes, x.min(), np.ptp(x)

        return draw

    return of_page


def alphabets() -> dict[str, tuple[Alphabet, tuple, tuple]]:
    """By name: characters, gaps between them, and between words."""
    in_font = ((0.0, 0.0), (0.6, 1.0))
    found: dict[str, tuple[Alphabet, tuple, tuple]] = {
        name: (font(name), *in_font) for name in FONTS + SCRIPTS
    }
    human = omniglot.human_strokes(sources.data_directory(None))
    unit = 0.6 * omniglot.SIZE  # pixels of a tall character
    drawn = [[line / unit for line in human.strokes_of(i)] for i in range(len(human.train_row))]
    found["omniglot"] = (people(drawn, np.arange(len(drawn)) // 400), _LETTER_GAPS, _WORD_GAPS)
    for name in PEOPLE:
        with np.load(Path(sources.data_directory(None)) / "pen" / f"{name}.npz", allow_pickle=False) as file:
            arrays = dict(file)
        drawn, tall = [], []
        for first, last in itertools.pairwise(arrays["drawing_start"]):
            bounds = arrays["stroke_start"][first : last + 1]
            drawn.append([np.float64(arrays["xy"][a:b]) for a, b in itertools.pairwise(bounds)])
            tall.append(np.ptp(np.concatenate(drawn[-1])[:, 1]))
        unit = np.percentile(tall, 75)
        scaled = [[line / unit for line in lines] for lines in drawn]
        found[name] = (people(scaled, arrays["writer"]), _LETTER_GAPS, _WORD_GAPS)
    return found


def shares(text: Page, is_shaded: bool, random: np.random.Generator) -> np.ndarray:
    """[3] of the lines, words and characters of a page, those found with exactly their strokes."""
    low = np.concatenate(text.strokes).min(0) - _MARGIN
    lines = [np.repeat(line, 2, 0) if len(line) == 1 else line for line in text.strokes]
    lines = [line - low for line in lines]
    wide, high = np.ceil(np.concatenate(lines).max(0) + _MARGIN).astype(int)
    ink = ink_sets.draw(lines, [_PEN] * len(lines), (high, wide))
    grey = ink_sets.as_seen(ink, "shading" if is_shaded else "clean", random)
    strokes, _ = tracing.strokes_of(page.remove_background(grey), None, 0)
    grouped = InkDrawing(tuple(strokes), wide, high).grouped().strokes
    points = [ink_sets.dense(line, 1.0) for line in lines]
    nearest = cKDTree(np.concatenate(points))
    owner = np.repeat(text.groups[:, 2], list(map(len, points)))
    true = [np.bincount(owner[nearest.query(one.points())[1]]).argmax() for one in grouped]
    above = {int(row[2]): row for row in text.groups}
    of_true = np.array([above[int(character)] for character in true])
    of_found = np.array([one.place for one in grouped])
    return np.array([_exact(of_found[:, i], of_true[:, i], text.groups[:, i]) for i in range(3)])


def _exact(found: np.ndarray, true: np.ndarray, wanted: np.ndarray) -> float:
    """Of the wanted groups, those with the very strokes of one found group."""
    groups = {frozenset(np.flatnonzero(found == label)) for label in np.unique(found)}
    return float(np.mean([frozenset(np.flatnonzero(true == label)) in groups for label in np.unique(wanted)]))


def main() -> None:
    """Prints a row for each alphabet, and writes them as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20, help="pages of each alphabet")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    commit()  # of what is measured, however long it takes
    rows: dict[str, Any] = {}
    for place, (name, (alphabet, gaps, spaces)) in enumerate(alphabets().items()):
        found = []
        for index in range(options.count):
            random = np.random.default_rng([place, index, 1])
            page_of_text = written(random, alphabet(random), gaps, spaces)
            found.append(shares(page_of_text, bool(index % 2), random))
        kinds = KINDS[:2] if name in SCRIPTS else KINDS
        errors = np.std(found, axis=0) / len(found) ** 0.5
        values = zip(np.mean(found, axis=0), errors, strict=True)
        rows[name] = {
            kind: [round(float(x), 4) for x in pair] for kind, pair in zip(kinds, values, strict=False)
        }
        print(name, rows[name], flush=True)
    if options.json:
        record = {
            "task": "groups",
            "checkpoint": [],
            "commit": commit(),
            "pages": options.count,
            "sets": rows,
        }
        options.json.write_text(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
