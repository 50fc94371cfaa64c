"""The images that are measured, and their keys: the same ones every time.

Validation images are a part of the training split on which nothing is trained; whatever is chosen while
training, such as the best checkpoint, is chosen by them. Test images are for the numbers that
`--mode=evaluate` reports. Of the synthetic set, each has seeds of its own.
"""

import jax
import numpy as np

from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import DataConfig
from dood_jax.data import sources
from dood_jax.data.example_stream import purpose_key
from dood_jax.data.synthetic import random_drawing
from dood_jax.inference.batching import example_keys
from dood_jax.types import Array

SYNTHETIC_TEST_SEED = 1_000_003  # none of these is a seed that a run is likely to have
_SYNTHETIC_TRAINING_SEED = 1_000_004
_SYNTHETIC_VALIDATION_SEED = 1_000_033
_SYNTHETIC_SIZE = 10_000


def test_images(data: DataConfig, evaluation: EvaluationConfig) -> np.ndarray:
    """float32 [N, H, W] random test images, 0..1; all of them if `evaluation.num_images` is 0."""
    if data.is_synthetic:
        return synthetic_images(data, SYNTHETIC_TEST_SEED, evaluation.num_images or _SYNTHETIC_SIZE)
    return _chosen(data, "test", evaluation)


def validation_images(data: DataConfig, evaluation: EvaluationConfig) -> np.ndarray:
    """float32 [N, H, W] random validation images, 0..1; all of them if `evaluation.num_images` is 0."""
    if data.is_synthetic:
        return synthetic_images(data, _SYNTHETIC_VALIDATION_SEED, evaluation.num_images or _SYNTHETIC_SIZE)
    return _chosen(data, sources.VALIDATION, evaluation)


def _chosen(data: DataConfig, split: str, evaluation: EvaluationConfig) -> np.ndarray:
    images = sources.load_configured(data, split).images
    return images[chosen_rows(len(images), evaluation)].astype(np.float32) / 255


def chosen_rows(count: int, evaluation: EvaluationConfig) -> np.ndarray:
    """Which of so many images of a split are measured, by `evaluation.seed`: int [N], ascending."""
    chosen = np.random.default_rng(evaluation.seed).permutation(count)
    return np.sort(chosen[: evaluation.num_images or count])


def training_images(data: DataConfig, count: int, seed: int) -> np.ndarray:
    """float32 [N, H, W] random training images, 0..1; all of them if there are fewer than `count`."""
    if data.is_synthetic:
        return synthetic_images(data, seed, count)
    images = sources.load_configured(data, "train").images
    chosen = np.random.default_rng(seed).permutation(len(images))[:count]
    return images[np.sort(chosen)].astype(np.float32) / 255


def all_training_images(data: DataConfig) -> np.ndarray:
    """uint8 [N, H, W] all training images; of the synthetic set 10,000."""
    if data.is_synthetic:
        drawn = synthetic_images(data, _SYNTHETIC_TRAINING_SEED, _SYNTHETIC_SIZE)
        return np.round(255 * drawn).astype(np.uint8)
    return sources.load_configured(data, "train").images


def synthetic_images(data: DataConfig, seed: int, count: int) -> np.ndarray:
    """float32 [N, H, W] synthetic drawings, 0..1; each depends on the seed and its place alone."""
    keys = example_keys(jax.random.key(seed), count)
    draw = lambda key: random_drawing(key, data.image_size).image
    return np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys, batch_size=64))(keys))


def evaluation_keys(evaluation: EvaluationConfig, count: int) -> Array:
    """[N] keys of the images that are measured, by `evaluation.seed`."""
    return example_keys(purpose_key(evaluation.seed, "evaluation"), count)
