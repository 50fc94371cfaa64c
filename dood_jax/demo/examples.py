"""Pictures to begin with: of the five sets where they lie on this machine, else made up by their models."""

import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dood_jax.data import pack, prepared, quickdraw_categories, sources
from dood_jax.data.catalog import CATALOG
from dood_jax.errors import BadInput

TITLES = {
    "mnist": "MNIST",
    "emnist": "EMNIST",
    "kmnist": "KMNIST",
    "quickdraw": "Quick, Draw!",
    "omniglot": "Omniglot",
}
_SIZE = 50
_COUNT = 4  # pictures of a set

Invent = Callable[[str, int, int], np.ndarray]  # name of a model, count, seed -> [count, H, W] pictures


class Examples(NamedTuple):
    """Some pictures of one set."""

    name: str
    title: str
    are_invented: bool  # by the model, not taken from the set
    pictures: np.ndarray  # [N, H, W] 0..1, ink = 1


def of_set(name: str, seed: int, invent: Invent | None) -> Examples | None:
    """Random test pictures of a set that lies in $DOOD_DATA_DIR, else what `invent` gives, if it is given.

    Nothing is downloaded, and a set that cannot be read counts as one that is not there.
    """
    images = _test_images(name)
    if images is not None:
        rows = np.random.default_rng(seed).choice(len(images), min(_COUNT, len(images)), replace=False)
        return Examples(name, TITLES[name], False, images[np.sort(rows)].astype(np.float32) / 255)
    if invent is None:
        return None
    return Examples(name, TITLES[name], True, invent(name, _COUNT, seed))


def _test_images(name: str) -> np.ndarray | None:
    """Uint8 [N, 50, 50], memory-mapped; None where there are none."""
    if not os.environ.get("DOOD_DATA_DIR"):
        return None
    directory = sources.data_directory(None)
    categories = quickdraw_categories.PUBLISHED if name == "quickdraw" else ()
    try:
        is_there = pack.path_of(directory, name, "test").is_file() or prepared.find(
            directory, name, "test", tuple(categories)
        )
        return sources.load(name, "test", image_size=_SIZE).images if is_there else None
    except BadInput:
        return None


def all_sets(seed: int, invent_by: Callable[[str], Invent | None]) -> list[Examples]:
    """Of each of the five sets; `invent_by` says who makes pictures up in place of a set."""
    found = [of_set(name, seed, invent_by(name)) for name in CATALOG]
    return [one for one in found if one]
