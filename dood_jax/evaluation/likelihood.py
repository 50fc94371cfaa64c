"""The task `likelihood`: the importance-weighted bound on test images (method.md 4, 10.1).

It is measured under both observation scales. A released model has both; for any other model the scale that it
was not trained with is fitted first. With `evaluation.optimize_steps` the posterior of every image is
optimised before (method.md 10.11), and the name of the result ends in `-optimized`. A killed measurement goes
on from its resume cache.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dood_jax.api import Model
from dood_jax.config.groups import Config, DataConfig
from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput
from dood_jax.evaluation import results
from dood_jax.evaluation.resume_cache import CachedLogWeights
from dood_jax.inference import bounds, image_sets
from dood_jax.inference.bounds import Bound
from dood_jax.inference.infer import training_drawings
from dood_jax.model.networks import Params
from dood_jax.model.observation import DENSITIES, SCALE_RANGE, SCALES
from dood_jax.objectives import brush_code
from dood_jax.objectives.brush_code import BrushCode
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.test_time import scales

_AT_A_TIME = 1024  # training images


def run(models: Sequence[Model], config: Config, workdir: Path) -> dict[str, Any]:
    """Measures one model on `data.name` and writes `likelihood-<dataset>.json`."""
    (model,) = models
    measurement = results.Measurement("likelihood", config, models)
    images = image_sets.test_images(config.data, config.evaluation)
    values, caches = measure(model, config, images, workdir)
    seconds_before = sum(cache.seconds_before for cache in caches)
    measurement.write(workdir, values, len(images), seconds_before=seconds_before)
    for cache in caches:
        cache.discard()
    return values


def measure(
    model: Model, config: Config, images: np.ndarray, workdir: Path, params: Params | None = None
) -> tuple[dict[str, Any], list[CachedLogWeights]]:
    """The values of `likelihood-<dataset>.json` for a model on [N, H, W] images.

    Args:
      model: to be measured.
      config: its `evaluation` says with how many particles.
      images: test images in 0..1.
      workdir: holds the resume caches in its folder `results`.
      params: the model's parameters with both scales, where these were fitted already.

    Returns:
      The values, and the resume caches, to be discarded once the values are saved.
    """
    blank_canvas = blank_canvas_log_likelihood(model.config, config.data, images)
    params = params or with_both_scales(model, config)
    found, caches = _bounds(model, config, params, images, workdir / "results")
    summaries = {scale: bound.summary() for scale, bound in found.items()}
    own = summaries[model.config.likelihood_scale]
    values = {
        **{f"log_likelihood_{scale}": _bound_values(summary) for scale, summary in summaries.items()},
        "blank_canvas": blank_canvas,
        **{name: own[name] for name in ("elbo", "effective_samples", "strokes", "l1")},
    }
    return values, caches


def blank_canvas_log_likelihood(model: ModelConfig, data: DataConfig, images: np.ndarray) -> float:
    """Mean nats of [N, H, W] images where nothing is drawn: the floor under the number of a model.

    Every pixel has the scale that is most likely on a blank canvas, of all training images, within the range
    that the model has (method.md 4).
    """
    trained = image_sets.all_training_images(data)
    power = {"laplace": 1, "normal": 2}[model.likelihood]  # the mean error, or the root of the mean square
    parts = np.array_split(trained, max(1, len(trained) // _AT_A_TIME))
    total = sum(((part / 255) ** power).sum(0) for part in parts)
    deviation = (total / len(trained)) ** (1 / power)
    scale = np.clip(deviation, model.least_scale, SCALE_RANGE[1]).astype(np.float32)
    nats = lambda image: DENSITIES[model.likelihood](image, np.zeros_like(scale), scale)
    return float(np.mean(np.asarray(jax.lax.map(nats, images)), dtype=np.float64))


def _bound_values(summary: dict[str, float]) -> dict[str, float]:
    """The numbers of one scale, as they are stored."""
    others = {name: summary[name] for name in ("stderr", "elbo", "effective_samples")}
    return {"mean": summary["log_likelihood"], **others}


def _bounds(
    model: Model, config: Config, params: Params, images: np.ndarray, folder: Path
) -> tuple[dict[str, Bound], list[CachedLogWeights]]:
    """The bound under each scale, and the resume caches that it was computed with.

    One set of drawings serves both scales, unless posteriors are optimised, which is done for each scale.
    """
    settings, group = config.evaluation, DeviceGroup.all(config.training.parallel)
    keys = image_sets.evaluation_keys(settings, len(images))
    code = _brush_code(model, config, params)
    if not settings.optimize_steps:
        cache = CachedLogWeights(folder, model, config, images, params)
        return bounds.bounds(model.config, params, images, keys, settings, group, cache, code), [cache]
    found, caches = {}, []
    for scale in SCALES:
        cache = CachedLogWeights(folder, model, config, images, params, scale)
        under = dataclasses.replace(model.config, likelihood_scale=scale)
        found[scale] = bounds.bound(under, params, images, keys, settings, group, cache, code)
        caches.append(cache)
    return found, caches


def has_both_scales(model: Model) -> bool:
    """Whether the parameters hold both observation scales, so that none has to be fitted."""
    return "fitted_scale" in model.meta and not results.differs_in_source_size(model)


def with_both_scales(model: Model, config: Config) -> Params:
    """The model's parameters with the observation scales that it lacks, fitted on its own training set.

    A released model lacks none. A model that compares images at another source resolution than in training
    lacks both, because the errors of its drawings are others there.
    """
    if has_both_scales(model):
        return model.params
    missing = SCALES if results.differs_in_source_size(model) else (scales.other_scale(model.config),)
    images, sketch = training_drawings(model.config, model.params, results.training_data_of(model, config))
    drawn = np.asarray(sketch.canvases[:, -1])
    return scales.fit_scales(model.config, model.params, images, drawn, missing)


def _brush_code(model: Model, config: Config, params: Params) -> BrushCode | None:
    """With `evaluation.brush_bits` the prior of brushes, fitted to drawings of training images."""
    bits = config.evaluation.brush_bits
    if not bits:
        return None
    if not model.config.iterations:
        raise BadInput(f"evaluation.brush_bits={bits} needs a model with iterative inference; give 0")
    if model.config.has_latent_brush:
        raise BadInput(f"evaluation.brush_bits={bits}, but this model's bound has paid for brushes; give 0")
    _, sketch = training_drawings(model.config, params, results.training_data_of(model, config))
    return brush_code.fit(model.config, sketch.brush, np.asarray(sketch.strokes.presence), bits)
