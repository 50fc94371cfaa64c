"""Drawings of images, and their correction by gradient steps, in batches."""

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.config.groups import DataConfig
from dood_jax.config.model import ModelConfig
from dood_jax.inference import batching
from dood_jax.inference.batching import by_stroke_count, example_keys, in_batches, in_parts, take
from dood_jax.runtime import kept, parallel
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.types import Array, Sketch, Start

# The networks take half a second to import, and a program that is kept need not be traced by them; so each
# function that is traced imports them itself.
if TYPE_CHECKING:
    from dood_jax.model.iterative_inference import IteratedPosterior
    from dood_jax.model.networks import Params
    from dood_jax.objectives import iwae

_TRAINING_IMAGES, _TRAINING_SEED = 1024, 0  # that `training_drawings` are of
_BATCH_SIZE = 64
_WINDOWS_AT_ONCE = 16  # of a page: a drawing often has about as many


class Effort(NamedTuple):
    """How well drawings are inferred."""

    num_particles: int = 1  # drawings of each image, of which the one with the highest ELBO is taken
    num_strokes: int = 0  # most strokes of a drawing, T; 0: as trained
    iterations: int | None = None  # of iterative inference; as trained if None, 0 is the first pass alone
    revisions: int = 0  # of drawings that were iterated (method.md 5.2)


def infer(
    model: ModelConfig,
    params: "Params",
    images: np.ndarray,
    keys: Array,
    effort: Effort,
    group: DeviceGroup | None = None,
) -> Sketch:
    """Draws images.

    Args:
      model: the model.
      params: its parameters.
      images: [N, H, W] in 0..1.
      keys: [N] of the images.
      effort: how well.
      group: devices to use; those of this process unless given.

    Returns:
      N drawings, with [N, T, H, W] canvases.
    """
    group = group or DeviceGroup.local()
    iterations = model.iterations if effort.iterations is None else effort.iterations
    if iterations:
        correct = functools.partial(_corrected, model, effort, iterations, group)
        return in_parts(correct, params, images, keys, _BATCH_SIZE)
    best = _compiled_infer(model, effort.num_particles, effort.num_strokes, group)
    return in_batches(best, params, images, keys, _BATCH_SIZE, len(group.devices))


def first_drawings(
    model: ModelConfig,
    params: "Params",
    images: np.ndarray,
    keys: Array,
    num_starts: int,
    num_strokes: int,
    group: DeviceGroup,
) -> tuple[np.ndarray, Start, np.ndarray]:
    """What iterations of inference start from: so many first passes of each image.

    Args:
      model: the model.
      params: its parameters.
      images: [N, H, W] in 0..1.
      keys: [N] of the images.
      num_starts: S of each image.
      num_strokes: most strokes of a drawing; 0: as trained.
      group: devices to use.

    Returns:
      [N S, H, W] images, as many drawings of them, one image after the other, and the data of keys for what
      follows.
    """
    rows, which = np.repeat(np.arange(len(images)), num_starts), np.tile(np.arange(num_starts), len(images))
    images, beside = images[rows], (take(keys, rows), which)
    if batching.are_few(len(images), len(group.devices)):
        model = _compiled_sooner(model)
    draw = _compiled_first(model, num_starts, num_strokes, group)
    start, key_data = in_batches(draw, params, images, beside, _BATCH_SIZE, len(group.devices))
    return images, start, key_data


def first_curves(
    model: ModelConfig, params: "Params", windows: np.ndarray, keys: Array
) -> tuple[np.ndarray, np.ndarray]:
    """Draws [N, H, W] windows of a page by the first pass alone.

    Returns:
      [N, T, S, 2] points along strokes in drawing order, in the unit square, and [N, T] presence.
    """
    return in_batches(_compiled_curves(_compiled_sooner(model)), params, windows, keys, _WINDOWS_AT_ONCE)


def training_drawings(model: ModelConfig, params: "Params", data: DataConfig) -> tuple[np.ndarray, Sketch]:
    """Up to 1,024 training images, always the same, and what a trained model draws of them.

    Returns:
      float32 [N, H, W] images, and N drawings.
    """
    from dood_jax.data import example_stream
    from dood_jax.inference import image_sets

    images = image_sets.training_images(data, _TRAINING_IMAGES, _TRAINING_SEED)
    keys = example_keys(example_stream.purpose_key(_TRAINING_SEED, "evaluation"), len(images))
    return images, infer(model, params, images, keys, Effort())


