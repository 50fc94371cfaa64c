"""The sets that are known by name: what they are called elsewhere, their classes, how many are published."""

from typing import NamedTuple

from dood_jax.errors import BadInput

SPLITS = ("train", "test")
FOLDER = "folder"
SYNTHETIC = "synthetic"


class Entry(NamedTuple):
    """One published set."""

    tfds_name: str
    config: str | None  # of TensorFlow Datasets; None: the set has none, or ours choose it
    version: str
    size: int  # pixels of a side as published
    counts: dict[str, int]  # published pictures of each split
    classes: tuple[str, ...] = ()  # () where they depend on the files


def _digits_and_letters() -> tuple[str, ...]:
    return tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt")


CATALOG = {
    "mnist": Entry("mnist", None, "3.0.1", 28, {"train": 60000, "test": 10000}, tuple("0123456789")),
    "emnist": Entry(
        "emnist", "balanced", "3.1.0", 28, {"train": 112800, "test": 18800}, _digits_and_letters()
    ),
    "kmnist": Entry(
        "kmnist",
        None,
        "3.0.1",
        28,
        {"train": 60000, "test": 10000},
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
    "quickdraw": Entry("quickdraw_bitmap", None, "3.0.0", 28, {"train": 40000, "test": 10000}),
    "omniglot": Entry("omniglot", None, "3.0.0", 105, {"train": 19280, "test": 13180}),
}
NAMES = (*CATALOG, FOLDER)  # sets that are files
TRANSPOSED_AS_PUBLISHED = ("emnist",)


def require_name(name: str, key: str = "data.name") -> str:
    """The name, or BadInput listing those known; `synthetic` is drawn, not loaded."""
    if name not in (*NAMES, SYNTHETIC):
        raise BadInput(f"{key}={name!r} is not a known set; choose from {', '.join(NAMES)}, {SYNTHETIC}")
    return name


def require_fitting(name: str, transpose: bool, per_category: int) -> None:
    """BadInput for a choice that the set does not have."""
    if transpose and name not in TRANSPOSED_AS_PUBLISHED:
        raise BadInput(
            f"data.transpose=True is for {', '.join(TRANSPOSED_AS_PUBLISHED)}, which was published lying on"
            f" its side; {name} was not: leave it False"
        )
    if per_category and name != "quickdraw":
        raise BadInput(f"data.per_category={per_category} is for quickdraw; leave it 0 for {name}")
