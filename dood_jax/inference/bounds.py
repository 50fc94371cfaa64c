"""Bounds of held-out images, the same in the training loop, the Python interface and every task."""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from dood_jax.config.groups import EvaluationConfig
from dood_jax.config.model import ModelConfig
from dood_jax.inference.batching import Kept, in_batches
from dood_jax.inference.infer import best_particle
from dood_jax.model.likelihood import SCALES
from dood_jax.model.networks import Params
from dood_jax.objectives import iwae
from dood_jax.objectives.brush_code import BrushCode
from dood_jax.runtime import parallel
from dood_jax.test_time import svi
from dood_jax.types import Array

_TRIED = 20  # drawings of an image, of which the best is refined


class Bound(NamedTuple):
    """The importance-weighted bound of N images and what was drawn for it."""

    log_likelihood: np.ndarray  # [N] nats an image
    elbo: np.ndarray  # [N] mean over particles
    strokes: np.ndarray  # [N] mean over particles
    l1: np.ndarray  # [N] mean over particles
    effective_samples: np.ndarray  # [N]

    def summary(self) -> dict[str, float]:
        """Means over images, and the standard error of the bound."""
        count = len(self.log_likelihood)
        means = {name: float(values.mean()) for name, values in self._asdict().items()}
        return {**means, "stderr": float(self.log_likelihood.std() / np.sqrt(max(count - 1, 1)))}


def bound(
    model: ModelConfig,
    params: Params,
    images: np.ndarray,
    keys: Array,
    evaluation: EvaluationConfig,
    devices: Sequence[jax.Device],
    kept: Kept | None = None,
    code: BrushCode | None = None,
) -> Bound:
    """The bound of [N, H, W] images under the model's own observation scale (method.md 10.1).

    With `evaluation.optimize_steps` the posterior of each image is refined first, under that scale (10.11).
    """
    return bounds(model, params, images, keys, evaluation, devices, kept, code)[model.likelihood_scale]


def bounds(
    model: ModelConfig,
    params: Params,
    images: np.ndarray,
    keys: Array,
    evaluation: EvaluationConfig,
    devices: Sequence[jax.Device],
    kept: Kept | None = None,
    code: BrushCode | None = None,
) -> dict[str, Bound]:
    """Bounds of [N, H, W] images under both observation scales, from the same drawings.

    `evaluation.num_particles` an image (method.md 10.1); refined ones climbed the model's own scale alone. A
    `code` rounds and charges the brush.
    """
    asked = (evaluation.num_particles, evaluation.num_strokes)
    if evaluation.optimize_steps:
        weigh = _compiled_refined_weights(model, *asked, evaluation.optimize_steps, tuple(devices))
    else:
        weigh = _compiled_weights(model, *asked, evaluation.samples_per_posterior, tuple(devices))
    weights = in_batches(weigh, (params, code), images, keys, evaluation.batch_size, len(devices), kept)
    return {scale: _bound(weights, scale) for scale in SCALES}


def _bound(weights: iwae.LogWeights, scale: str) -> Bound:
    elbo = weights.elbo(scale)
    return Bound(
        log_likelihood=np.asarray(iwae.log_mean_exp(elbo.T)),
        elbo=elbo.mean(1),
        strokes=weights.strokes.mean(1),
        l1=weights.l1.mean(1),
        effective_samples=np.asarray(iwae.effective_samples(elbo.T)),
    )


@functools.lru_cache
def _compiled_weights(
    model: ModelConfig,
    num_particles: int,
    num_strokes: int,
    samples_per_posterior: int,
    devices: tuple[jax.Device, ...],
) -> Callable[[tuple[Params, BrushCode | None], Array, Array], iwae.LogWeights]:
    def one(params_and_code, image, key):
        params, code = params_and_code
        return iwae.log_weights(
            model, params, image, key, num_particles, num_strokes or None, samples_per_posterior, code
        )

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), devices)


@functools.lru_cache
def _compiled_refined_weights(
    model: ModelConfig,
    num_particles: int,
    num_strokes: int,
    num_steps: int,
    devices: tuple[jax.Device, ...],
) -> Callable[[tuple[Params, BrushCode | None], Array, Array], iwae.LogWeights]:
    def one(params_and_code, image, key):
        params, code = params_and_code
        key_draw, key_refine, key_weigh = jax.random.split(key, 3)
        weigh = functools.partial(iwae.sample_particle, model, params, image, num_strokes=num_strokes or None)
        found = best_particle(weigh, jax.random.split(key_draw, _TRIED)).drawing
        drawn = (found.strokes, found.brush)
        posterior = svi.optimize_posterior(model, params, image, *drawn, key_refine, num_steps)
        return svi.optimized_log_weights(model, params, image, posterior, key_weigh, num_particles, code)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), devices)
