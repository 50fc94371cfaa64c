"""The two objectives as losses of one device's share of a batch: stops summed over, or sampled (method.md 7).

Pictures are picked and drawn in here, each with its own key.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.data.sampler import Sampler
from dood_jax.model import dood
from dood_jax.model.networks import Params
from dood_jax.objective import nvil, stopping
from dood_jax.training.config import Config, ObjectiveConfig
from dood_jax.training.state import NvilLearner
from dood_jax.types import Array, BrushParams, Drawing

Metrics = dict[str, Array]  # scalars, means over the batch


class Batch(NamedTuple):
    """What a device draws at a step."""

    pictures: Array  # all that lie on the device
    rows: Array  # [B] of the examples among them
    keys: Array  # [B] of the examples
    step: Array  # []


class Aside(NamedTuple):
    """What comes of a loss beside its value."""

    metrics: Metrics
    pen: BrushParams  # of first strokes, mean over the batch
    learner: NvilLearner | tuple[()]  # what the objective carries to the next step


def presence_floor(config: ObjectiveConfig, step: Array) -> Array:
    """[] share of the uniform weight over prefixes: 1, then linearly to 0."""
    span = config.floor_end_step - config.floor_start_step
    return jnp.clip((config.floor_end_step - step) / span, 0, 1)


def exact_loss(
    config: Config, sampler: Sampler, params: Params, learner: tuple[()], batch: Batch, axis_name: str | None
) -> tuple[Array, Aside]:
    """Negative surrogate of the sum over stopping times, averaged over the examples."""
    del axis_name
    floor = presence_floor(config.objective, batch.step)
    example = functools.partial(_exact_example, config, sampler, params, batch.pictures, floor)
    surrogate, metrics, pen = jax.vmap(example)(batch.rows, batch.keys)
    mean = functools.partial(jax.tree_util.tree_map, jnp.mean)
    return -surrogate.mean(), Aside(mean(metrics), mean(lax.stop_gradient(pen)), learner)


def _exact_example(
    config: Config, sampler: Sampler, params: Params, pictures: Array, floor: Array, row: Array, key: Array
) -> tuple[Array, Metrics, BrushParams]:
    """Draws one picture and its strokes: what to maximise, metrics, and the first stroke's pen."""
    key_picture, key_drawing, key_dropout = _example_keys(config, key)
    image = sampler(pictures, row, key_picture)
    drawing = dood.draw(config.model, params, image, key_drawing, hold_presence=True, dropout_key=key_dropout)
    terms = stopping.prefix_terms(config.model, params, image, drawing)
    q = jnp.exp(terms.log_q)
    metrics = {
        "elbo": stopping.expected_elbo(terms),
        "log_likelihood": (q * terms.log_likelihood).sum(),
        "kl": (q * terms.kl).sum(),
        "strokes": (q * jnp.arange(q.shape[0])).sum(),
    }
    objective = config.objective
    surrogate = stopping.surrogate(terms, floor, objective.likelihood_divisor, objective.presence_weight)
    return surrogate, metrics, _first_pen(drawing)


def nvil_loss(
    config: Config,
    sampler: Sampler,
    params: Params,
    learner: NvilLearner,
    batch: Batch,
    axis_name: str | None,
) -> tuple[Array, Aside]:
    """The published loss, averaged over the examples; the signal's moments are those of all devices."""
    example = functools.partial(_nvil_example, config, sampler, params, batch.pictures)
    terms, strokes, pen = jax.vmap(example, out_axes=1)(batch.rows, batch.keys)
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
    return loss, Aside(mean(metrics), mean(lax.stop_gradient(pen)), learner)


def _nvil_example(
    config: Config, sampler: Sampler, params: Params, pictures: Array, row: Array, key: Array
) -> tuple[nvil.Terms, Array, BrushParams]:
    """Draws one picture, and its strokes K times: [K, ...] terms, strokes drawn, first strokes' pens."""
    key_picture, key_drawing, key_dropout = _example_keys(config, key)
    image, objective = sampler(pictures, row, key_picture), config.objective

    def particle(key_drawing, key_dropout):
        drawing = dood.draw(config.model, params, image, key_drawing, dropout_key=key_dropout)
        terms = nvil.terms(
            config.model, params, image, drawing, objective.likelihood_divisor, objective.presence_weight
        )
        return terms, drawing.strokes.presence.sum(), _first_pen(drawing)

    split = lambda key: jax.random.split(key, objective.num_particles)
    return jax.vmap(particle)(*jax.tree_util.tree_map(split, (key_drawing, key_dropout)))


def _example_keys(config: Config, key: Array) -> tuple[Array, Array, Array | None]:
    """Keys of an example's picture, its drawing and, for models with dropout, of its masks."""
    if not config.model.dropout:
        return (*jax.random.split(key), None)
    return tuple(jax.random.split(key, 3))


def _first_pen(drawing: Drawing) -> BrushParams:
    """Scalars."""
    return BrushParams(drawing.brush.ink_width[0], drawing.brush.ink_slope[0], drawing.brush.canvas_slope)


LOSSES: dict[str, Callable[..., tuple[Array, Aside]]] = {"exact": exact_loss, "nvil": nvil_loss}
