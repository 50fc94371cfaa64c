"""Models trained side by side in one program: every set of pictures with every seed, each a member.

With one member alone nothing is stacked. With more, the arrays of a state have a leading axis of members.
"""

from typing import Any

import jax
import numpy as np

from dood_jax.data import sampler
from dood_jax.data.sampler import Lessons
from dood_jax.settings.config import Config, Member
from dood_jax.training import datasets


def title(members: list[Member], which: int) -> str:
    """What tells a member from the others, as in `emnist-seed1`; nothing if it is alone."""
    if len(members) == 1:
        return ""
    return f"{members[which].name}-seed{members[which].seed}"


def lessons(config: Config) -> tuple[np.ndarray, Lessons]:
    """uint8 [N, H, W] pictures of all sets, one after the other, and the lessons of the members."""
    size = config.data.image_size
    if config.data.is_synthetic:
        images = {config.data.name: np.zeros((1, size, size), np.uint8)}
    else:
        images = {name: datasets.load(config.data.only(name), "train").images for name in config.data.sets}
    first, rows = {}, 0
    for name, pictures in images.items():
        first[name], rows = rows, rows + len(pictures)
    batch_size = config.training.batch_size
    each = [
        sampler.lessons(member.seed, first[member.name], len(images[member.name]), batch_size)
        for member in config.members
    ]
    together = next(iter(images.values())) if len(images) == 1 else np.concatenate(list(images.values()))
    return together, stack(each)


def stack(trees: list[Any]) -> Any:
    """Trees of one shape with a leading axis of members; one tree alone as it is."""
    return trees[0] if len(trees) == 1 else jax.tree_util.tree_map(lambda *leaves: np.stack(leaves), *trees)


def pick(tree: Any, count: int, which: int) -> Any:
    """The tree of one of `count` members."""
    return tree if count == 1 else jax.tree_util.tree_map(lambda leaf: leaf[which], tree)
