"""One training step: pure, for one device's share of a batch, averaging itself over devices."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import lax

from dood_jax.data import sampler as sampling
from dood_jax.data.sampler import Sampler
from dood_jax.model import dood
from dood_jax.model.networks import Params
from dood_jax.objective import stopping
from dood_jax.training.config import Config, ObjectiveConfig
from dood_jax.training.state import TrainState
from dood_jax.types import Array, BrushParams

Metrics = dict[str, Array]  # scalars, means over the batch
Step = Callable[..., tuple[TrainState, Metrics]]

_BRUSH_MEMORY = 0.99  # of the running mean of pens


def make_step(config: Config, optimizer: optax.GradientTransformation, sampler: Sampler) -> Step:
    """A function (state, pictures, lessons, [B] global example indices, axis_name) -> (state, metrics).

    It makes `training.steps_per_call` steps; metrics are their means.
    """
    one_step = functools.partial(_train_step, config, optimizer, sampler)
    precision = None if config.training.precision == "default" else config.training.precision

    def steps(state, pictures, lessons, indices, axis_name=None):
        with jax.default_matmul_precision(precision):
            if config.training.steps_per_call == 1:
                return one_step(state, pictures, lessons, indices, axis_name)
            body = lambda state, _: one_step(state, pictures, lessons, indices, axis_name)
            state, metrics = lax.scan(body, state, length=config.training.steps_per_call)
            return state, jax.tree_util.tree_map(jnp.mean, metrics)

    return steps


def presence_floor(config: ObjectiveConfig, step: Array) -> Array:
    """[] share of the uniform weight over prefixes: 1, then linearly to 0."""
    span = config.floor_end_step - config.floor_start_step
    return jnp.clip((config.floor_end_step - step) / span, 0, 1)


def _train_step(config, optimizer, sampler, state, pictures, lessons, indices, axis_name):
    average = functools.partial(lax.pmean, axis_name=axis_name) if axis_name else lambda values: values
    keys = sampling.example_keys(lessons.seed, state.step, indices)
    rows = sampling.rows(lessons, state.step, indices, config.training.batch_size)
    floor = presence_floor(config.objective, state.step)
    loss = functools.partial(_loss, config, sampler)
    differentiate = jax.grad(loss, has_aux=True)
    gradient, (metrics, brush) = average(differentiate(state.params, pictures, rows, keys, floor))
    metrics["gradient_norm"] = optax.tree.norm(gradient)
    finite = jnp.isfinite(metrics["gradient_norm"]) & jnp.isfinite(metrics["elbo"])
    metrics["skipped"] = jnp.where(finite, 0.0, 1.0)
    take = functools.partial(_take_step, optimizer, gradient, brush)
    state = lax.cond(finite, take, lambda state: state._replace(skipped=state.skipped + 1), state)
    return state._replace(step=state.step + 1), metrics


@jax.named_scope("optimizer")
def _take_step(
    optimizer: optax.GradientTransformation, gradient: Params, brush: BrushParams, state: TrainState
) -> TrainState:
    """Moves the parameters and the running mean of pens."""
    updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
    memory = jnp.minimum(_BRUSH_MEMORY, state.step / (state.step + 1))
    remembered = jax.tree_util.tree_map(
        lambda old, new: memory * old + (1 - memory) * new, state.brush, brush
    )
    params = optax.apply_updates(state.params, updates)
    return state._replace(params=params, optimizer_state=optimizer_state, brush=remembered)


def _loss(
    config: Config, sampler: Sampler, params: Params, pictures: Array, rows: Array, keys: Array, floor: Array
) -> tuple[Array, tuple[Metrics, BrushParams]]:
    """Negative surrogate of the examples with [B] rows and keys, averaged; metrics and mean pen beside it."""
    example = functools.partial(_example, config, sampler)
    surrogate, metrics, brush = jax.vmap(example, in_axes=(None, None, 0, 0, None))(
        params, pictures, rows, keys, floor
    )
    mean = functools.partial(jax.tree_util.tree_map, jnp.mean)
    return -surrogate.mean(), (mean(metrics), mean(lax.stop_gradient(brush)))


def _example(
    config: Config, sampler: Sampler, params: Params, pictures: Array, row: Array, key: Array, floor: Array
) -> tuple[Array, Metrics, BrushParams]:
    """Draws one picture and its strokes: what to maximise, metrics, and the first stroke's pen."""
    key_picture, key_drawing = jax.random.split(key)
    image = sampler(pictures, row, key_picture)
    drawing = dood.draw(config.model, params, image, key_drawing, hold_presence=True)
    terms = stopping.prefix_terms(config.model, params, image, drawing)
    q = jnp.exp(terms.log_q)
    metrics = {
        "elbo": stopping.expected_elbo(terms),
        "log_likelihood": (q * terms.log_likelihood).sum(),
        "kl": (q * terms.kl).sum(),
        "strokes": (q * jnp.arange(q.shape[0])).sum(),
    }
    pen = BrushParams(drawing.brush.ink_width[0], drawing.brush.ink_slope[0], drawing.brush.canvas_slope)
    return stopping.surrogate(terms, floor, config.objective.beta), metrics, pen
