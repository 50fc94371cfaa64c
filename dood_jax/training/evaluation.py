"""Inference and held-out measurements, the same in the training loop, the Python interface and every task."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.data.sampler import stream
from dood_jax.data.synthetic import random_drawing
from dood_jax.model import dood, refinement
from dood_jax.model.config import ModelConfig
from dood_jax.model.likelihood import SCALE_RANGE, SCALES
from dood_jax.model.networks import Params
from dood_jax.objective import importance, refined
from dood_jax.training import datasets, parallel
from dood_jax.training.config import DataConfig, EvaluationConfig
from dood_jax.types import Array, BrushParams, Sketch

SYNTHETIC_TEST_SEED = 1_000_003  # keys of held-out synthetic drawings, apart from training seeds
_SYNTHETIC_SIZE = 10_000


_TRIED = 20  # drawings of a picture, of which the best is refined


class Kept(Protocol):
    """Keeps the weights of finished batches, so that an interrupted measurement goes on where it was."""

    def get(self, start: int) -> importance.Weights | None:
        """The weights of the batch that begins at a picture, if they were kept."""

    def put(self, start: int, weights: importance.Weights) -> None:
        """Keeps the weights of the batch that begins at a picture."""


class Bound(NamedTuple):
    """The importance-weighted bound of N pictures and what was drawn for it."""

    log_likelihood: np.ndarray  # [N] nats a picture
    elbo: np.ndarray  # [N] mean over particles
    strokes: np.ndarray  # [N] mean over particles
    l1: np.ndarray  # [N] mean over particles
    effective_samples: np.ndarray  # [N]

    def summary(self) -> dict[str, float]:
        """Means over pictures, and the standard error of the bound."""
        count = len(self.log_likelihood)
        means = {name: float(values.mean()) for name, values in self._asdict().items()}
        return {**means, "stderr": float(self.log_likelihood.std() / np.sqrt(max(count - 1, 1)))}


def held_out_images(data: DataConfig, evaluation: EvaluationConfig) -> np.ndarray:
    """float32 [N, H, W] in 0..1: the same random test pictures every time; all of them for `num_images=0`."""
    if data.is_synthetic:
        return synthetic_images(data, SYNTHETIC_TEST_SEED, evaluation.num_images or _SYNTHETIC_SIZE)
    images = datasets.load(data, "test").images
    return images[held_out_rows(len(images), evaluation)].astype(np.float32) / 255


def held_out_rows(count: int, evaluation: EvaluationConfig) -> np.ndarray:
    """Which of so many test pictures are measured, in order."""
    chosen = np.random.default_rng(evaluation.seed).permutation(count)
    return np.sort(chosen[: evaluation.num_images or count])


def blank_canvas_log_likelihood(data: DataConfig, images: np.ndarray) -> float:
    """Mean nats of [N, H, W] pictures if nothing is drawn: the floor under every model's number.

    The scale of each pixel is the mean distance of the training pictures from blank, its best value, within
    the range that models have.
    """
    if data.is_synthetic:
        mean = synthetic_images(data, SYNTHETIC_TEST_SEED + 1, _SYNTHETIC_SIZE).mean(0, dtype=np.float64)
    else:
        mean = datasets.load(data, "train").images.mean(0, dtype=np.float64) / 255
    scale = np.clip(mean, *SCALE_RANGE)
    return float((-images / scale - np.log(2 * scale)).sum((1, 2)).mean())


def synthetic_images(data: DataConfig, seed: int, count: int) -> np.ndarray:
    """float32 [N, H, W] synthetic drawings, 0..1, by seed and place alone."""
    keys = example_keys(jax.random.key(seed), count)
    draw = lambda key: random_drawing(key, data.image_size).image
    return np.asarray(jax.jit(lambda keys: jax.lax.map(draw, keys, batch_size=64))(keys))


def held_out_keys(evaluation: EvaluationConfig, count: int) -> Array:
    """[N] keys of the held-out pictures."""
    return example_keys(stream(evaluation.seed, "evaluation"), count)


def example_keys(key: Array, count: int) -> Array:
    """[N] keys of the pictures of a set, by their place in it."""
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(count))


def bound(
    model: ModelConfig,
    params: Params,
    images: np.ndarray,
    keys: Array,
    evaluation: EvaluationConfig,
    devices: Sequence[jax.Device],
) -> Bound:
    """The bound of [N, H, W] pictures under the model's own observation scale (method.md 10.1)."""
    return bounds(model, params, images, keys, evaluation, devices)[model.likelihood_scale]


