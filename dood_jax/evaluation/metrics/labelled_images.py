"""Images with their classes for the evaluation classifier: a set's, or synthetic drawings by strokes."""

from typing import NamedTuple

import jax
import numpy as np

from dood_jax.config.groups import DataConfig
from dood_jax.data import sources
from dood_jax.data.synthetic import MAX_STROKES, random_drawing
from dood_jax.inference import test_images

_SYNTHETIC_SEEDS = {"train": 2_000_003, "test": test_images.SYNTHETIC_TEST_SEED}
_SYNTHETIC_SIZE = 10_000
_STROKES = tuple(f"{count} strokes" for count in range(1, MAX_STROKES + 1))


class Labelled(NamedTuple):
    """Images and what they are of."""

    images: np.ndarray  # uint8 [N, H, W]
    labels: np.ndarray  # int [N]
    classes: tuple[str, ...]  # by label

    def take(self, rows: np.ndarray) -> "Labelled":
        """Those at [M] rows."""
        return self._replace(images=self.images[rows], labels=self.labels[rows])

    @property
    def inks(self) -> np.ndarray:
        """float32 [N, H, W] in 0..1."""
        return self.images.astype(np.float32) / 255


def load_labelled(data: DataConfig, split: str, most: int = 0) -> Labelled:
    """One split, or at most so many of its images, always the same; BadInput as `datasets.load`.

    The class of a synthetic drawing is its number of strokes.
    """
    if data.is_synthetic:
        return _synthetic(data.image_size, _SYNTHETIC_SEEDS[split], most or _SYNTHETIC_SIZE)
    loaded = sources.load_configured(data, split)
    found = Labelled(loaded.images, loaded.labels, tuple(loaded.metadata["classes"]))
    if not 0 < most < len(found.labels):
        return found
    return found.take(np.sort(np.random.default_rng(0).permutation(len(found.labels))[:most]))


def _synthetic(size: int, seed: int, count: int) -> Labelled:
    def draw(key):
        drawing = random_drawing(key, size)
        return drawing.image, drawing.presence.sum()

    keys = test_images.example_keys(jax.random.key(seed), count)
    images, strokes = jax.jit(lambda keys: jax.lax.map(draw, keys, batch_size=64))(keys)
    return Labelled(np.asarray(images * 255 + 0.5).astype(np.uint8), np.asarray(strokes, int) - 1, _STROKES)
