"""Random compositions of what breaks tracers: how many crossings, dots, pens and framed pages come out right.

    python benchmarks/ink_kinds.py [--count=400] [--seed=100] [--json]

Each composition has a pen of 2, 3, 5 or 8 pixels, at one of two scales, and lies on a bare page, in a frame,
beside dark edges or in a vignette. It holds crossings of 30, 20 or 10 degrees, dots, or lines of two pens.
Strokes are found by rules alone, without a model.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parents[1] / place) for place in (".", "tests/vectorize")]

import numpy as np
from known_strokes import MATCHED, dense, ink_of, matched
from scipy.spatial import cKDTree

from dood_jax.errors import BadInput
from dood_jax.vectorize import page, tracing
from dood_jax.vectorize.curves import InkStroke

PENS, ANGLES, SCALES = (2, 3, 5, 8), (30, 20, 10), (1.0, 1.5)
SURROUNDINGS = ("none", "frame", "edge", "vignette")
PARTS = ("crossings", "crossings", "crossings", "dots", "two pens")  # take turns
_LEAST_DOT = 2.0  # pixels: the ink of a smaller one may fill no pixel
_BORDER = 24  # pixels between the strokes and the edges of the page
_SAME_LINE = 0.4  # of the pen: a stroke that goes over to the other line of a crossing is farther from both
_SAME_WIDTH = 0.2  # relative error of a width that is right
_COVERED = 0.9  # of the points of a line that is found are near what is found
_WIDEST = 3.0  # of the widest pen: what is wider is a blob

Part = list[tuple[np.ndarray, float]]  # strokes, [n, 2] each, and their widths


class Composition(NamedTuple):
    """A page with known strokes."""

    grey: np.ndarray  # float32 [H, W]
    strokes: list[np.ndarray]  # [n, 2] each
    widths: list[float]  # of the strokes
    kind: str  # one of PARTS
    angle: int  # of its crossings, in degrees; each is two strokes that follow each other
    surroundings: str  # one of SURROUNDINGS


class Rate(NamedTuple):
    """How many instances came out right."""

    right: int
    total: int

    @property
    def share(self) -> float:
        """The part that is right, 0..1."""
        return self.right / self.total


def rates(count: int, seed: int) -> dict[str, Rate]:
    """The rate of each kind, over `count` random compositions."""
    results: dict[str, list[bool]] = {}
    for index in range(count):
        for name, right in judge(compose(index, seed)).items():
            results.setdefault(name, []).extend(right)
    return {name: Rate(int(sum(right)), len(right)) for name, right in sorted(results.items())}


def compose(index: int, seed: int) -> Composition:
    """The composition of an index: what it holds takes turns, the rest is random."""
    rng = np.random.default_rng([seed, index])
    kind, angle = PARTS[index % len(PARTS)], ANGLES[index % len(ANGLES)]
    pen = PENS[index % len(PENS)] * float(rng.choice(SCALES))
    if kind == "crossings":
        parts = [crossing(pen, angle, rng) for _ in range(2)]
    else:
        parts = [dots(pen, rng) if kind == "dots" else two_pens(pen, rng)]
    strokes, widths, size = _side_by_side(parts)
    ink = np.maximum.reduce([ink_of([one], width, size) for one, width in zip(strokes, widths, strict=True)])
    surroundings = str(rng.choice(SURROUNDINGS))
    grey = rng.uniform(0.9, 1) - rng.uniform(0.6, 0.85) * ink
    grey = surrounded(grey, surroundings, rng) + rng.normal(0, 0.01, size)
    return Composition(grey.clip(0, 1).astype(np.float32), strokes, widths, kind, angle, surroundings)


def crossing(pen: float, angle: float, rng: np.random.Generator) -> Part:
    """Two lines that cross at an angle, bent together a little; their ink parts on either side."""
    half = np.deg2rad(angle / 2)
    shared = pen / (2 * np.sin(half))  # distance from the crossing up to which the lines' ink touches
    turn, bend = rng.uniform(0, np.pi), rng.uniform(-0.1, 0.1) / max(3 * shared, 10 * pen)
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    lines = []
    for direction in (-half, half):
        back, ahead = np.maximum(rng.uniform(2.2, 3.2, 2) * shared, 10 * pen)
        at = np.linspace(-back, ahead, 60)
        x, y = at * np.cos(direction), at * np.sin(direction)
        lines.append(np.stack([x, y + bend * x**2], axis=1) @ turned)
    return [(line, pen) for line in lines]


def dots(pen: float, rng: np.random.Generator) -> Part:
    """Three rows of four dots, or four letters i whose dots are as small as half a pen."""
    step = rng.uniform(4, 6) * pen
    if rng.random() < 0.5:
        places = step * np.mgrid[:4, :3].reshape(2, -1).T + rng.uniform(-0.5, 0.5, (12, 2)) * pen
        return [(np.repeat(place[None], 2, axis=0), pen) for place in places]
    small = max(rng.uniform(0.5, 1) * pen, _LEAST_DOT)
    stems = [np.array([[i * step, 0], [i * step + rng.uniform(-1, 1) * pen, 8 * pen]]) for i in range(4)]
    return [(stem, pen) for stem in stems] + [
        (np.repeat(stem[:1] - [0, 3 * pen], 2, axis=0), small) for stem in stems
    ]


def two_pens(pen: float, rng: np.random.Generator) -> Part:
    """Six slightly bent lines below each other: half of them of a pen that is two to six times as wide."""
    thick = pen * rng.uniform(2, min(6, max(20 / pen, 2)))
    far = rng.uniform(25, 40) * pen
    along = np.linspace(0, 1, 40)
    lines, top = [], 0.0
    for width in rng.permutation([pen] * 3 + [thick] * 3):
        bend, slant = rng.uniform(-0.06, 0.06, 2)
        y = 4 * bend * along * (1 - along) + slant * along
        line = far * np.stack([along, y], axis=1)
        line[:, 1] += top + width / 2 + 2 * pen - line[:, 1].min()
        top = line[:, 1].max() + width / 2
        lines.append((line, float(width)))
    return lines


def _side_by_side(parts: list[Part]) -> tuple[list[np.ndarray], list[float], tuple[int, int]]:
    """The strokes of parts moved apart, their widths, and the size [H, W] of the page."""
    strokes, widths, left, bottom = [], [], float(_BORDER), 0.0
    for part in parts:
        margin = max(width for _, width in part)
        points = np.concatenate([stroke for stroke, _ in part])
        move = np.array([left, _BORDER]) + margin - points.min(axis=0)
        strokes += [stroke + move for stroke, _ in part]
        widths += [width for _, width in part]
        right, low = points.max(axis=0) + move + margin
        left, bottom = right + 2 * margin, max(bottom, low)
    return strokes, widths, (int(bottom) + _BORDER, int(left) + _BORDER)


def surrounded(grey: np.ndarray, surroundings: str, rng: np.random.Generator) -> np.ndarray:
    """A [H, W] page in a frame, beside the dark edges of a scanner, or in a vignette."""
    grey = grey.copy()
    if surroundings == "vignette":
        y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
        inset = np.minimum(np.minimum(x, x[:, ::-1]), np.minimum(y, y[::-1]))
        return grey * (1 - rng.uniform(0.3, 0.7) * np.clip(1 - inset / 20, 0, 1) ** 1.5)
    sides = {"none": 0, "frame": 4, "edge": int(rng.integers(1, 3))}[surroundings]
    dark, thickness = rng.uniform(0, 0.6), int(rng.integers(1, 9))
    for side in range(sides):
        np.rot90(grey, side)[:thickness] = dark
    return grey


def judge(composition: Composition) -> dict[str, list[bool]]:
    """Which instances of each kind on a page come out right."""
    try:
        found = tracing.strokes_of(page.remove_background(composition.grey), None, 0)[0]
    except BadInput:
        found = []
    lines = [stroke.points(0.5) for stroke in found]
    if composition.kind == "crossings":
        pairs = zip(composition.strokes[::2], composition.strokes[1::2], strict=True)
        right = [_is_crossing(list(pair), lines, composition) for pair in pairs]
        results = {f"crossing of {composition.angle} degrees": right}
    elif composition.kind == "dots":
        results = {"dot": _dots_found(composition, lines)}
    else:
        results = {"line beside another pen": _lines_found(composition, lines, found)}
    if composition.surroundings != "none" and not all(map(_is_dot, composition.strokes)):
        results["lines of a page in a frame"] = [_is_whole(composition, lines, found)]
    return results


def _is_crossing(truth: list[np.ndarray], lines: list[np.ndarray], composition: Composition) -> bool:
    """Whether what is found along two true lines is these two."""
    pen, side = composition.widths[0], max(composition.grey.shape)
    tree = cKDTree(np.concatenate([dense(stroke) for stroke in truth]))
    along = [line for line in lines if (tree.query(line)[0] < pen).mean() > 0.5]
    return len(along) == 2 and len(matched(truth, along, min(MATCHED * side, _SAME_LINE * pen))) == 2


def _dots_found(composition: Composition, lines: list[np.ndarray]) -> list[bool]:
    """Whether each true dot has one found stroke all of which lies in it."""
    results = []
    for dot, width in zip(composition.strokes, composition.widths, strict=True):
        if _is_dot(dot):
            near = [np.linalg.norm(line - dot[0], axis=1).max() <= width / 2 + 0.5 for line in lines]
            results.append(sum(near) == 1)
    return results


def _lines_found(composition: Composition, lines: list[np.ndarray], found: list[InkStroke]) -> list[bool]:
    """Whether each true line is found with its width."""
    widths = composition.widths
    pairs = matched(composition.strokes, lines, MATCHED * max(composition.grey.shape))
    right = {i for i, j in pairs if abs(found[j].width / widths[i] - 1) <= _SAME_WIDTH}
    return [index in right for index in range(len(widths))]


def _is_whole(composition: Composition, lines: list[np.ndarray], found: list[InkStroke]) -> bool:
    """Whether something found runs along each true line, and nothing found is a blob; dots are left out."""
    if not lines or max(stroke.width for stroke in found) > _WIDEST * max(composition.widths):
        return False
    tree, near = cKDTree(np.concatenate(lines)), MATCHED * max(composition.grey.shape)
    truth = [stroke for stroke in composition.strokes if not _is_dot(stroke)]
    return min((tree.query(dense(stroke))[0] <= near).mean() for stroke in truth) >= _COVERED


def _is_dot(stroke: np.ndarray) -> bool:
    return bool(np.ptp(stroke, axis=0).max() == 0)


def main() -> None:
    """Prints the rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=400, help="compositions")
    parser.add_argument("--seed", type=int, default=100, help="the tests use seed 1")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    found = rates(options.count, options.seed)
    if options.json:
        print(json.dumps({name: rate._asdict() for name, rate in found.items()}, indent=1))
        return
    print(f"{'kind':28}{'right':>6}{'of':>6}{'%':>7}")
    for name, rate in found.items():
        print(f"{name:28}{rate.right:6}{rate.total:6}{100 * rate.share:7.1f}")


if __name__ == "__main__":
    main()
