"""A small convolutional classifier of images, whose last hidden layer judges them.

Four convolutions of stride 2, one hidden layer of 64 features, one output a class; trained on images
that are moved, turned and scaled a little, by Adam.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from dood_jax import geometry
from dood_jax.errors import BadInput
from dood_jax.evaluation.metrics.labelled_images import Labelled
from dood_jax.rendering import spatial_transformer
from dood_jax.types import Array

NUM_FEATURES = 64
_WIDTHS = (16, 32, 64, 64)
_REACH = np.array([0.06, 0.06, 0.1, 0.15], np.float32)  # of moves, scale and angle in training
_BATCH = 128
_RATE = 3e-3
_LEAST_SIZE = 10


class Network(nn.Module):
    """[..., H, W] images -> [..., 64] features and [..., C] logits."""

    num_classes: int

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, Array]:
        """Features are non-negative."""
        units = 2 * images[..., None] - 0.5
        for width in _WIDTHS:
            units = nn.relu(nn.Conv(width, (3, 3), strides=2)(units))
        units = units.reshape(*units.shape[:-3], -1)
        features = nn.relu(nn.Dense(NUM_FEATURES)(units))
        return features, nn.Dense(self.num_classes)(features)


class Judge(NamedTuple):
    """A trained classifier."""

    params: Any
    classes: tuple[str, ...]
    image_size: int
    card: dict[str, Any]  # how it was made, and its share of right answers on test images

    def features(self, images: np.ndarray) -> np.ndarray:
        """[N, 64] of [N, H, W] images, 0..1."""
        return self._apply(images)[0]

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """[N, C] of [N, H, W] images, 0..1."""
        return self._apply(images)[1]

    def _apply(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size, found = 512, []
        for start in range(0, len(images), size):
            part = np.asarray(images[start : start + size], np.float32)
            padded = np.pad(part, ((0, size - len(part)), (0, 0), (0, 0)))
            judged = jax.device_get(_compiled_judge(len(self.classes))(self.params, padded))
            found.append(tuple(values[: len(part)] for values in judged))
        return tuple(np.concatenate(values) for values in zip(*found, strict=True))


def train(images: Labelled, steps: int, seed: int = 0) -> Judge:
    """Trains a judge; raises BadInput where there is nothing to tell apart."""
    size = images.images.shape[-1]
    present = len(np.unique(images.labels))
    if present < 2:
        raise BadInput(f"the set has images of {present} class; a judge needs at least 2 to tell apart")
    if size < _LEAST_SIZE:
        raise BadInput(f"data.image_size={size} is too small for a judge; give at least {_LEAST_SIZE}")
    network = Network(len(images.classes))
    key_init, key_steps = jax.random.split(jax.random.key(seed))
    params = network.init(key_init, jnp.zeros((1, size, size)))["params"]
    adam = optax.adam(optax.cosine_decay_schedule(_RATE, steps))
    step = _compiled_step(network, adam)
    state = adam.init(params)
    rows = _rows_in_epochs(len(images.labels), steps, seed)
    for which, key in enumerate(jax.random.split(key_steps, steps)):
        taken = images.take(rows[which])
        params, state, loss = step(params, state, taken.inks, taken.labels, key)
        loss.block_until_ready()  # loops that run ahead over several CPU devices can deadlock
    return Judge(jax.device_get(params), images.classes, size, {})


def accuracy(judge: Judge, images: Labelled) -> float:
    """Share of images whose class is found."""
    size, right = 4096, 0
    for start in range(0, len(images.labels), size):
        part = images.take(np.arange(start, min(start + size, len(images.labels))))
        right += int((judge.probabilities(part.inks).argmax(1) == part.labels).sum())
    return right / len(images.labels)


def _rows_in_epochs(count: int, steps: int, seed: int) -> np.ndarray:
    """[steps, batch] rows, every image once an epoch; several times in a batch where there are few."""
    random = np.random.default_rng(seed)
    epochs = -(-steps * _BATCH // count)
    return np.concatenate([random.permutation(count) for _ in range(epochs)])[: steps * _BATCH].reshape(
        steps, -1
    )


def _moved(image: Array, key: Array) -> Array:
    """A [H, W] image, moved a little."""
    change = _REACH * jax.random.uniform(key, (4,), minval=-1, maxval=1)
    matrix = geometry.layout_to_matrix(jnp.array([0, 0, 1, 0]) + change)
    return spatial_transformer.warp(image[None], matrix, image.shape)[0]


def _compiled_step(network: Network, adam: optax.GradientTransformation):
    def loss_of(params, images, labels):
        logits = network.apply({"params": params}, images)[1]
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    @jax.jit
    def step(params, state, images, labels, key):
        moved = jax.vmap(_moved)(images, jax.random.split(key, len(images)))
        loss, gradient = jax.value_and_grad(loss_of)(params, moved, labels)
        updates, state = adam.update(gradient, state)
        return optax.apply_updates(params, updates), state, loss

    return step


@functools.lru_cache
def _compiled_judge(num_classes: int):
    def judge(params, images):
        features, logits = Network(num_classes).apply({"params": params}, images)
        return features, jax.nn.softmax(logits)

    return jax.jit(judge)
