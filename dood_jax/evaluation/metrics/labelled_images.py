"""Images with their classes, for the evaluation classifier and the tasks that use it."""

from typing import NamedTuple

import jax
import numpy as np

from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import DataConfig
from dood_jax.data import sources
from dood_jax.data.synthetic import MAX_STROKES, random_drawing
from dood_jax.inference import image_sets

_SYNTHETIC_SEEDS = {"train": 2_000_003, "test": image_sets.SYNTHETIC_TEST_SEED}
_SYNTHETIC_SIZE = 10_000  # images of a split
_SYNTHETIC_CLASSES = tuple(f"{count} strokes" for count in range(1, MAX_STROKES + 1))


class LabelledImages(NamedTuple):
    """N images and their classes."""

    images: np.ndarray  # uint8 [N, H, W]
    labels: np.ndarray  # int [N]
    classes: tuple[str, ...]  # names, by label

    def take(self, rows: np.ndarray) -> "LabelledImages":
        """The images at [M] rows."""
        return self._replace(images=self.images[rows], labels=self.labels[rows])

    @property
    def floats(self) -> np.ndarray:
        """float32 [N, H, W] in 0..1."""
        return self.images.astype(np.float32) / 255


def load(data: DataConfig, split: str, most: int = 0) -> LabelledImages:
    """A split of a set, or at most so many of its images, always the same ones; 0 loads all.

    The class of a synthetic drawing is its number of strokes. Raises BadInput where the set is missing.
    """
    if data.is_synthetic:
        return _synthetic(data.image_size, _SYNTHETIC_SEEDS[split], most or _SYNTHETIC_SIZE)
    loaded = sources.load_configured(data, split)
    found = LabelledImages(loaded.images, loaded.labels, tuple(loaded.metadata["classes"]))
    if not 0 < most < len(found.labels):
        return found
    return found.take(np.sort(np.random.default_rng(0).permutation(len(found.labels))[:most]))


def load_test(data: DataConfig, settings: EvaluationConfig) -> LabelledImages:
    """The same images as `image_sets.test_images`, with their classes."""
    if data.is_synthetic:
        return load(data, "test", settings.num_images)
    found = load(data, "test")
    return found.take(image_sets.chosen_rows(len(found.labels), settings))


def _synthetic(size: int, seed: int, count: int) -> LabelledImages:
    def draw(key):
        drawing = random_drawing(key, size)
        return drawing.image, drawing.presence.sum()

    keys = image_sets.example_keys(jax.random.key(seed), count)
    images, strokes = jax.jit(lambda keys: jax.lax.map(draw, keys, batch_size=64))(keys)
    in_bytes, labels = np.asarray(images * 255 + 0.5).astype(np.uint8), np.asarray(strokes, int) - 1
    return LabelledImages(in_bytes, labels, _SYNTHETIC_CLASSES)
