"""The two objectives as losses of one device's share of a batch: stops summed over, or sampled (method.md 7).

Images are picked and drawn in here, each with its own key.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.config.groups import Config, ObjectiveConfig
from dood_jax.data.example_stream import Sampler
from dood_jax.distributions import presence
from dood_jax.errors import BadInput
from dood_jax.model import dood
from dood_jax.model.networks import Params
from dood_jax.model.renderer import canvas_of
from dood_jax.objectives import elbo, exact_stopping, nvil
from dood_jax.training.state import NvilLearner
from dood_jax.types import Array, BrushParams, Drawing

Metrics = dict[str, Array]  # scalars, means over the batch


class Batch(NamedTuple):
    """What a device draws at a step."""

    images: Array  # all that lie on the device
    rows: Array  # [B] of the examples among them
    keys: Array  # [B] of the examples
    step: Array  # []


class LossAux(NamedTuple):
    """What comes of a loss beside its value."""

    metrics: Metrics
    brush: BrushParams  # of first strokes, mean over the batch
    learner: NvilLearner | tuple[()]  # what the objective carries to the next step


def presence_floor(config: ObjectiveConfig, step: Array) -> Array:
    """[] share of the uniform weight over prefixes: 1, then linearly to 0."""
    span = config.floor_end_step - config.floor_start_step
    return jnp.clip((config.floor_end_step - step) / span, 0, 1)


def exact_loss(
    config: Config, sampler: Sampler, params: Params, learner: tuple[()], batch: Batch, axis_name: str | None
) -> tuple[Array, LossAux]:
    """Negative surrogate of the sum over stopping times, averaged over the examples.

    A model that looks again adds the negative bound of some of them, corrected (method.md 7). Its observation
    scale is that of corrected drawings alone. The prior learns from plain images and their own drawings
    alone: others teach recognition.
    """
    del axis_name
    _require_whole_share(config, len(batch.rows))
    floor = presence_floor(config.objective, batch.step)
    drawn = jax.vmap(functools.partial(_drawn, config, sampler, params, batch.images))(batch.rows, batch.keys)
    of_first = (
        {**params, "likelihood": lax.stop_gradient(params["likelihood"])}
        if config.model.iterations
        else params
    )
    surrogate, metrics = jax.vmap(functools.partial(_summed_over_stops, config, of_first, floor))(drawn)
    loss, brush = -surrogate.mean(), jax.vmap(_first_brush)(drawn.drawing)
    if config.model.iterations:
        before, every = _looks_before(config, batch.step), config.objective.iterated_every
        some = jax.tree_util.tree_map(lambda leaf: leaf[::every], drawn)
        of_others = functools.partial(jnp.roll, shift=-max(every - 1, 1), axis=0)
        others = jax.tree_util.tree_map(lambda leaf: of_others(leaf)[::every], drawn.drawing)
        corrected, more = jax.vmap(functools.partial(_corrected, config, params, before))(some, others)
        loss, metrics = loss - corrected.mean(), {**metrics, **more}
    mean = functools.partial(jax.tree_util.tree_map, jnp.mean)
    return loss, LossAux(mean(metrics), mean(lax.stop_gradient(brush)), learner)


def _require_whole_share(config: Config, batch_size: int) -> None:
    """Devices look again at the same images as one device would."""
    every = config.objective.iterated_every
    if config.model.iterations and batch_size % every:
        raise BadInput(
            f"objective.iterated_fraction={config.objective.iterated_fraction} of {batch_size} images"
            " a device is no whole number; give 1"
        )


class _Drawn(NamedTuple):
    """An example, drawn with all its bits on."""

    image: Array  # [H, W]
    is_plain: Array  # [] as the set has it: the prior learns from it
    drawing: Drawing
    key: Array  # for more


def _drawn(config: Config, sampler: Sampler, params: Params, images: Array, row: Array, key: Array) -> _Drawn:
    """Picks an image and draws it."""
    key_image, key_drawing, key_dropout, key_more = _example_keys(config, key)
    image, is_plain = sampler(images, row, key_image)
    drawing = dood.draw(
        config.model,
        params,
        image,
        key_drawing,
        hold_presence=True,
        dropout_key=key_dropout,
        prior_learns=is_plain,
    )
    return _Drawn(image, jnp.asarray(is_plain), drawing, key_more)


def _summed_over_stops(config: Config, params: Params, floor: Array, drawn: _Drawn) -> tuple[Array, Metrics]:
    """What to maximise for one example, and metrics."""
    terms = exact_stopping.prefix_terms(config.model, params, drawn.image, drawn.drawing)
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


def _looks_before(config: Config, step: Array) -> Array | int:
    """[] looks that come before those with a gradient: in turn none up to as many as are left over."""
    left_over = config.model.iterations - config.objective.backprop_iterations
    return step % (left_over + 1) if left_over > 0 else 0


def _corrected(
    config: Config, params: Params, before: Array | int, drawn: _Drawn, other: Drawing
) -> tuple[Array, Metrics]:
    """The bound of one example after further looks, at a stop sampled for it, and metrics.

    Some begin with the drawing of another image, which the looks have to take a long way; from those the
    observation scale and the prior learn nothing.
    """
    key_start, key_stop, key_again = jax.random.split(drawn.key, 3)
    borrows = jax.random.bernoulli(key_start, config.objective.mismatched_start_prob)
    either = functools.partial(jax.tree_util.tree_map, functools.partial(jnp.where, borrows))
    drawing = either(other, drawn.drawing)
    bits = presence.sample(drawing.posterior.on, key_stop)
    stopped = drawing._replace(strokes=drawing.strokes._replace(presence=bits))
    learned = min(config.model.iterations, config.objective.backprop_iterations)
    model = dataclasses.replace(config.model, iterations=learned)
    learns = drawn.is_plain & ~borrows
    corrected = dood.look_again(model, params, drawn.image, stopped, key_again, before, learns)
    canvas = canvas_of(config.model, corrected.ink.sum(0), corrected.brush.canvas_slope)
    scale = params["likelihood"]
    observer = {**params, "likelihood": either(lax.stop_gradient(scale), scale)}
    log_likelihood = elbo.log_likelihood(config.model, observer, drawn.image, canvas)
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
    """The published loss, averaged over the examples; the signal's moments are those of all devices."""
    example = functools.partial(_nvil_example, config, sampler, params, batch.images)
    terms, strokes, brush = jax.vmap(example, out_axes=1)(batch.rows, batch.keys)
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
    """Draws one image, and its strokes K times: [K, ...] terms, strokes drawn, first strokes' brushes."""
    key_image, key_drawing, key_dropout, _ = _example_keys(config, key)
    (image, is_plain), objective = sampler(images, row, key_image), config.objective

    def particle(key_drawing, key_dropout):
        drawing = dood.draw(
            config.model, params, image, key_drawing, dropout_key=key_dropout, prior_learns=is_plain
        )
        terms = nvil.terms(
            config.model, params, image, drawing, objective.likelihood_divisor, objective.presence_weight
        )
        return terms, drawing.strokes.presence.sum(), _first_brush(drawing)

    split = lambda key: jax.random.split(key, objective.num_particles)
    return jax.vmap(particle)(*jax.tree_util.tree_map(split, (key_drawing, key_dropout)))


def _example_keys(config: Config, key: Array) -> tuple[Array, Array, Array | None, Array | None]:
    """Keys of an example's image and drawing, of its masks and further looks where the model has them."""
    wanted = [True, True, config.model.dropout > 0, config.model.iterations > 0]
    keys = iter(jax.random.split(key, sum(wanted)))
    return tuple(next(keys) if want else None for want in wanted)


def _first_brush(drawing: Drawing) -> BrushParams:
    """Scalars."""
    return BrushParams(drawing.brush.ink_width[0], drawing.brush.ink_slope[0], drawing.brush.canvas_slope)


LOSSES: dict[str, Callable[..., tuple[Array, LossAux]]] = {"exact": exact_loss, "nvil": nvil_loss}
