"""Images in batches of one size, whose results can be kept so that an interrupted measurement goes on."""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np

from dood_jax.types import Array

_FEW = 4  # so many images a device are faster one by one than padded to a batch of dozens


class ResumeCache(Protocol):
    """Keeps the results of finished batches, so that an interrupted measurement goes on where it was."""

    def get(self, start: int) -> Any | None:
        """The results of the batch that begins at image `start`, if they were kept."""

    def put(self, start: int, results: Any) -> None:
        """Keeps the results of the batch that begins at image `start`."""


def in_batches(
    function: Callable,
    params: Any,
    images: np.ndarray | Array,
    beside: Any,
    batch_size: int,
    num_devices: int = 1,
    cache: ResumeCache | None = None,
) -> Any:
    """Applies a compiled function to N images, in batches that all have the same size.

    So two programs do for any number of images: a few go one by one, more in whole batches, the last of
    which is padded.

    Args:
      function: (params, [B, H, W] images, [B, ...] what belongs to them) -> tree of [B, ...] results.
      params: tree of arrays, the first argument of the function.
      images: [N, H, W], or [N] of something else.
      beside: tree of [N, ...] arrays that belong to the images, such as their keys.
      batch_size: B, rounded up to a multiple of the number of devices.
      num_devices: that the function splits a batch over.
      cache: batches whose results it has are not computed again, unless several processes compute them
        together.

    Returns:
      Tree of [N, ...] NumPy arrays.
    """
    cache = cache if jax.process_count() == 1 else None
    size = 1 if len(images) <= _FEW * num_devices else batch_size
    size += -size % num_devices
    results = []
    for start in range(0, len(images), size):
        result = cache.get(start) if cache else None
        if result is None:
            indices = np.minimum(np.arange(start, start + size), len(images) - 1)
            taken = jax.tree_util.tree_map(lambda leaf: leaf[indices], beside)  # noqa: B023 - called at once
            result = jax.device_get(function(params, images[indices], taken))
            if cache:
                cache.put(start, result)
        results.append(result)
    return jax.tree_util.tree_map(lambda *parts: np.concatenate(parts)[: len(images)], *results)