def bounds(
    model: ModelConfig,
    params: Params,
    images: np.ndarray,
    keys: Array,
    evaluation: EvaluationConfig,
    devices: Sequence[jax.Device],
    kept: Kept | None = None,
) -> dict[str, Bound]:
    """Bounds of [N, H, W] pictures under both observation scales, from the same drawings.

    `evaluation.num_particles` a picture (method.md 10.1).
    """
    weigh = _compiled_weights(
        model,
        evaluation.num_particles,
        evaluation.num_strokes,
        evaluation.samples_per_look,
        tuple(devices),
    )
    weights = in_batches(weigh, params, images, keys, evaluation.batch_size, len(devices), kept)
    return {scale: _bound(weights, scale) for scale in SCALES}


def refined_bound(
    model: ModelConfig,
    params: Params,
    images: np.ndarray,
    keys: Array,
    evaluation: EvaluationConfig,
    devices: Sequence[jax.Device],
    kept: Kept | None = None,
) -> Bound:
    """The bound with posteriors that `evaluation.refine_steps` gradient steps fitted to each picture.

    Climbed and measured under the model's own scale (method.md 10.11).
    """
    weigh = _compiled_refined_weights(
        model,
        evaluation.num_particles,
        evaluation.num_strokes,
        evaluation.refine_steps,
        tuple(devices),
    )
    weights = in_batches(weigh, params, images, keys, evaluation.batch_size, len(devices), kept)
    return _bound(weights, model.likelihood_scale)


def _bound(weights: importance.Weights, scale: str) -> Bound:
    elbo = weights.elbo(scale)
    return Bound(
        log_likelihood=np.asarray(importance.log_mean_exp(elbo.T)),
        elbo=elbo.mean(1),
        strokes=weights.strokes.mean(1),
        l1=weights.l1.mean(1),
        effective_samples=np.asarray(importance.effective_samples(elbo.T)),
    )


def infer(
    model: ModelConfig,
    params: Params,
    images: np.ndarray,
    keys: Array,
    num_particles: int,
    num_strokes: int,
    batch_size: int,
) -> Sketch:
    """Drawings of [N, H, W] pictures: of each picture's particles, the one of highest ELBO."""
    devices = tuple(jax.local_devices())
    best = _compiled_infer(model, num_particles, num_strokes, devices)
    return in_batches(best, params, images, keys, batch_size, len(devices))


def refine(
    model: ModelConfig, params: Params, images: np.ndarray, sketch: Sketch, num_steps: int, batch_size: int
) -> Sketch:
    """Drawings of [N, H, W] pictures, corrected by gradient steps on each (`model.refinement`).

    Pictures with as many strokes go together, so that strokes that are not drawn cost nothing.
    """
    counts = sketch.strokes.presence.sum(1).astype(int)
    devices = tuple(jax.local_devices())
    better = jax.tree_util.tree_map(np.array, sketch)
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        strokes = jax.tree_util.tree_map(lambda leaf: leaf[rows, :count], sketch.strokes)  # noqa: B023
        pens = BrushParams(
            *(value[rows, :count] for value in sketch.brush[:2]), sketch.brush.canvas_slope[rows]
        )
        correct = _compiled_refine(model, num_steps, devices)
        found = in_batches(correct, params, images[rows], (strokes, pens), batch_size, len(devices))
        better.strokes.control_points[rows, :count] = found.strokes.control_points
        better.brush.ink_width[rows, :count] = found.brush.ink_width
        better.brush.ink_slope[rows, :count] = found.brush.ink_slope
        better.brush.canvas_slope[rows] = found.brush.canvas_slope
        better.canvases[rows, :count] = found.canvases
        better.canvases[rows, count:] = found.canvases[:, -1:]
    return better


