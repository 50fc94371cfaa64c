"""Fits observation scales to what a trained model draws; its drawings stay as they are (method.md 4).

The map has a closed form, the error of each pixel. The weights of the canvas features are found by Adam.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.config.model import ModelConfig
from dood_jax.distributions import pixels
from dood_jax.model.networks import Params
from dood_jax.model.observation import SCALE_RANGE
from dood_jax.objectives.elbo import log_likelihood
from dood_jax.rendering.source_grid import to_source_grid
from dood_jax.test_time.optimize import descend
from dood_jax.types import Array

_STEPS, _BATCH = 400, 128
_RATES = (0.1, 0.005)  # of Adam, first and last
_SEED = 0
_MOST_LIKELY_SCALE = {
    "laplace": pixels.most_likely_laplace_scale,
    "normal": pixels.most_likely_normal_scale,
}
_INSIDE = 1e-4  # how far within its range a fitted map stays


def other_scale(model: ModelConfig) -> str:
    """The scale that a model was not trained with."""
    return "canvas" if model.likelihood_scale == "map" else "map"


def fit_scales(
    model: ModelConfig, params: Params, images: np.ndarray, canvases: np.ndarray, kinds: Sequence[str]
) -> Params:
    """The parameters with observation scales fitted to drawings of training images.

    Args:
      model: whose drawings they are.
      params: its parameters.
      images: [N, H, W] training images.
      canvases: [N, H, W] what the model drew of them.
      kinds: of the scales to fit, `map` or `canvas`.
    """
    fitted = {}
    if "map" in kinds:
        on_grid = jax.vmap(functools.partial(to_source_grid, model.source_size))(
            jnp.asarray(images), jnp.asarray(canvases)
        )
        scale = _MOST_LIKELY_SCALE[model.likelihood](jnp.asarray(images), on_grid)
        fitted["map"] = _fitted_map(model, scale)
    if "canvas" in kinds:
        fitted["canvas"] = _fitted_weights(model, params, images, canvases)
    return {**params, "likelihood": {**params["likelihood"], **fitted}}


def _fitted_map(model: ModelConfig, scale: Array) -> Array:
    """[H, W] raw numbers of a scale, which is kept within its range."""
    low, high = model.least_scale, SCALE_RANGE[1]
    fraction = (np.asarray(scale) - low) / (high - low)
    fraction = np.clip(fraction, _INSIDE, 1 - _INSIDE)
    return jnp.asarray(np.log(fraction / (1 - fraction)), jnp.float32)


def _fitted_weights(model: ModelConfig, params: Params, images: np.ndarray, canvases: np.ndarray) -> Array:
    """[14] weights of the canvas features."""
    all_images, all_canvases = jnp.asarray(images), jnp.asarray(canvases)

    def loss(weights: Array, key: Array) -> Array:
        rows = jax.random.randint(key, (_BATCH,), 0, len(all_images))
        fitted = {**params, "likelihood": {**params["likelihood"], "canvas": weights}}
        nats = lambda image, canvas: log_likelihood(model, fitted, image, canvas, "canvas")
        return -jax.vmap(nats)(all_images[rows], all_canvases[rows]).mean() / all_images[0].size

    start = jnp.zeros_like(params["likelihood"]["canvas"])
    keys = jax.random.split(jax.random.key(_SEED), _STEPS)
    first, last = _RATES
    return jax.jit(lambda start: descend(jax.grad(loss), start, first, keys, last_fraction=last / first))(
        start
    )
