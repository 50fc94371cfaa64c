"""Which strokes are written together: the characters, words and lines of a page.

Strokes beside each other that share a good part of their height are one line, and those of a line that stand
above each other are one character. Gaps between the characters of a page fall into two classes, if it has
several words: the narrow ones lie within words. Nothing is learned here; the constants were chosen on pages
of single-stroke fonts and of Omniglot's characters.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components

from dood_jax.vectorize.curves import InkStroke, Place

# In sizes of a typical stroke: the median of the longer sides of their boxes
_LOW = 0.3  # what is lower is a dot or a bar, and belongs to the line of the nearest taller stroke
_BESIDE = 2.0  # gap over which two strokes may tell that they are of one line
_NARROW = 0.04  # gap between strokes of one character, at most

_SHARED = 0.4  # of the height of the lower of two strokes, or pieces of a line: what is shared by one line

# In median heights of characters
_WORD = 0.5  # gap between words, where gaps do not fall into two classes
_DISTINCT = 0.3  # between the means of the two classes, at least
_WIDEST = 2.0  # gap that counts: wider ones count as this wide
_FEW = 3  # gaps are no two classes


class _Boxes(NamedTuple):
    low: np.ndarray  # [N, 2] x, y
    high: np.ndarray  # [N, 2]

    def of(self, chosen: np.ndarray) -> "_Boxes":
        return _Boxes(self.low[chosen], self.high[chosen])

    def united(self, labels: np.ndarray) -> "_Boxes":
        """The boxes of labels 0, 1, …, each of which some box has."""
        low, high = np.full((labels.max() + 1, 2), np.inf), np.full((labels.max() + 1, 2), -np.inf)
        np.minimum.at(low, labels, self.low)
        np.maximum.at(high, labels, self.high)
        return _Boxes(low, high)

    def gaps(self, axis: int) -> np.ndarray:
        """[N, N] from each box to each other along an axis; where they overlap it is minus by how much."""
        low, high = self.low[:, axis], self.high[:, axis]
        return np.maximum(low[:, None], low) - np.minimum(high[:, None], high)

    def shares_height(self) -> np.ndarray:
        """[N, N] whether two boxes share a good part of the lower one's height."""
        height = (self.high - self.low)[:, 1]
        return -self.gaps(1) >= _SHARED * np.minimum(height[:, None], height)


def places(strokes: Sequence[InkStroke]) -> list[Place]:
    """The line, the word and the character of each stroke."""
    if not strokes:
        return []
    lines = [stroke.points() for stroke in strokes]
    boxes = _Boxes(np.array([line.min(0) for line in lines]), np.array([line.max(0) for line in lines]))
    sides = (boxes.high - boxes.low).max(1)
    size = float(np.median(sides[sides > 0])) if sides.any() else 1.0
    line = _lines(boxes, size)
    character = _components((line[:, None] == line) & (boxes.gaps(0) <= _NARROW * size))
    found = boxes.united(character)
    line_of = np.zeros(len(found.low), int)
    line_of[character] = line
    order = np.lexsort((found.low[:, 0], line_of))
    word_of, rank = np.empty_like(line_of), np.empty_like(line_of)
    word_of[order] = _words(found.of(order), line_of[order])
    rank[order] = np.arange(len(order))
    numbers = np.stack([line, word_of[character], rank[character]], axis=1) + 1
    return [Place(*of_stroke) for of_stroke in numbers.tolist()]


def _components(is_one: np.ndarray) -> np.ndarray:
    """[N] labels of what belongs together, directly or not, by [N, N]."""
    return connected_components(is_one, directed=False)[1]


def _lines(boxes: _Boxes, size: float) -> np.ndarray:
    """[N] the number of each stroke's line, from the uppermost one, which is 0."""
    tall = (boxes.high - boxes.low)[:, 1] >= _LOW * size
    if not tall.any():
        tall[:] = True
    core = boxes.of(tall)
    piece = _components(core.shares_height() & (core.gaps(0) <= _BESIDE * size))
    line = _components(core.united(piece).shares_height())[piece]
    apart = lambda low, high, of_low, of_high: np.maximum(np.maximum(low - of_high, of_low - high), 0)
    far = [  # along either axis alone, since there may be thousands of both
        apart(boxes.low[:, None, axis], boxes.high[:, None, axis], core.low[:, axis], core.high[:, axis])
        for axis in (0, 1)
    ]
    label = line[np.hypot(*far).argmin(1)]
    label[tall] = line
    united = core.united(line)
    rank = np.empty(len(united.low), int)
    rank[np.argsort((united.low + united.high)[:, 1])] = np.arange(len(rank))
    return rank[label]


def _words(characters: _Boxes, line: np.ndarray) -> np.ndarray:
    """[N] the number of each character's word; characters come line by line, from the left."""
    is_next = np.diff(line) == 0
    reach = characters.high[:, 0].copy()
    for index in np.flatnonzero(is_next):  # a long character may end behind the next one
        reach[index + 1] = max(reach[index], reach[index + 1])
    gap = np.maximum(characters.low[1:, 0] - reach[:-1], 0)
    height = float(np.median((characters.high - characters.low)[:, 1]))
    widest = _between_words(np.minimum(gap[is_next], _WIDEST * height), height)
    return np.concatenate([[0], np.cumsum(~is_next | (gap > widest))])


def _between_words(gaps: np.ndarray, height: float) -> float:
    """The gap that parts words: between the two classes with the least squared deviations, if they differ."""
    if len(gaps) <= _FEW:
        return _WORD * height
    gaps = np.sort(gaps)
    cuts = range(1, len(gaps))
    cut = min(cuts, key=lambda i: gaps[:i].var() * i + gaps[i:].var() * (len(gaps) - i))
    is_clear = gaps[cut:].mean() - gaps[:cut].mean() > _DISTINCT * height
    return (gaps[cut - 1] + gaps[cut]) / 2 if is_clear else _WORD * height