def in_batches(
    function: Callable,
    params: Params,
    images: np.ndarray,
    beside: Any,
    batch_size: int,
    num_devices: int = 1,
    kept: Kept | None = None,
) -> Any:
    """Applies (params, [B, H, W], [B] keys or other) -> [B, ...] to N pictures; all batches have one size.

    Fewer pictures than a batch are padded to a power of two, so that few sizes are ever compiled. Batches
    whose results were kept are not computed again, unless several processes compute them together.
    """
    kept = kept if jax.process_count() == 1 else None
    size = min(batch_size, 1 << (len(images) - 1).bit_length())
    size += -size % num_devices
    results = []
    for start in range(0, len(images), size):
        result = kept.get(start) if kept else None
        if result is None:
            indices = np.minimum(np.arange(start, start + size), len(images) - 1)
            taken = jax.tree_util.tree_map(lambda leaf: leaf[indices], beside)  # noqa: B023 - called at once
            result = jax.device_get(function(params, images[indices], taken))
            if kept:
                kept.put(start, result)
        results.append(result)
    return jax.tree_util.tree_map(lambda *parts: np.concatenate(parts)[: len(images)], *results)


@functools.lru_cache
def _compiled_weights(
    model: ModelConfig,
    num_particles: int,
    num_strokes: int,
    samples_per_look: int,
    devices: tuple[jax.Device, ...],
) -> Callable[[Params, Array, Array], importance.Weights]:
    def one(params, image, key):
        return importance.weights(
            model, params, image, key, num_particles, num_strokes or None, samples_per_look
        )

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), devices)


@functools.lru_cache
def _compiled_refined_weights(
    model: ModelConfig,
    num_particles: int,
    num_strokes: int,
    num_steps: int,
    devices: tuple[jax.Device, ...],
) -> Callable[[Params, Array, Array], importance.Weights]:
    def one(params, image, key):
        key_draw, key_refine, key_weigh = jax.random.split(key, 3)
        weigh = functools.partial(importance.weigh, model, params, image, num_strokes=num_strokes or None)
        found = _best_particle(weigh, jax.random.split(key_draw, _TRIED)).drawing
        drawn = (found.strokes, found.brush)
        posterior = refined.refine_posterior(model, params, image, *drawn, key_refine, num_steps)
        return refined.refined_weights(model, params, image, posterior, key_weigh, num_particles)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), devices)


@functools.lru_cache
def _compiled_infer(
    model: ModelConfig, num_particles: int, num_strokes: int, devices: tuple[jax.Device, ...]
) -> Callable[[Params, Array, Array], Sketch]:
    def one(params, image, key):
        weigh = functools.partial(importance.weigh, model, params, image, num_strokes=num_strokes or None)
        drawing = _best_particle(weigh, jax.random.split(key, num_particles)).drawing
        return Sketch(
            drawing.strokes, drawing.brush, dood.render(model, params, drawing.strokes, drawing.brush)
        )

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), devices)


@functools.lru_cache
def _compiled_refine(
    model: ModelConfig, num_steps: int, devices: tuple[jax.Device, ...]
) -> Callable[[Params, Array, Any], Sketch]:
    def one(params, image, drawn):
        strokes, brush = refinement.refine(model, params, image, *drawn, num_steps)
        return Sketch(strokes, brush, dood.render(model, params, strokes, brush))

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), devices)


def _best_particle(weigh: Callable[[Array], importance.Particle], keys: Array) -> importance.Particle:
    """The particle of highest ELBO among [K] keys; only the best so far is kept."""

    def better(best, key):
        new = weigh(key)
        chosen = lambda ours, theirs: jnp.where(new.elbo > best.elbo, ours, theirs)
        return jax.tree_util.tree_map(chosen, new, best), None

    nothing = jax.tree_util.tree_map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(weigh, keys[0])
    )
    return jax.lax.scan(better, nothing._replace(elbo=jnp.float32(-jnp.inf)), keys)[0]
