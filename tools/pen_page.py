"""Writes the page on strokes of people, from what `benchmarks/pen.py` and `ink_groups.py` measured.

    python tools/pen_page.py [--write]

Prints the page, or writes `docs/pen.md`; no number in a table is typed by hand. It stands on
`pen.json` and `groups.json` in `docs/results`.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

_HEAD = """# Strokes of people

How well do strokes that are found in an image agree with those that a person made? Written by
`python tools/pen_page.py --write` from [`results/pen.json`](results/pen.json), which
`python benchmarks/pen.py --count={count} --json=docs/results/pen.json` measured ({device}, {commits}).

Each drawing is an image of 64, 128 and 256 pixels, of which it fills 80 %, with a pen of 2 to 5 % (where a
tablet measured pressure, half to one and a half of that along a stroke), on a white and on a shaded
background in turn. In formulas and sketches the pixels are those of one sign. Glyphs of a brush are filled
outlines. These strokes were used for measuring only. Rules were chosen by the first drawings of four sets
and the last ones of the digits, the letters and Omniglot, which are left out; that a box has straight sides
and few turns, after formulas and sketches had been measured
([experiments](experiments.md#26-is-a-box-one-stroke)). The rules for letters were written knowing, from all
drawings of DigiLeTs, which letters the rules of characters get wrong. Errors are those of means, by drawing
writers anew, or images where writers are unknown.

{measures}

Rows: `dood vectorize`; the same rules without the votes of the model; their strokes in reading order (boxes
in rows, from the left in each) instead of the order of writing (crossings that lie near each other are told
apart in the order of the strokes, so they may differ); the released models alone, which draw
the whole character in six strokes of their own (`Model.to_ink`), as they are and joined where they continue
each other (`InkDrawing.joined`); branches of a skeleton (skan, sknw) and autotrace's centre lines, which are
given the better of two thresholds by the true ink. Published figures on CROHME (a DTW of 13.93 for SORT!) are
of other data and scales, and are not compared here."""
_MEASURES = {
    "count right": "the fraction of drawings with as many strokes as the person made",
    "matched": "of the person's strokes, those that a found stroke matches: a mean distance of at most 8 % "
    "of the side after warping (DTW)",
    "order": "of pairs of matched strokes, those in the person's order; 0.5 is chance",
    "direction": "of matched strokes whose ends lie apart, those that run as the person's did; 0.5 is chance",
    "lost": "of the person's strokes, those of which no more than half is found",
    "crossings missed, invented": "of true crossings, those where no found strokes cross; of found ones, "
    "those where no true strokes do",
    "AIoU": "overlap of the ink with the found lines, drawn with the best of five widths (Chen et al., 2022)",
    "LDTW": "mean distance of the whole trajectories after warping, in % of the side, which depends on the "
    "order (Chen et al., 2022)",
    "to segments": "the same from points to segments, free of sampling rates (Mohamed Moussa, Lelore and "
    "Mouchère, 2023)",
}
_TITLES = {
    "pendigits": "Digits of 22 writers (Pen-Based Recognition, UCI)",
    "digilets": "Digits and letters of 39 writers, with pressure (DigiLeTs)",
    "omniglot": "Omniglot's online drawings",
    "kanjivg": "Kana and kanji (KanjiVG)",
    "homus": "Music symbols of 50 writers (HOMUS)",
    "crohme": "Formulas of 75 writers (CROHME 2014 and 2016)",
    "hanzi": "Brush glyphs (Make Me a Hanzi)",
    "sheep": "Sketches of sheep",
}
COLUMNS = {
    "count_right": "count right",
    "strokes_ratio": "found / true",
    "matched": "matched",
    "order": "order",
    "direction": "direction",
    "lost": "lost",
    "undetected": "crossings missed",
    "hallucinated": "invented",
    "aiou": "AIoU",
    "ldtw": "LDTW, %",
    "dtw_segments": "to segments, %",
}
_PERCENT = ("ldtw", "dtw_segments")
_PARTS = ("size 64", "size 128", "size 256", "background clean", "background shading")
_COUNTS = ("strokes 1", "strokes 2", "strokes 3 to 5", "strokes 6 and more")
_OURS, _SIZES = "without votes", 3
_GROUPS = """## Lines, words and characters

`dood vectorize --groups` tells what is written together. [`results/groups.json`](results/groups.json) is by
`python benchmarks/ink_groups.py --count={pages} --json=docs/results/groups.json` (rules alone, commit
{commit}): {pages} pages of each alphabet, half of them shaded, of one to four lines of one to four words of
two to six characters, which do not touch. Found is what has exactly the strokes that it should have; a
stroke that is found in place of two characters spoils both. Words of people are made of single characters
that they wrote, with chosen gaps. In the two scripts the letters of a word are joined, and characters are
not counted."""
_ALPHABETS = {
    "futural": "single-stroke font Futural",
    "rowmans": "single-stroke font Rowmans",
    "scripts": "joined letters, font Scripts",
    "cursive": "joined letters, font Cursive",
    "omniglot": "Omniglot's online drawings",
    "digilets": "digits and letters of 39 writers",
    "pendigits": "digits of 22 writers",
}
_KINDS = ("lines", "words", "characters")


def page(record: dict[str, Any], groups: dict[str, Any]) -> str:
    """The page's text, of what was measured of strokes and of what is written together."""
    sets = record["sets"]
    first = next(iter(next(iter(sets.values())).values()))
    measures = "\n".join(
        ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in _MEASURES.items())]
    )
    count = first["all"]["n"] // _SIZES
    head = _HEAD.format(measures=measures, count=count, device=record["device"], commits=_commits(record))
    parts = [head]
    for name, tables in sets.items():
        parts += [f"## {_TITLES[name]}", of_tools(tables)]
    parts += ["## By size, background and number of strokes", _BY, of_parts(sets)]
    parts += [_GROUPS.format(**groups), of_groups(groups["sets"])]
    return "\n\n".join(parts) + "\n"


