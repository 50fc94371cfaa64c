"""The importance-weighted bound of images: one for the training loop, the Python interface and every task."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.model import ModelConfig
from dood_jax.inference.batching import ResumeCache, in_batches
from dood_jax.inference.infer import best_particle
from dood_jax.model.networks import Params
from dood_jax.model.observation import SCALES
from dood_jax.objectives import iwae
from dood_jax.objectives.brush_code import BrushCode
from dood_jax.runtime import parallel
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.test_time import svi
from dood_jax.types import Array

_NUM_STARTS = 20  # drawings of an image, of which the posterior of the best one is optimised

_LogWeightsOf = Callable[[tuple[Params, BrushCode | None], Array, Array], iwae.LogWeights]


class Bound(NamedTuple):
    """The importance-weighted bound of N images, and the drawings that it was computed with."""

    log_likelihood: np.ndarray  # [N] the bound, in nats an image
    elbo: np.ndarray  # [N] mean over particles, in nats
    strokes: np.ndarray  # [N] number of strokes, mean over particles
    l1: np.ndarray  # [N] summed distance of image and canvas, mean over particles
    effective_samples: np.ndarray  # [N] of the particles

    def summary(self) -> dict[str, float]:
        """Means over the images, and the standard error of the bound's."""
        count = len(self.log_likelihood)
        means = {name: float(values.mean()) for name, values in self._asdict().items()}
        return {**means, "stderr": float(self.log_likelihood.std() / np.sqrt(max(count - 1, 1)))}


def bound(
    model: ModelConfig,
    params: Params,
    images: np.ndarray,
    keys: Array,
    evaluation: EvaluationConfig,
    group: DeviceGroup,
    cache: ResumeCache | None = None,
    code: BrushCode | None = None,
) -> Bound:
    """The bound of images under the model's own observation scale; the arguments are those of `bounds`.

    With `evaluation.optimize_steps` it is also under that scale that posteriors are optimised.
    """
    return bounds(model, params, images, keys, evaluation, group, cache, code)[model.likelihood_scale]


def bounds(
    model: ModelConfig,
    params: Params,
    images: np.ndarray,
    keys: Array,
    evaluation: EvaluationConfig,
    group: DeviceGroup,
    cache: ResumeCache | None = None,
    code: BrushCode | None = None,
) -> dict[str, Bound]:
    """The bounds of images under both observation scales, from the same drawings (method.md 10.1).

    Args:
      model: the model.
      params: its parameters, with both scales.
      images: [N, H, W] in 0..1.
      keys: [N] of the images.
      evaluation: how many particles and strokes, in batches of which size. With `optimize_steps` the
        posterior of each image is first optimised under the model's own scale (method.md 10.11).
      group: devices to use.
      cache: results of batches that need not be computed again.
      code: rounds the numbers of the brush and charges for their bits, if given.
    """
    particles, strokes = evaluation.num_particles, evaluation.num_strokes
    if evaluation.optimize_steps:
        sample = _compiled_optimized_weights(model, particles, strokes, evaluation.optimize_steps, group)
    else:
        sample = _compiled_weights(model, particles, strokes, evaluation.samples_per_posterior, group)
    num_devices = len(group.devices)
    weights = in_batches(sample, (params, code), images, keys, evaluation.batch_size, num_devices, cache)
    return {scale: _bound(weights, scale) for scale in SCALES}


def _bound(weights: iwae.LogWeights, scale: str) -> Bound:
    """The bound of N images, of weights with arrays [N, K]."""
    elbo = weights.elbo(scale)
    return Bound(
        log_likelihood=np.asarray(iwae.log_mean_exp(elbo.T)),
        elbo=np.asarray(elbo.mean(1)),
        strokes=np.asarray(weights.strokes.mean(1)),
        l1=np.asarray(weights.l1.mean(1)),
        effective_samples=np.asarray(iwae.effective_samples(elbo.T)),
    )


@functools.lru_cache
def _compiled_weights(
    model: ModelConfig, num_particles: int, num_strokes: int, samples_per_posterior: int, group: DeviceGroup
) -> _LogWeightsOf:
    def one(params_and_code, image, key):
        params, code = params_and_code
        return iwae.log_weights(
            model, params, image, key, num_particles, num_strokes or None, samples_per_posterior, code
        )

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)


@functools.lru_cache
def _compiled_optimized_weights(
    model: ModelConfig, num_particles: int, num_strokes: int, num_steps: int, group: DeviceGroup
) -> _LogWeightsOf:
    def one(params_and_code, image, key):
        params, code = params_and_code
        key_draw, key_optimize, key_particles = jax.random.split(key, 3)
        sample = functools.partial(
            iwae.sample_particle, model, params, image, num_strokes=num_strokes or None
        )
        start = best_particle(sample, jax.random.split(key_draw, _NUM_STARTS)).drawing
        posterior = svi.optimize_posterior(
            model, params, image, start.strokes, start.brush, key_optimize, num_steps
        )
        return svi.optimized_log_weights(model, params, image, posterior, key_particles, num_particles, code)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)
