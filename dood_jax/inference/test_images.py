"""Held-out images, their keys, and the floor under every number that is measured on them."""

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.config.groups import DataConfig, EvaluationConfig
from dood_jax.data import sources
from dood_jax.data.example_stream import purpose_key
from dood_jax.data.synthetic import random_drawing
from dood_jax.model.likelihood import SCALE_RANGE
from dood_jax.types import Array

SYNTHETIC_TEST_SEED = 1_000_003  # keys of held-out synthetic drawings, apart from training seeds
_SYNTHETIC_SIZE = 10_000


def images(data: DataConfig, evaluation: EvaluationConfig) -> np.ndarray:
    """float32 [N, H, W] in 0..1: the same random test images every time; all of them for `num_images=0`."""
    if data.is_synthetic:
        return synthetic_images(data, SYNTHETIC_TEST_SEED, evaluation.num_images or _SYNTHETIC_SIZE)
    images = sources.load_configured(data, "test").images
    return images[rows(len(images), evaluation)].astype(np.float32) / 255


def rows(count: int, evaluation: EvaluationConfig) -> np.ndarray:
    """Which of so many test images are measured, in order."""
    chosen = np.random.default_rng(evaluation.seed).permutation(count)
    return np.sort(chosen[: evaluation.num_images or count])


def blank_canvas_log_likelihood(data: DataConfig, images: np.ndarray) -> float:
    """Mean nats of [N, H, W] images if nothing is drawn: the floor under every model's number.

    The scale of each pixel is the mean distance of the training images from blank, its best value, within
    the range that models have.
    """
    if data.is_synthetic:
        mean = synthetic_images(data, SYNTHETIC_TEST_SEED + 1, _SYNTHETIC_SIZE).mean(0, dtype=np.float64)
    else:
        mean = sources.load_configured(data, "train").images.mean(0, dtype=np.float64) / 255
    scale = np.clip(mean, *SCALE_RANGE)
    return float((-images / scale - np.log(2 * scale)).sum((1, 2)).mean())


def synthetic_images(data: DataConfig, seed: int, count: int) -> np.ndarray:
    """float32 [N, H, W] synthetic drawings, 0..1, by seed and place alone."""
    keys = example_keys(jax.random.key(seed), count)
    draw = lambda key: random_drawing(key, data.image_size).image
    return np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys, batch_size=64))(keys))


def keys(evaluation: EvaluationConfig, count: int) -> Array:
    """[N] keys of the held-out images."""
    return example_keys(purpose_key(evaluation.seed, "evaluation"), count)


def example_keys(key: Array, count: int) -> Array:
    """[N] keys of the images of a set, by their place in it."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(count))
