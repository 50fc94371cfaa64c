"""Strokes that are written together are found: text of known lines, words and characters."""

import itertools

import numpy as np
import pytest

from dood_jax.vectorize import curves, groups
from dood_jax.vectorize.curves import InkStroke
from dood_jax.vectorize.drawing import InkDrawing

# Strokes of letters on a square of side 1, the baseline at y = 1; points are dots.
LETTERS = {
    "H": [[(0, 0), (0, 1)], [(0.6, 0), (0.6, 1)], [(0, 0.5), (0.6, 0.5)]],
    "i": [[(0, 0.4), (0, 1)], [(0, 0.15)]],
    "o": [[(0.2, 0.4), (0, 0.7), (0.2, 1), (0.4, 0.7), (0.2, 0.4)]],
    "g": [[(0.4, 0.4), (0, 0.6), (0.4, 0.9)], [(0.4, 0.4), (0.4, 1.2), (0, 1.3)]],  # reaches below the line
    "t": [[(0.2, 0), (0.2, 1)], [(0, 0.4), (0.4, 0.4)]],
    "=": [[(0, 0.6), (0.5, 0.6)], [(0, 0.8), (0.5, 0.8)]],
    ".": [[(0, 1)]],
}
LETTER_GAP, WORD_GAP = 0.22, 0.75


def written(text: str, size: float, pitch: float, skew: float = 0.0) -> tuple[list[InkStroke], list[tuple]]:
    """The strokes of a text, and the (line, word, character) of each, counted from 1."""
    strokes, places = [], []
    word = character = 0
    for line, row in enumerate(text.splitlines(), start=1):
        x = 0.0
        for letters in row.split():
            word += 1
            for letter in letters:
                character += 1
                for points in LETTERS[letter]:
                    at = np.array(points, float) + np.array([x, (line - 1) * pitch])
                    at[:, 1] += skew * at[:, 0]
                    strokes.append(InkStroke(curves.fit(at * size, 0.1), 2.0, False, 1.0))
                    places.append((line, word, character))
                x += max(point[0] for points in LETTERS[letter] for point in points) + LETTER_GAP
            x += WORD_GAP - LETTER_GAP
    return strokes, places


@pytest.mark.parametrize("size", [15, 60])
@pytest.mark.parametrize(
    ("text", "pitch", "skew"),
    [
        ("Hi", 1, 0),
        ("Hot git go.", 1, 0),
        ("Hot git\ngo Hi to.\nio = Hog", 1.6, 0),
        ("Hot git go Hi\ntoo Hog ti =", 1.8, 0.05),
        ("HHHH HH\ni HotHog", 1.4, 0),
        ("g\nt", 1.6, 0),
    ],
)
def test_lines_words_and_characters_of_a_text(text, pitch, skew, size):
    strokes, places = written(text, size, pitch, skew)
    assert [tuple(place) for place in groups.places(strokes)] == places


def test_the_order_of_strokes_does_not_matter():
    strokes, places = written("Hot git\ngo Hi to.", 30, 1.6)
    for seed in range(5):
        chosen = np.random.default_rng(seed).permutation(len(strokes))
        found = groups.places([strokes[i] for i in chosen])
        assert [tuple(place) for place in found] == [places[i] for i in chosen]


def test_one_character_dots_alone_and_nothing():
    strokes, _ = written("H", 30, 1)
    assert set(groups.places(strokes)) == {(1, 1, 1)}
    dots = [InkStroke(np.full((4, 2), float(x)), 2.0, False, 1.0) for x in (10, 50)]
    assert len(groups.places(dots)) == 2
    assert groups.places([]) == []


def test_a_grouped_drawing_is_the_same_drawing():
    strokes, places = written("Hot git", 30, 1)
    drawing = InkDrawing(tuple(strokes), 100, 40, "text")
    grouped = drawing.grouped()
    assert [one.place for one in grouped.strokes] == places
    for one, other in itertools.zip_longest(grouped.strokes, strokes):
        assert one.control_points is other.control_points and one.width == other.width
    assert drawing.strokes[0].place is None
