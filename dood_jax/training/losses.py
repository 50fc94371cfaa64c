"""The two objectives as losses of one device's part of a batch (method.md 7).

`exact` sums over all stopping times; `nvil` samples them, as published. Images are picked and drawn in here,
each with a key of its own.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax.config.groups import Config, ObjectiveConfig
from dood_jax.data.example_stream import Sampler
from dood_jax.distributions import presence
from dood_jax.errors import BadInput
from dood_jax.model.drawing import draw, first_pass, iterate, sample_iterated
from dood_jax.model.networks import Params
from dood_jax.model.renderer import canvas_of
from dood_jax.objectives import elbo, exact_stopping, nvil
from dood_jax.training.state import NvilLearner
from dood_jax.types import Array, BrushParams, Drawing, Start

Metrics = dict[str, Array]  # scalars, means over the batch


class Batch(NamedTuple):
    """What a device needs to make its part of the batch of a step."""

    images: Array  # all that lie on the device
    rows: Array  # [B] of the examples among them
    keys: Array  # [B] of the examples
    step: Array  # []


class LossAux(NamedTuple):
    """What a loss returns beside its value."""

    metrics: Metrics
    brush: BrushParams  # scalars: of first strokes, mean over the batch
    learner: NvilLearner | tuple[()]  # what the objective carries to the next step


class Example(NamedTuple):
    """An image and a drawing of it in which every presence bit is on; of a batch, all have a leading axis."""

    image: Array  # [H, W]
    is_plain: Array  # [] whether the image is as the set has it: the prior learns from such images alone
    drawing: Drawing
    key: Array | None  # for iterative inference, if the model has any


def presence_floor(config: ObjectiveConfig, step: Array) -> Array:
    """[] fraction of the weight that all prefixes of a drawing share evenly: 1, then linearly down to 0."""
    span = config.floor_end_step - config.floor_start_step
    return jnp.clip((config.floor_end_step - step) / span, 0, 1)


def exact_loss(
    config: Config, sampler: Sampler, params: Params, learner: tuple[()], batch: Batch, axis_name: str | None
) -> tuple[Array, LossAux]:
    """Negative surrogate of the sum over stopping times, averaged over the examples.

    A model with iterative inference adds the negative bound of corrected drawings of some of the examples;
    its observation scale learns from corrected drawings alone.
    The prior learns only from plain images and their own drawings; all others teach recognition.

    Args:
      config: of the run.
      sampler: how an example gets its image.
      params: of the model; the gradient is taken in them.
      learner: empty; what is carried to the next step.
      batch: the examples of this device.
      axis_name: the devices, over which nothing has to be summed here.
    """
    del axis_name
    _require_whole_groups(config, len(batch.rows))
    examples = jax.vmap(functools.partial(draw_example, config, sampler, params, batch.images))(
        batch.rows, batch.keys
    )
    params_of_first = params
    if config.model.iterations:
        params_of_first = {**params, "likelihood": lax.stop_gradient(params["likelihood"])}
    floor = presence_floor(config.objective, batch.step)
    sum_over_stops = functools.partial(_sum_over_stops, config, params_of_first, floor)
    surrogate, metrics = jax.vmap(sum_over_stops)(examples)
    loss, brush = -surrogate.mean(), jax.vmap(_first_brush)(examples.drawing)
    if config.model.iterations:
        chosen, others = iterated_examples(examples, config.objective.iterated_every)
        warmup = _warmup_iterations(config, batch.step)
        one = functools.partial(iterated_bound, config, params, warmup)
        bound, more = jax.vmap(one)(chosen, others)
        loss, metrics = loss - bound.mean(), {**metrics, **more}
    mean = functools.partial(jax.tree_util.tree_map, jnp.mean)
    return loss, LossAux(mean(metrics), mean(lax.stop_gradient(brush)), learner)


def _require_whole_groups(config: Config, batch_size: int) -> None:
    """Raises BadInput unless the examples of a device are whole groups, of each of which one is chosen.

    Only then do several devices choose the same examples for iterative inference as one device would, and
    start from the same drawings.
    """
    objective, every = config.objective, config.objective.iterated_every
    if not config.model.iterations:
        return
    if batch_size % every:
        raise BadInput(
            f"objective.iterated_fraction={objective.iterated_fraction} of {batch_size} images"
            " a device is no whole number; give 1"
        )
    if every == 1 and objective.mismatched_start_prob and batch_size % 2:
        raise BadInput(
            f"objective.mismatched_start_prob={objective.mismatched_start_prob} pairs the images of a device,"
            f" but it has {batch_size}; give an even number, or objective.mismatched_start_prob=0"
        )


def draw_example(
    config: Config, sampler: Sampler, params: Params, images: Array, row: Array, key: Array
) -> Example:
    """Picks one of the images on the device by its row and draws it."""
    key_image, key_drawing, key_dropout, key_iterations = _example_keys(config, key)
    image, is_plain = sampler(images, row, key_image)
    drawing = first_pass(
        config.model,
        params,
        image,
        key_drawing,
        hold_presence=True,
        dropout_key=key_dropout,
        prior_learns=is_plain,
    )
    return Example(image, jnp.asarray(is_plain), drawing, key_iterations)


def _sum_over_stops(config: Config, params: Params, floor: Array, example: Example) -> tuple[Array, Metrics]:
    """[] what to maximise for one example, and its metrics."""
    terms = exact_stopping.prefix_terms(config.model, params, example.image, example.drawing)
    q = jnp.exp(terms.log_q)
    metrics = {
        "elbo": exact_stopping.expected_elbo(terms),
        "log_likelihood": (q * terms.log_likelihood).sum(),
        "kl": (q * terms.kl).sum(),
        "strokes": (q * jnp.arange(q.shape[0])).sum(),
    }
    objective = config.objective
    surrogate = exact_stopping.surrogate(
        terms, floor, objective.likelihood_divisor, objective.presence_weight
    )
    return surrogate, metrics


def iterated_examples(examples: Example, every: int) -> tuple[Example, Drawing]:
    """Chooses one of every so many of B examples for iterative inference.

    Returns:
      The B / every chosen examples, and for each the drawing of another example, from which it may start.
    """
    count = len(examples.image)
    if every > 1:  # of each group the first is chosen, and the last is its other one
        places, other_places = np.arange(0, count, every), np.arange(every - 1, count, every)
    else:  # all are chosen, and neighbours are each other's other one
        places = np.arange(count)
        other_places = np.minimum(places ^ 1, count - 1)
    chosen = jax.tree_util.tree_map(lambda leaf: leaf[places], examples)
    others = jax.tree_util.tree_map(lambda leaf: leaf[other_places], examples.drawing)
    return chosen, others


def _warmup_iterations(config: Config, step: Array) -> Array | int:
    """[] iterations before those with a gradient: in turn none, up to as many as have no gradient."""
    without_gradient = config.model.iterations - config.objective.backprop_iterations
    return step % (without_gradient + 1) if without_gradient > 0 else 0


def iterated_bound(
    config: Config, params: Params, warmup_iterations: Array | int, example: Example, other: Drawing
) -> tuple[Array, Metrics]:
    """[] the bound of one example after iterative inference, at a sampled stop, and metrics.

    With probability `objective.mismatched_start_prob` the iterations start from the drawing of another image,
    so that they learn to go a long way. Neither the observation scale nor the prior learns from these.

    Args:
      config: of the run.
      params: of the model.
      warmup_iterations: [] further iterations at the start, which get no gradient.
      example: with the drawing that the iterations start from otherwise.
      other: the drawing of another image.
    """
    if example.key is None:
        raise ValueError("an example that was drawn by a model without iterations has no key for them")
    key_start, key_stop, key_sample = jax.random.split(example.key, 3)
    is_mismatched = jax.random.bernoulli(key_start, config.objective.mismatched_start_prob)
    if_mismatched = functools.partial(jax.tree_util.tree_map, functools.partial(jnp.where, is_mismatched))
    start = if_mismatched(other, example.drawing)
    # The stop is sampled from the posterior of the drawing: presence bits stay as they are from here on.
    bits = presence.sample(start.posterior.on, key_stop)
    stopped = Start(start.strokes._replace(presence=bits), start.brush, start.posterior)
    with_gradient = min(config.model.iterations, config.objective.backprop_iterations)
    posterior = iterate(
        config.model,
        params,
        example.image,
        stopped.strokes,
        stopped.brush,
        with_gradient,
        warmup_iterations,
        settle=False,
    )
    prior_learns = example.is_plain & ~is_mismatched
    corrected = sample_iterated(config.model, params, stopped, posterior, key_sample, prior_learns)
    canvas = canvas_of(config.model, corrected.ink.sum(0), corrected.brush.canvas_slope)
    scale = params["likelihood"]
    observer = {**params, "likelihood": if_mismatched(lax.stop_gradient(scale), scale)}
    log_likelihood = elbo.log_likelihood(config.model, observer, example.image, canvas)
    bound = elbo.elbo(corrected, log_likelihood)
    return bound, {"corrected_elbo": bound, "corrected_log_likelihood": log_likelihood}


def nvil_loss(
    config: Config,
    sampler: Sampler,
    params: Params,
    learner: NvilLearner,
    batch: Batch,
    axis_name: str | None,
) -> tuple[Array, LossAux]:
    """The published loss, averaged over the examples.

    Args:
      config: of the run.
      sampler: how an example gets its image.
      params: of model and baseline; the gradient is taken in them.
      learner: with the moments of the learning signal.
      batch: the examples of this device.
      axis_name: the devices, over all of which the moments are taken.
    """
    draw = functools.partial(_nvil_example, config, sampler, params, batch.images)
    terms, strokes, brush = jax.vmap(draw, out_axes=1)(batch.rows, batch.keys)
    loss, (losses, moments) = nvil.batch_loss(terms, learner.moments, axis_name)
    metrics = {
        "elbo": terms.elbo,
        "log_likelihood": terms.log_likelihood,
        "kl": terms.log_likelihood - terms.elbo,
        "strokes": strokes,
        "reinforce": losses.reinforce,
        "baseline_loss": losses.baseline,
    }
    mean = functools.partial(jax.tree_util.tree_map, jnp.mean)
    learner = learner._replace(moments=moments)
    return loss, LossAux(mean(metrics), mean(lax.stop_gradient(brush)), learner)


def _nvil_example(
    config: Config, sampler: Sampler, params: Params, images: Array, row: Array, key: Array
) -> tuple[nvil.Terms, Array, BrushParams]:
    """Picks one image and draws it K times: [K, ...] terms, numbers of strokes, first strokes' brushes."""
    key_image, key_drawing, key_dropout, _ = _example_keys(config, key)
    (image, is_plain), objective = sampler(images, row, key_image), config.objective

    def particle(key_drawing, key_dropout):
        drawing = draw(
            config.model, params, image, key_drawing, dropout_key=key_dropout, prior_learns=is_plain
        )
        terms = nvil.terms(
            config.model, params, image, drawing, objective.likelihood_divisor, objective.presence_weight
        )
        return terms, drawing.strokes.presence.sum(), _first_brush(drawing)

    split = lambda key: jax.random.split(key, objective.num_particles)
    return jax.vmap(particle)(*jax.tree_util.tree_map(split, (key_drawing, key_dropout)))


def _example_keys(config: Config, key: Array) -> tuple[Array, Array, Array | None, Array | None]:
    """Keys of an example's image and drawing; of its dropout and iterations, where the model has them."""
    has_dropout, has_iterations = config.model.dropout > 0, config.model.iterations > 0
    key_image, key_drawing, *rest = jax.random.split(key, 2 + has_dropout + has_iterations)
    key_dropout = rest[0] if has_dropout else None
    key_iterations = rest[-1] if has_iterations else None
    return key_image, key_drawing, key_dropout, key_iterations


def _first_brush(drawing: Drawing) -> BrushParams:
    """The brush of the first stroke, scalars."""
    return BrushParams(drawing.brush.ink_width[0], drawing.brush.ink_slope[0], drawing.brush.canvas_slope)


LOSSES: dict[str, Callable[..., tuple[Array, LossAux]]] = {"exact": exact_loss, "nvil": nvil_loss}