def optimize(
    model: ModelConfig, params: "Params", images: np.ndarray, sketch: Sketch, num_steps: int, batch_size: int
) -> Sketch:
    """Drawings of [N, H, W] images, each corrected by gradient steps; the order of strokes stays."""
    group = DeviceGroup.local()
    # Images with the same number of strokes go together, so that strokes that are not drawn cost nothing.
    counts = sketch.strokes.presence.sum(1).astype(int)
    better = jax.tree_util.tree_map(np.array, sketch)
    for count in np.unique(counts[counts > 0]):
        rows = np.flatnonzero(counts == count)
        firsts = lambda leaf: leaf[rows, :count]  # noqa: B023
        strokes = jax.tree_util.tree_map(firsts, sketch.strokes)
        of_strokes = jax.tree_util.tree_map(firsts, sketch.brush._replace(canvas_slope=None))
        brushes = of_strokes._replace(canvas_slope=sketch.brush.canvas_slope[rows])
        correct = _compiled_optimize(model, num_steps, group)
        found = in_batches(correct, params, images[rows], (strokes, brushes), batch_size, len(group.devices))
        better.strokes.control_points[rows, :count] = found.strokes.control_points
        better.brush.ink_width[rows, :count] = found.brush.ink_width
        better.brush.ink_slope[rows, :count] = found.brush.ink_slope
        better.brush.canvas_slope[rows] = found.brush.canvas_slope
        if found.brush.taper is not None:
            better.brush.taper[rows, :count] = found.brush.taper
        better.canvases[rows, :count] = found.canvases
        better.canvases[rows, count:] = found.canvases[:, -1:]
    return better


def best_particle(sample: Callable[[Array], "iwae.Particle"], keys: Array) -> "iwae.Particle":
    """The particle of highest ELBO among [K] keys; only the best so far is kept."""

    def better(best, key):
        new = sample(key)
        chosen = lambda ours, theirs: jnp.where(new.elbo > best.elbo, ours, theirs)
        return jax.tree_util.tree_map(chosen, new, best), None

    nothing = jax.tree_util.tree_map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(sample, keys[0])
    )
    return jax.lax.scan(better, nothing._replace(elbo=jnp.float32(-jnp.inf)), keys)[0]


def _compiled_sooner(model: ModelConfig) -> ModelConfig:
    """The same model, whose first pass takes half as long to compile and some hundredths more to run.

    That is what the first answer waits for; its results are the same bits.
    """
    return dataclasses.replace(model, unroll=1)


def _corrected(
    model: ModelConfig,
    effort: Effort,
    iterations: int,
    group: DeviceGroup,
    params: "Params",
    images: np.ndarray,
    keys: Array,
) -> Sketch:
    """Drawings of [N, H, W] images after iterative inference, of each the best of so many."""
    count, (num_particles, num_strokes, _, revisions) = len(images), effort
    images, start, key_data = first_drawings(model, params, images, keys, num_particles, num_strokes, group)
    num_devices = len(group.devices)
    correct = functools.partial(_compiled_correct, model, iterations, group, num_particles > 1)
    beside: Any = (start, key_data)
    presence = start.strokes.presence
    if revisions:
        from dood_jax.inference.revisions import revised

        found = revised(model, params, images, start, key_data, iterations, revisions, group)
        correct = functools.partial(_compiled_finish, model, group, num_particles > 1)
        beside, presence = (found, key_data), found.presence
    sketch, elbo = by_stroke_count(correct, params, images, beside, np.asarray(presence), num_devices)
    best = np.arange(count) * num_particles + elbo.reshape(count, num_particles).argmax(1)
    return sketch[best]


@functools.lru_cache
def _compiled_first(
    model: ModelConfig, num_starts: int, num_strokes: int, group: DeviceGroup
) -> Callable[["Params", Array, Any], tuple[Start, Array]]:
    def one(params, image, beside):
        from dood_jax.model.drawing import first_pass

        key, which = beside
        key_first, key_after = jax.random.split(jax.random.split(key, num_starts)[which])
        first = first_pass(model, params, image, key_first, num_strokes=num_strokes or None)
        start = Start(first.strokes, first.brush, first.posterior)
        return start, jax.random.key_data(key_after)

    kept_as = f"first {model} {num_starts} {num_strokes}"
    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group, kept_as)


