"""What every source of pictures returns."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np


class Dataset(NamedTuple):
    """Pictures in memory: white ink (255) on black, upright, row 0 at the top."""

    images: np.ndarray  # uint8 [N, H, W]
    labels: np.ndarray  # int32 [N]
    metadata: dict[str, Any]  # name, split, source; classes: names by label; alphabets of Omniglot; note
    attributes: Mapping[str, np.ndarray] = MappingProxyType({})  # [N] each: Omniglot's drawer, …


def take(dataset: Dataset, rows: np.ndarray) -> Dataset:
    """The pictures at [M] rows, in that order, with all that belongs to them."""
    attributes = {name: values[rows] for name, values in dataset.attributes.items()}
    return dataset._replace(images=dataset.images[rows], labels=dataset.labels[rows], attributes=attributes)
