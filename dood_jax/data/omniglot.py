"""What Omniglot has beside its images: names of characters, one-shot runs, and the pen strokes of people."""

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dood_jax.data import pack
from dood_jax.data.dataset import Dataset
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
NUM_RUNS = 20  # of one-shot classification, as published
WAYS = 20  # characters of a one-shot run or episode
DRAWERS = 20  # of every character
# Of every image: the index of its alphabet, the number of its character in it from 1, its drawer from 1, and
# the official number of the character from 1.
ATTRIBUTES = ("alphabet", "character", "drawer", "char_id")


class OneShotRuns(NamedTuple):
    """One-shot classification: R runs, each of Q queries among S supports of one alphabet."""

    supports: np.ndarray  # uint8 [R, S, H, W], one of each character
    queries: np.ndarray  # uint8 [R, Q, H, W]
    answers: np.ndarray  # int32 [R, Q]: which support shows the query's character


class HumanStrokes(NamedTuple):
    """How people drew images of the training set: all strokes, one after the other.

    For measuring only: a model that is called unsupervised is never trained on them.
    """

    points: np.ndarray  # float32 [points, 2], x right, y down, in pixels of the 105 x 105 image
    milliseconds: np.ndarray  # int32 [points]
    stroke_start: np.ndarray  # int32 [strokes + 1], first point of each stroke
    drawing_start: np.ndarray  # int32 [drawings + 1], first stroke of each drawing
    train_row: np.ndarray  # int32 [drawings], row of the image in the training set

    def strokes_of(self, drawing: int) -> list[np.ndarray]:
        """The [points, 2] strokes of one drawing, in the order they were drawn."""
        first, last = self.drawing_start[drawing : drawing + 2]
        bounds = self.stroke_start[first : last + 1]
        return [self.points[start:end] for start, end in itertools.pairwise(bounds)]


def labels_of(alphabet: np.ndarray, character: np.ndarray) -> np.ndarray:
    """int32 [N] labels 0, 1, … in the order of [N] alphabets, then of [N] numbers of characters in them."""
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


def one_shot_runs(path: Path) -> OneShotRuns:
    """The published runs of 20-way classification as the npz pack has them, 105 x 105 pixels an image.

    Raises BadInput if the file is damaged.
    """
    arrays = pack.read_arrays(path, ("support", "query", "label"))

    def images(packed: np.ndarray) -> np.ndarray:
        flat = pack.unpack_bits(path, packed.reshape(-1, packed.shape[-1]), (SIZE, SIZE))
        return flat.reshape(*packed.shape[:2], SIZE, SIZE)

    return OneShotRuns(images(arrays["support"]), images(arrays["query"]), arrays["label"].astype(np.int32))


def human_strokes(directory: Path) -> HumanStrokes:
    """Reads `omniglot_strokes.npz`; raises BadInput if it is not there, damaged, or contradicts itself."""
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
    """Episodes like the published runs: 20 characters of an alphabet, each drawn by two people.

    Alphabets take turns; the characters and the two drawers of an episode are chosen at random.

    Args:
      background: a split of Omniglot; its image size is that of the episodes.
      count: R, the number of episodes.
      seed: of the choices.

    Raises:
      BadInput: no alphabet has 20 characters.
    """
    columns = (background.attributes[name] for name in ATTRIBUTES[:3])
    row_of = {tuple(map(int, drawn)): row for row, drawn in enumerate(zip(*columns, strict=True))}
    characters: dict[int, set[int]] = {}
    for alphabet, character, _ in row_of:
        characters.setdefault(alphabet, set()).add(character)
    large = sorted(alphabet for alphabet, members in characters.items() if len(members) >= WAYS)
    if not large:
        raise BadInput(f"no alphabet of {len(characters)} has {WAYS} characters; give them all")
    random = np.random.default_rng(seed)
    order = random.permutation(large)
    supports, queries, answers = [], [], []
    for episode in range(count):
        alphabet = int(order[episode % len(order)])
        chosen = random.choice(sorted(characters[alphabet]), WAYS, replace=False)
        first, second = (random.choice(DRAWERS, 2, replace=False) + 1).tolist()
        answer = random.permutation(WAYS)
        supports.append([row_of[alphabet, character, first] for character in chosen.tolist()])
        queries.append([row_of[alphabet, character, second] for character in chosen[answer].tolist()])
        answers.append(answer)
    images = np.asarray(background.images)
    return OneShotRuns(images[supports], images[queries], np.array(answers, np.int32))