@functools.lru_cache
def _compiled_curves(model: ModelConfig) -> Callable[["Params", Array, Array], tuple[Array, Array]]:
    def one(params, window, key):
        from dood_jax import geometry
        from dood_jax.model.drawing import first_pass

        strokes = first_pass(model, params, window, jax.random.split(key, 1)[0]).strokes
        placed = geometry.place_strokes(strokes.layout, strokes.control_points)
        curve = lambda points: geometry.bezier_curve(points, model.curve_samples)[
            ::-1
        ]  # it begins at the last
        return jax.vmap(curve)(placed), strokes.presence

    return kept.program(f"curves {model}", lambda: jax.vmap(one, in_axes=(None, 0, 0)))


@functools.lru_cache
def _compiled_correct(
    model: ModelConfig, iterations: int, group: DeviceGroup, is_weighed: bool, most_drawn: int
) -> Callable[["Params", Array, Any], tuple[Sketch, Array]]:
    """(params, images, (starts, keys)) -> drawings after the iterations, and their ELBO, or zeros.

    No stroke after the first `most_drawn` is drawn: they stay as they were.
    """

    def one(params, image, beside):
        from dood_jax.model import drawing

        start, key = beside[0], jax.random.wrap_key_data(beside[1])
        strokes, brush = start.first(most_drawn)
        posterior = drawing.iterate(model, params, image, strokes, brush, iterations)
        return _sampled(model, params, image, start, posterior, key, is_weighed)

    kept_as = f"correct {model} {iterations} {is_weighed} {most_drawn}"
    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group, kept_as)


@functools.lru_cache
def _compiled_finish(
    model: ModelConfig, group: DeviceGroup, is_weighed: bool, most_drawn: int
) -> Callable[["Params", Array, Any], tuple[Sketch, Array]]:
    """The same of revised posteriors, (params, images, (revised, keys))."""

    def one(params, image, beside):
        from dood_jax.test_time.revision import Keys

        found, key = beside[0], Keys.of(beside[1]).sample
        return _sampled(model, params, image, found.start, found.first(most_drawn), key, is_weighed)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)


def _sampled(
    model: ModelConfig,
    params: "Params",
    image: Array,
    start: Start,
    posterior: "IteratedPosterior",
    key: Array,
    is_weighed: bool,
) -> tuple[Sketch, Array]:
    """A drawing of a posterior of the first C of T strokes, and its ELBO, or zero; later strokes are kept."""
    from dood_jax.model import drawing, iterative_inference
    from dood_jax.objectives import iwae

    most_drawn, count = len(posterior.points.mean), len(start.strokes.presence)
    sampled, brush, *_ = iterative_inference.sample(posterior, start.strokes.presence[:most_drawn], key)
    canvases = drawing.render(model, params, sampled, brush)
    elbo = jnp.zeros(())
    if is_weighed:
        drawn = drawing.sample_iterated(model, params, start, posterior, key)
        elbo = iwae.particle_of(model, params, image, drawn).elbo
    whole = lambda new, old: jnp.concatenate([new, old[most_drawn:]])
    of_strokes = [one._replace(canvas_slope=None) for one in (brush, start.brush)]
    brush = jax.tree_util.tree_map(whole, *of_strokes)._replace(canvas_slope=brush.canvas_slope)
    rest = jnp.broadcast_to(canvases[-1], (count - most_drawn, *canvases.shape[1:]))
    strokes = jax.tree_util.tree_map(whole, sampled, start.strokes)
    return Sketch(strokes, brush, jnp.concatenate([canvases, rest])), elbo


@functools.lru_cache
def _compiled_infer(
    model: ModelConfig, num_particles: int, num_strokes: int, group: DeviceGroup
) -> Callable[["Params", Array, Array], Sketch]:
    def one(params, image, key):
        from dood_jax.model.drawing import render
        from dood_jax.objectives import iwae

        sample = lambda key: iwae.sample_particle(model, params, image, key, num_strokes or None, 0)
        drawing = best_particle(sample, jax.random.split(key, num_particles)).drawing
        return Sketch(drawing.strokes, drawing.brush, render(model, params, drawing.strokes, drawing.brush))

    kept_as = f"infer {model} {num_particles} {num_strokes}"
    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group, kept_as)


@functools.lru_cache
def _compiled_optimize(
    model: ModelConfig, num_steps: int, group: DeviceGroup
) -> Callable[["Params", Array, Any], Sketch]:
    def one(params, image, drawn):
        from dood_jax.model.drawing import render
        from dood_jax.test_time.optimize import optimize_strokes

        strokes, brush = drawn
        strokes, brush = optimize_strokes(model, params, image, strokes, brush, num_steps)
        return Sketch(strokes, brush, render(model, params, strokes, brush))

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)
