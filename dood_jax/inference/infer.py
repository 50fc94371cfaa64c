"""Drawings of images, and their correction by gradient steps, in batches."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.config.model import ModelConfig
from dood_jax.inference.batching import in_batches
from dood_jax.model import dood, refinement
from dood_jax.model.networks import Params
from dood_jax.objectives import iwae
from dood_jax.runtime import parallel
from dood_jax.types import Array, BrushParams, Sketch


def infer(
    model: ModelConfig,
    params: Params,
    images: np.ndarray,
    keys: Array,
    num_particles: int,
    num_strokes: int,
    batch_size: int,
) -> Sketch:
    """Drawings of [N, H, W] images: of each image's particles, the one of highest ELBO."""
    devices = tuple(jax.local_devices())
    best = _compiled_infer(model, num_particles, num_strokes, devices)
    return in_batches(best, params, images, keys, batch_size, len(devices))


def optimize(
    model: ModelConfig, params: Params, images: np.ndarray, sketch: Sketch, num_steps: int, batch_size: int
) -> Sketch:
    """Drawings of [N, H, W] images, corrected by gradient steps on each (`model.refinement`).

    Images with as many strokes go together, so that strokes that are not drawn cost nothing.
    """
    counts = sketch.strokes.presence.sum(1).astype(int)
    devices = tuple(jax.local_devices())
    better = jax.tree_util.tree_map(np.array, sketch)
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        strokes = jax.tree_util.tree_map(lambda leaf: leaf[rows, :count], sketch.strokes)  # noqa: B023
        brushes = BrushParams(
            *(value[rows, :count] for value in sketch.brush[:2]), sketch.brush.canvas_slope[rows]
        )
        correct = _compiled_refine(model, num_steps, devices)
        found = in_batches(correct, params, images[rows], (strokes, brushes), batch_size, len(devices))
        better.strokes.control_points[rows, :count] = found.strokes.control_points
        better.brush.ink_width[rows, :count] = found.brush.ink_width
        better.brush.ink_slope[rows, :count] = found.brush.ink_slope
        better.brush.canvas_slope[rows] = found.brush.canvas_slope
        better.canvases[rows, :count] = found.canvases
        better.canvases[rows, count:] = found.canvases[:, -1:]
    return better


def best_particle(weigh: Callable[[Array], iwae.Particle], keys: Array) -> iwae.Particle:
    """The particle of highest ELBO among [K] keys; only the best so far is kept."""

    def better(best, key):
        new = weigh(key)
        chosen = lambda ours, theirs: jnp.where(new.elbo > best.elbo, ours, theirs)
        return jax.tree_util.tree_map(chosen, new, best), None

    nothing = jax.tree_util.tree_map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(weigh, keys[0])
    )
    return jax.lax.scan(better, nothing._replace(elbo=jnp.float32(-jnp.inf)), keys)[0]


@functools.lru_cache
def _compiled_infer(
    model: ModelConfig, num_particles: int, num_strokes: int, devices: tuple[jax.Device, ...]
) -> Callable[[Params, Array, Array], Sketch]:
    def one(params, image, key):
        weigh = functools.partial(iwae.sample_particle, model, params, image, num_strokes=num_strokes or None)
        drawing = best_particle(weigh, jax.random.split(key, num_particles)).drawing
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
