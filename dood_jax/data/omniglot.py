"""Omniglot beside its images: names of characters, the one-shot runs, and how people drew them."""

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dood_jax.data import pack
from dood_jax.data.dataset import Dataset, resize
from dood_jax.errors import BadInput

SIZE = 105
_BACKGROUND = """
Alphabet_of_the_Magi Anglo-Saxon_Futhorc Arcadian Armenian Asomtavruli_(Georgian) Balinese Bengali
Blackfoot_(Canadian_Aboriginal_Syllabics) Braille Burmese_(Myanmar) Cyrillic Early_Aramaic Futurama
Grantha Greek Gujarati Hebrew Inuktitut_(Canadian_Aboriginal_Syllabics) Japanese_(hiragana)
Japanese_(katakana) Korean Latin Malay_(Jawi_-_Arabic) Mkhedruli_(Georgian) N_Ko
Ojibwe_(Canadian_Aboriginal_Syllabics) Sanskrit Syriac_(Estrangelo) Tagalog Tifinagh
"""
_EVALUATION = """
Angelic Atemayar_Qelisayer Atlantean Aurek-Besh Avesta Ge_ez Glagolitic Gurmukhi Kannada Keble Malayalam
Manipuri Mongolian Old_Church_Slavonic_(Cyrillic) Oriya Sylheti Syriac_(Serto) Tengwar Tibetan ULOG
"""
ALPHABETS = {"train": tuple(_BACKGROUND.split()), "test": tuple(_EVALUATION.split())}
NUM_CHARACTERS = 1623  # of both
WAYS = 20  # characters of a one-shot run
DRAWERS = 20  # of every character
ATTRIBUTES = ("alphabet", "character", "drawer", "char_id")  # index, 1-based in it, 1-20, official 1-1623


class OneShotRuns(NamedTuple):
    """The 20 within-alphabet runs of 20-way classification: R runs of Q queries and S supports."""

    supports: np.ndarray  # uint8 [R, S, H, W], one of each character
    queries: np.ndarray  # uint8 [R, Q, H, W]
    answers: np.ndarray  # int32 [R, Q] which support shows the query's character


class HumanStrokes(NamedTuple):
    """Pen movements of people, for measuring only: never train on them what is called unsupervised."""

    points: np.ndarray  # float32 [points, 2] x right, y down, pixels of the 105 x 105 image
    milliseconds: np.ndarray  # int32 [points]
    stroke_start: np.ndarray  # int32 [strokes + 1] first point of each stroke
    drawing_start: np.ndarray  # int32 [drawings + 1] first stroke of each drawing
    train_row: np.ndarray  # int32 [drawings] the image in the training set

    def strokes_of(self, drawing: int) -> list[np.ndarray]:
        """The [points, 2] strokes of one drawing, in the order they were drawn."""
        first, last = self.drawing_start[drawing : drawing + 2]
        bounds = self.stroke_start[first : last + 1]
        return [self.points[start:end] for start, end in itertools.pairwise(bounds)]


def labels_of(alphabet: np.ndarray, character: np.ndarray) -> np.ndarray:
    """Labels in the order of [N] alphabets, then characters, in which official ids are not; int32 [N]."""
    return np.unique(np.stack([alphabet, character]), axis=1, return_inverse=True)[1].ravel().astype(np.int32)


def class_names(alphabets: np.ndarray, characters: np.ndarray, labels: np.ndarray) -> tuple[str, ...]:
    """Names such as `Greek/character07` by label, from [N] names, numbers and labels."""
    _, first = np.unique(labels, return_index=True)
    return tuple(f"{alphabets[row]}/character{characters[row]:02d}" for row in first)


def with_class_names(dataset: Dataset) -> Dataset:
    """The set with the names of its classes, from its alphabets and characters."""
    attributes = dataset.attributes
    alphabets = np.array(dataset.metadata["alphabets"])[attributes["alphabet"]]
    classes = class_names(alphabets, attributes["character"], dataset.labels)
    return dataset._replace(metadata={**dataset.metadata, "classes": classes})


def one_shot_runs(directory: Path, image_size: int) -> OneShotRuns:
    """Reads `omniglot_oneshot.npz` at an image size; raises BadInput if it is not there or damaged."""
    path = directory / "omniglot_oneshot.npz"
    arrays = pack.read_arrays(path, ("support", "query", "label"))
    images = []
    for packed in (arrays["support"], arrays["query"]):
        flat = pack.unpack_bits(path, packed.reshape(-1, packed.shape[-1]), (SIZE, SIZE))
        images.append(resize(flat, image_size).reshape(*packed.shape[:2], image_size, image_size))
    return OneShotRuns(*images, arrays["label"].astype(np.int32))


def human_strokes(directory: Path) -> HumanStrokes:
    """Reads `omniglot_strokes.npz`; raises BadInput if it is not there, damaged or out of joint."""
    path = directory / "omniglot_strokes.npz"
    names = ("xy", "t", "stroke_start", "drawing_start", "train_row")
    arrays = pack.read_arrays(path, names)
    strokes = HumanStrokes(*(arrays[name] for name in names))
    fits = (
        strokes.points.shape == (len(strokes.milliseconds), 2)
        and strokes.stroke_start[-1] == len(strokes.points)
        and strokes.drawing_start[-1] == len(strokes.stroke_start) - 1
        and len(strokes.drawing_start) == len(strokes.train_row) + 1
    )
    if not fits:
        raise BadInput(f"{path}: its strokes do not add up to its points; copy it anew")
    return strokes


def episodes(background: Dataset, count: int, seed: int) -> OneShotRuns:
    """Episodes like the runs, from a set at its size: 20 characters of an alphabet, each by two drawers.

    Alphabets take turns; characters and the two drawers of an episode are chosen at random. Raises
    BadInput if no alphabet has 20 characters.
    """
    rows = {}
    for row, who in enumerate(zip(*(background.attributes[name] for name in ATTRIBUTES[:3]), strict=True)):
        rows[tuple(map(int, who))] = row
    characters = {alphabet: sorted({key[1] for key in rows if key[0] == alphabet}) for alphabet, *_ in rows}
    large = sorted(alphabet for alphabet, members in characters.items() if len(members) >= WAYS)
    if not large:
        raise BadInput(f"no alphabet of {len(characters)} has {WAYS} characters; give them all")
    rng = np.random.default_rng(seed)
    order = rng.permutation(large)
    supports, queries, answers = [], [], []
    for episode in range(count):
        alphabet = int(order[episode % len(order)])
        chosen = rng.choice(characters[alphabet], WAYS, replace=False)
        drawers = rng.choice(DRAWERS, 2, replace=False) + 1
        answers.append(rng.permutation(WAYS))
        for side, drawer, shown in zip(
            (supports, queries), drawers, (chosen, chosen[answers[-1]]), strict=True
        ):
            side.append([rows[alphabet, int(character), int(drawer)] for character in shown])
    images = np.asarray(background.images)
    return OneShotRuns(images[supports], images[queries], np.array(answers, np.int32))
