"""The importance-weighted bound of images: one for the training loop, the Python interface and every task."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput
from dood_jax.inference.batching import ResumeCache, by_stroke_count, in_batches, in_parts
from dood_jax.inference.infer import Effort, first_drawings, infer
from dood_jax.inference.revisions import revised
from dood_jax.model.networks import Params
from dood_jax.model.observation import SCALES
from dood_jax.objectives import iwae
from dood_jax.objectives.brush_code import BrushCode
from dood_jax.runtime import parallel
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.test_time import svi
from dood_jax.test_time.revision import Keys
from dood_jax.types import Array

_NUM_STARTS = 20  # drawings of an image, of which the posterior of the best one is optimised

_ParamsAndCode = tuple[Params, BrushCode | None]


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
    if evaluation.revisions and not model.iterations:
        raise BadInput(
            f"evaluation.revisions={evaluation.revisions} needs a model with iterative inference; give 0"
        )
    if evaluation.optimize_steps:
        weigh = _optimized_weights
    elif evaluation.revisions:
        weigh = _revised_weights
    elif model.iterations and evaluation.samples_per_posterior == 1:  # iterations are most of the work
        weigh = _iterated_weights
    else:
        weigh = _weights
    of_part = functools.partial(weigh, model, evaluation, group)
    weights = in_parts(of_part, (params, code), images, keys, evaluation.batch_size, cache)
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


def _weights(
    model: ModelConfig,
    evaluation: EvaluationConfig,
    group: DeviceGroup,
    params_and_code: _ParamsAndCode,
    images: np.ndarray,
    keys: Array,
) -> iwae.LogWeights:
    """The log-weights of drawings of a part of the images, by one program."""
    weigh = _compiled_weights(
        model,
        evaluation.num_particles,
        evaluation.num_strokes,
        evaluation.samples_per_posterior,
        group,
    )
    return in_batches(weigh, params_and_code, images, keys, evaluation.batch_size, len(group.devices))


def _iterated_weights(
    model: ModelConfig,
    evaluation: EvaluationConfig,
    group: DeviceGroup,
    params_and_code: _ParamsAndCode,
    images: np.ndarray,
    keys: Array,
) -> iwae.LogWeights:
    """The same after iterative inference, drawings with about as many strokes together."""
    num_images, num_devices = len(images), len(group.devices)
    images, start, key_data = first_drawings(
        model, params_and_code[0], images, keys, evaluation.num_particles, evaluation.num_strokes, group
    )
    weigh = functools.partial(_compiled_iterated_weights, model, group)
    beside, presence = (start, key_data), np.asarray(start.strokes.presence)
    weights = by_stroke_count(weigh, params_and_code, images, beside, presence, num_devices)
    return jax.tree_util.tree_map(lambda leaf: leaf.reshape(num_images, -1), weights)


def _revised_weights(
    model: ModelConfig,
    evaluation: EvaluationConfig,
    group: DeviceGroup,
    params_and_code: _ParamsAndCode,
    images: np.ndarray,
    keys: Array,
) -> iwae.LogWeights:
    """The same after revisions too (method.md 5.2)."""
    num_images, num_devices, params = len(images), len(group.devices), params_and_code[0]
    samples = evaluation.samples_per_posterior
    images, start, key_data = first_drawings(
        model, params, images, keys, evaluation.num_particles // samples, evaluation.num_strokes, group
    )
    turns = evaluation.revisions
    found = revised(model, params, images, start, key_data, model.iterations, turns, group)
    weigh = functools.partial(_compiled_revised_weights, model, group, samples)
    beside, presence = (found, key_data), np.asarray(found.presence)
    weights = by_stroke_count(weigh, params_and_code, images, beside, presence, num_devices)
    return jax.tree_util.tree_map(lambda leaf: leaf.reshape(num_images, -1), weights)


def _optimized_weights(
    model: ModelConfig,
    evaluation: EvaluationConfig,
    group: DeviceGroup,
    params_and_code: _ParamsAndCode,
    images: np.ndarray,
    keys: Array,
) -> iwae.LogWeights:
    """The same of the posterior of each image's best drawing, optimised."""
    key_draw, keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    params = params_and_code[0]
    effort = Effort(_NUM_STARTS, evaluation.num_strokes, revisions=evaluation.revisions)
    best = infer(model, params, images, key_draw, effort, group)
    weigh = _compiled_optimized_weights(model, evaluation.num_particles, evaluation.optimize_steps, group)
    beside, num_devices = (best.strokes, best.brush, keys), len(group.devices)
    return in_batches(weigh, params_and_code, images, beside, evaluation.batch_size, num_devices)


@functools.lru_cache
def _compiled_weights(
    model: ModelConfig, num_particles: int, num_strokes: int, samples_per_posterior: int, group: DeviceGroup
) -> Callable[[_ParamsAndCode, Array, Array], iwae.LogWeights]:
    def one(params_and_code, image, key):
        params, code = params_and_code
        return iwae.log_weights(
            model, params, image, key, num_particles, num_strokes or None, samples_per_posterior, code
        )

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)


@functools.lru_cache
def _compiled_iterated_weights(
    model: ModelConfig, group: DeviceGroup, most_drawn: int
) -> Callable[[_ParamsAndCode, Array, Any], iwae.LogWeights]:
    def one(params_and_code, image, beside):
        params, code = params_and_code
        start, key = beside[0], jax.random.wrap_key_data(beside[1])
        return iwae.posterior_log_weights(model, params, image, start, key, 1, code, most_drawn)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)


@functools.lru_cache
def _compiled_revised_weights(
    model: ModelConfig, group: DeviceGroup, num_samples: int, most_drawn: int
) -> Callable[[_ParamsAndCode, Array, Any], iwae.LogWeights]:
    def one(params_and_code, image, beside):
        params, code = params_and_code
        found, key = beside[0], Keys.of(beside[1]).sample
        posterior = found.first(most_drawn)
        return iwae.iterated_log_weights(model, params, image, found.start, posterior, key, num_samples, code)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)


@functools.lru_cache
def _compiled_optimized_weights(
    model: ModelConfig, num_particles: int, num_steps: int, group: DeviceGroup
) -> Callable[[_ParamsAndCode, Array, Any], iwae.LogWeights]:
    def one(params_and_code, image, beside):
        params, code = params_and_code
        strokes, brush, key = beside
        key_optimize, key_particles = jax.random.split(key)
        posterior = svi.optimize_posterior(model, params, image, strokes, brush, key_optimize, num_steps)
        return svi.optimized_log_weights(model, params, image, posterior, key_particles, num_particles, code)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)
