"""What every source of pictures returns."""

from typing import NamedTuple

import numpy as np


class Dataset(NamedTuple):
    """Pictures in memory: white ink (255) on black, upright, row 0 at the top."""

    images: np.ndarray  # uint8 [N, H, W]
    labels: np.ndarray  # int32 [N]
    metadata: dict[str, str]  # name, split, source