def _commits(record: dict[str, Any]) -> str:
    """The commits that tools were measured at, with the tools where they differ."""
    of_commit: dict[str, list[str]] = {}
    for tool, about in record["tools"].items():
        of_commit.setdefault(about["commit"], []).append(tool)
    if len(of_commit) == 1:
        return f"commit {next(iter(of_commit))}"
    return "; ".join(f"{', '.join(tools)}: commit {commit}" for commit, tools in of_commit.items())


_BY = "The rules alone: how often the count is right, and the order."


def of_tools(tables: dict[str, Any]) -> str:
    """A row for each tool, with the error of the mean where it is known to matter."""
    lines = [f"| tool | {' | '.join(COLUMNS.values())} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for tool, parts in tables.items():
        lines.append(f"| {tool} | {' | '.join(cell(parts['all'], key) for key in COLUMNS)} |")
    return "\n".join(lines)


def cell(values: dict[str, Any], key: str) -> str:
    """A mean and its error, or a dash where nothing is known."""
    if key not in values:
        return "–"
    mean, error = (number * (100 if key in _PERCENT else 1) for number in values[key])
    digits = 1 if key in _PERCENT else 2
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


def of_parts(sets: dict[str, Any]) -> str:
    """A row for each set: count right and order in each part of its drawings."""
    columns = [*_PARTS, *_COUNTS]
    heads = [name.removeprefix("background ").removeprefix("size ") for name in columns]
    lines = [f"| set | {' | '.join(heads)} |", "|---" * (len(columns) + 1) + "|"]
    for name, tables in sets.items():
        own = tables[_OURS]
        cells = [_two(own[part]) if part in own else "–" for part in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def of_groups(sets: dict[str, Any]) -> str:
    """A row for each alphabet: the fractions of its lines, words and characters that were found."""
    lines = [f"| pages of | {' | '.join(_KINDS)} |", "|---|---|---|---|"]
    for name, values in sets.items():
        lines.append(f"| {_ALPHABETS[name]} | {' | '.join(cell(values, kind) for kind in _KINDS)} |")
    return "\n".join(lines)


def _two(values: dict[str, Any]) -> str:
    means = (f"{values[key][0]:.2f}" if key in values else "–" for key in ("count_right", "order"))
    return ", ".join(means)


def main() -> None:
    """Prints or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write docs/pen.md")
    arguments = parser.parse_args()
    results = ROOT / "docs" / "results"
    text = page(*(json.loads((results / name).read_text()) for name in ("pen.json", "groups.json")))
    if arguments.write:
        (ROOT / "docs" / "pen.md").write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()
