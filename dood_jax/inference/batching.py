"""Images in batches of one size, and batches kept so that an interrupted measurement goes on."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np

from dood_jax.model.networks import Params

_FEW = 4  # images a device that are faster one by one than in a batch of dozens


class Kept(Protocol):
    """Keeps the weights of finished batches, so that an interrupted measurement goes on where it was."""

    def get(self, start: int) -> Any | None:
        """The weights of the batch that begins at an image, if they were kept."""

    def put(self, start: int, weights: Any) -> None:
        """Keeps the weights of the batch that begins at an image."""


def in_batches(
    function: Callable,
    params: Params,
    images: np.ndarray,
    beside: Any,
    batch_size: int,
    num_devices: int = 1,
    kept: Kept | None = None,
) -> Any:
    """Applies (params, [B, H, W], [B] keys or other) -> [B, ...] to N images; all batches have one size.

    Two programs do for any number of images: few go one by one, more in whole batches, padded. Batches
    whose results were kept are not computed again, unless several processes compute them together.
    """
    kept = kept if jax.process_count() == 1 else None
    size = 1 if len(images) <= _FEW * num_devices else batch_size
    size += -size % num_devices
    results = []
    for start in range(0, len(images), size):
        result = kept.get(start) if kept else None
        if result is None:
            indices = np.minimum(np.arange(start, start + size), len(images) - 1)
            taken = jax.tree_util.tree_map(lambda leaf: leaf[indices], beside)  # noqa: B023 - called at once
            result = jax.device_get(function(params, images[indices], taken))
            if kept:
                kept.put(start, result)
        results.append(result)
    return jax.tree_util.tree_map(lambda *parts: np.concatenate(parts)[: len(images)], *results)
