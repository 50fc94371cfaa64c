"""The evaluation classifier: a small convolutional network whose last hidden layer gives features of images.

It has four convolutions of stride 2, one hidden layer of 64 features, and one output for each class. It is
trained by Adam on images that are shifted, scaled and rotated a little.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from dood_jax import geometry
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import DataConfig
from dood_jax.data import sources
from dood_jax.data.synthetic import MAX_STROKES, random_drawing
from dood_jax.errors import BadInput
from dood_jax.inference import image_sets
from dood_jax.inference.batching import example_keys
from dood_jax.rendering import spatial_transformer
from dood_jax.types import Array

_SYNTHETIC_CLASSES = tuple(f"{count} strokes" for count in range(1, MAX_STROKES + 1))
_SYNTHETIC_SEEDS = {"train": 2_000_003, "test": image_sets.SYNTHETIC_TEST_SEED}
_SYNTHETIC_SIZE = 10_000  # images of a split

NUM_FEATURES = 64
_WIDTHS = (16, 32, 64, 64)  # channels of the convolutions
_AUGMENTATION = np.array([0.06, 0.06, 0.1, 0.15], np.float32)  # most change of shift x and y, scale and angle
_BATCH_SIZE = 128  # in training
_APPLY_BATCH_SIZE = 512
_ACCURACY_BATCH_SIZE = 4096  # images that are turned into floats at a time
_LEARNING_RATE = 3e-3
_MIN_IMAGE_SIZE = 10


class Network(nn.Module):
    """[..., H, W] images -> [..., 64] features and [..., C] logits."""

    num_classes: int

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, Array]:
        """The features, which are not negative, and the logits."""
        units = 2 * images[..., None] - 0.5
        for width in _WIDTHS:
            units = nn.relu(nn.Conv(width, (3, 3), strides=2)(units))
        units = units.reshape(*units.shape[:-3], -1)
        features = nn.relu(nn.Dense(NUM_FEATURES)(units))
        return features, nn.Dense(self.num_classes)(features)


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


def load_labelled(data: DataConfig, split: str, most: int = 0) -> LabelledImages:
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


def load_labelled_test(data: DataConfig, settings: EvaluationConfig) -> LabelledImages:
    """The same images as `image_sets.test_images`, with their classes."""
    if data.is_synthetic:
        return load_labelled(data, "test", settings.num_images)
    found = load_labelled(data, "test")
    return found.take(image_sets.chosen_rows(len(found.labels), settings))


def _synthetic(size: int, seed: int, count: int) -> LabelledImages:
    def draw(key):
        drawing = random_drawing(key, size)
        return drawing.image, drawing.presence.sum()

    keys = example_keys(jax.random.key(seed), count)
    images, strokes = jax.jit(lambda keys: jax.lax.map(draw, keys, batch_size=64))(keys)
    in_bytes, labels = np.asarray(images * 255 + 0.5).astype(np.uint8), np.asarray(strokes, int) - 1
    return LabelledImages(in_bytes, labels, _SYNTHETIC_CLASSES)


class Classifier(NamedTuple):
    """A trained network."""

    params: Any
    classes: tuple[str, ...]  # names, by label
    image_size: int
    card: dict[str, Any]  # how it was trained, and its accuracy on test images

    def features(self, images: np.ndarray) -> np.ndarray:
        """[N, 64] features of [N, H, W] images in 0..1."""
        return self._apply(images)[0]

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """[N, C] class probabilities of [N, H, W] images in 0..1."""
        return self._apply(images)[1]

    def predictions(self, images: np.ndarray) -> np.ndarray:
        """Int [N] most probable labels of [N, H, W] images in 0..1."""
        return self.probabilities(images).argmax(1)

    def _apply(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[N, 64] features and [N, C] probabilities; the last batch is padded, so that one program serves."""
        apply = _compiled_apply(len(self.classes))
        parts = []
        for start in range(0, len(images), _APPLY_BATCH_SIZE):
            part = np.asarray(images[start : start + _APPLY_BATCH_SIZE], np.float32)
            padded = np.pad(part, ((0, _APPLY_BATCH_SIZE - len(part)), (0, 0), (0, 0)))
            features, probabilities = jax.device_get(apply(self.params, padded))
            parts.append((features[: len(part)], probabilities[: len(part)]))
        features, probabilities = zip(*parts, strict=True)
        return np.concatenate(features), np.concatenate(probabilities)


