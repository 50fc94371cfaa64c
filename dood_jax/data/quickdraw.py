"""Quick, Draw! as it is used: some categories, at most so many drawings of each, a fifth of them held out."""

import numpy as np

from dood_jax.data.dataset import Dataset, take
from dood_jax.errors import BadInput

_SEED = 20_000


def select(dataset: Dataset, categories: tuple[str, ...], per_category: int) -> Dataset:
    """The drawings of some categories, labelled by their place among those found.

    Args:
      dataset: with names of its classes in `metadata`.
      categories: wanted; those that the set lacks are named in `metadata`.
      per_category: most drawings of a category over both splits, a fifth of them for `test`; 0: all.

    Raises:
      BadInput: the set has none of the categories.
    """
    classes = list(dataset.metadata["classes"])
    found = tuple(name for name in categories if name in classes)
    lacking = [name for name in categories if name not in classes]
    if not found:
        raise BadInput(
            f"data.categories: {dataset.metadata['source']} has none of {_brief(categories)};"
            f" it has {', '.join(classes)}"
        )
    new_label = np.full(len(classes), -1, np.int32)
    new_label[[classes.index(name) for name in found]] = np.arange(len(found))
    rows = np.flatnonzero(new_label[dataset.labels] >= 0)
    if per_category:
        held_out = per_category // 5
        share = held_out if dataset.metadata["split"] == "test" else per_category - held_out
        rows = rows[_rank_in_class(dataset.labels[rows]) < share]
    chosen = take(dataset, rows)
    metadata = {**dataset.metadata, "classes": found, "lacking": tuple(lacking)}
    return chosen._replace(labels=new_label[chosen.labels], metadata=metadata)


def held_out(labels: np.ndarray) -> np.ndarray:
    """Which of [N] drawings are for testing where nobody split them: a random fifth of a class; bool [N]."""
    sizes = np.bincount(labels)
    return _rank_in_class(labels) < sizes[labels] // 5


def _rank_in_class(labels: np.ndarray) -> np.ndarray:
    """[N] place of every drawing in a random order of its class: always the same, whatever other classes."""
    rank = np.empty(len(labels), np.int64)
    by_class = np.argsort(labels, kind="stable")
    for rows in np.split(by_class, np.cumsum(np.bincount(labels))[:-1]):
        rank[rows] = np.random.default_rng(_SEED).permutation(len(rows))
    return rank


def _brief(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