def train(images: LabelledImages, steps: int, seed: int = 0) -> Classifier:
    """Trains a classifier for so many steps of 128 images.

    Raises BadInput if the images are of one class, or too small.
    """
    size = images.images.shape[-1]
    present = len(np.unique(images.labels))
    if present < 2:
        raise BadInput(f"the set has images of {present} class; a classifier needs at least 2 to tell apart")
    if size < _MIN_IMAGE_SIZE:
        raise BadInput(
            f"data.image_size={size} is too small for a classifier; give at least {_MIN_IMAGE_SIZE}"
        )
    network = Network(len(images.classes))
    key_init, key_steps = jax.random.split(jax.random.key(seed))
    params = network.init(key_init, jnp.zeros((1, size, size)))["params"]
    adam = optax.adam(optax.cosine_decay_schedule(_LEARNING_RATE, steps))
    step = _compiled_step(network, adam)
    state = adam.init(params)
    rows = _rows_in_epochs(len(images.labels), steps, seed)
    for number, key in enumerate(jax.random.split(key_steps, steps)):
        batch = images.take(rows[number])
        params, state, loss = step(params, state, batch.floats, batch.labels, key)
        loss.block_until_ready()  # loops that run ahead over several CPU devices can deadlock
    return Classifier(jax.device_get(params), images.classes, size, {})


def accuracy(classifier: Classifier, images: LabelledImages) -> float:
    """Fraction of images whose class is found."""
    right, count = 0, len(images.labels)
    for start in range(0, count, _ACCURACY_BATCH_SIZE):
        part = images.take(np.arange(start, min(start + _ACCURACY_BATCH_SIZE, count)))
        right += int((classifier.predictions(part.floats) == part.labels).sum())
    return right / count


def _rows_in_epochs(count: int, steps: int, seed: int) -> np.ndarray:
    """[steps, batch] rows of `count` images in random order, each image once an epoch.

    A batch holds several epochs where there are few images.
    """
    random = np.random.default_rng(seed)
    epochs = -(-steps * _BATCH_SIZE // count)
    rows = np.concatenate([random.permutation(count) for _ in range(epochs)])
    return rows[: steps * _BATCH_SIZE].reshape(steps, -1)


def _augmented(image: Array, key: Array) -> Array:
    """A [H, W] image, shifted, scaled and rotated a little; consumes the key."""
    change = _AUGMENTATION * jax.random.uniform(key, (4,), minval=-1, maxval=1)
    matrix = geometry.layout_to_matrix(jnp.array([0, 0, 1, 0]) + change)
    height, width = image.shape
    return spatial_transformer.warp(image[None], matrix, (height, width))[0]


def _compiled_step(network: Network, adam: optax.GradientTransformation) -> Callable:
    """(params, state, [B, H, W] images, [B] labels, key) -> params, state and the loss after one step."""

    def loss_of(params, images, labels):
        logits = network.apply({"params": params}, images)[1]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    @jax.jit
    def step(params, state, images, labels, key):
        augmented = jax.vmap(_augmented)(images, jax.random.split(key, len(images)))
        loss, gradient = jax.value_and_grad(loss_of)(params, augmented, labels)
        updates, state = adam.update(gradient, state)
        return optax.apply_updates(params, updates), state, loss

    return step


@functools.lru_cache
def _compiled_apply(num_classes: int) -> Callable:
    """(params, [B, H, W] images) -> [B, 64] features and [B, C] probabilities."""

    def apply(params, images):
        outputs: Any = Network(num_classes).apply({"params": params}, images)
        features, logits = outputs
        return features, jax.nn.softmax(logits)

    return jax.jit(apply)
