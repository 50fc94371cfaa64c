"""One training step, and the optimiser that it uses.

The optimiser is Adam, with rates by groups of parameters that go by the top keys of the parameter tree
(method.md 8). The step is a pure function for one device's part of a batch; it averages gradients and metrics
over the devices itself.
"""

import functools
from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp
import optax
from jax import lax

from dood_jax.config.groups import Config, OptimizerConfig
from dood_jax.data import example_stream
from dood_jax.data.example_stream import ExampleStream, Sampler
from dood_jax.model.dood import PRIOR_NETWORKS, prior_networks
from dood_jax.model.networks import Params
from dood_jax.training.losses import LOSSES, Batch, LossAux, Metrics
from dood_jax.training.state import NvilLearner, TrainState
from dood_jax.types import Array, BrushParams

_GROUP_OF = {
    "likelihood": "likelihood",
    "posterior_presence": "presence",
    "baseline_rnn": "baseline",
    "baseline": "baseline",
    **dict.fromkeys(PRIOR_NETWORKS, "prior"),
}
_LAST_RATE = 0.02  # of the cosine schedule, as a fraction of the highest rate
_BRUSH_MEMORY = 0.99  # of the running mean of brushes

Step = Callable[..., tuple[TrainState, Metrics]]


def make_optimizer(
    config: OptimizerConfig, num_steps: int, prior_steps: int = 0
) -> optax.GradientTransformation:
    """The optimiser of a run of `num_steps` steps, the last of which train the prior alone.

    It minimises the loss.
    """
    multipliers = {
        "likelihood": optax.scale(config.likelihood_multiplier),
        "presence": optax.scale(config.presence_multiplier),
        "baseline": optax.scale(config.baseline_multiplier),
        "prior": optax.scale(config.prior_multiplier),
        "rest": optax.identity(),
    }
    clip = optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity()
    return optax.chain(
        clip,
        optax.scale_by_adam(),
        optax.multi_transform(multipliers, _label),
        optax.scale_by_learning_rate(_schedule(config, num_steps, prior_steps)),
    )


def _label(params: Params) -> Params:
    """The tree of parameters with the name of its group in place of every array."""
    return {
        name: jax.tree_util.tree_map(lambda _, name=name: _GROUP_OF.get(name, "rest"), network)
        for name, network in params.items()
    }


def _schedule(config: OptimizerConfig, num_steps: int, prior_steps: int) -> optax.Schedule:
    """The learning rate: linear warm-up, then constant, or a cosine down to 2 % at the last step.

    Where the prior learns alone in the end, this begins anew. Steps that are skipped do not count.
    """
    if 0 < prior_steps < num_steps:
        others = num_steps - prior_steps
        parts = [_schedule(config, others, 0), _schedule(config, prior_steps, 0)]
        return optax.join_schedules(parts, [others])
    peak, warmup = config.learning_rate, config.warmup_steps
    if config.schedule == "constant":
        return optax.linear_schedule(0, peak, warmup) if warmup else optax.constant_schedule(peak)
    return optax.warmup_cosine_decay_schedule(0, peak, warmup, max(num_steps, warmup + 1), _LAST_RATE * peak)


def make_step(config: Config, optimizer: optax.GradientTransformation, sampler: Sampler) -> Step:
    """A function that makes `training.steps_per_call` steps.

    Args:
      config: of the run.
      optimizer: made by `make_optimizer`.
      sampler: how an example gets its image.

    Returns:
      (state, images, stream, [B] global example indices, axis_name) -> (state, metrics), where `axis_name`
      names the devices that have the rest of the batch, and metrics are means over batch and steps.
    """
    one_step = functools.partial(_train_step, config, optimizer, sampler)
    precision = None if config.training.precision == "default" else config.training.precision

    def steps(state, images, stream, indices, axis_name=None):
        with jax.default_matmul_precision(precision):
            if config.training.steps_per_call == 1:
                return one_step(state, images, stream, indices, axis_name)
            body = lambda state, _: one_step(state, images, stream, indices, axis_name)
            state, metrics = lax.scan(body, state, length=config.training.steps_per_call)
            return state, jax.tree_util.tree_map(jnp.mean, metrics)

    return steps


def _train_step(
    config: Config,
    optimizer: optax.GradientTransformation,
    sampler: Sampler,
    state: TrainState,
    images: Array,
    stream: ExampleStream,
    indices: Array,
    axis_name: str | None,
) -> tuple[TrainState, Metrics]:
    """One step. If loss or gradient is not finite it only counts the step as skipped."""
    average = functools.partial(lax.pmean, axis_name=axis_name) if axis_name else lambda values: values
    keys = example_stream.example_keys(stream.seed, state.step, indices)
    rows = example_stream.rows(stream, state.step, indices, config.training.batch_size)
    batch = Batch(images, rows, keys, state.step)
    gradient, aux = _gradient(config, sampler, state, batch, axis_name)
    gradient, metrics, brush = average((gradient, aux.metrics, aux.brush))
    metrics["gradient_norm"] = optax.tree.norm(gradient)
    finite = jnp.isfinite(metrics["gradient_norm"]) & jnp.isfinite(metrics["elbo"])
    metrics["skipped"] = jnp.where(finite, 0.0, 1.0)
    learns = _learning(config, state.trained)
    take = functools.partial(_take_step, optimizer, learns, gradient, brush, aux.learner)
    state = lax.cond(finite, take, lambda state: state._replace(skipped=state.skipped + 1), state)
    return state._replace(step=state.step + 1), metrics


def _gradient(
    config: Config, sampler: Sampler, state: TrainState, batch: Batch, axis_name: str | None
) -> tuple[Params, LossAux]:
    """The gradient of the loss in all parameters; zero in those that do not learn.

    Nothing is differentiated with respect to the latter, so training the prior alone is cheap.
    """
    loss, trained = LOSSES[config.objective.stopping], state.trained
    learns = _learning(config, trained)

    def of_learners(learners):
        return loss(config, sampler, {**trained, **learners}, state.learner, batch, axis_name)

    learners = {name: network for name, network in trained.items() if name in learns}
    gradient, aux = jax.grad(of_learners, has_aux=True)(learners)
    zeros = {name: jax.tree_util.tree_map(jnp.zeros_like, trained[name]) for name in trained}
    return {**zeros, **gradient}, aux


def _learning(config: Config, trained: Params) -> Collection[str]:
    """The names of the networks that learn."""
    return trained if config.optimizer.trained == "all" else prior_networks(config.model)


@jax.named_scope("optimizer")
def _take_step(
    optimizer: optax.GradientTransformation,
    learns: Collection[str],
    gradient: Params,
    brush: BrushParams,
    learner: NvilLearner | tuple[()],
    state: TrainState,
) -> TrainState:
    """The state after a finite step, but for its number: parameters, running mean of brushes, learner.

    Only networks that learn move, though the optimiser may remember gradients of others.
    """
    updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.trained)
    updates = {
        name: update if name in learns else jax.tree_util.tree_map(jnp.zeros_like, update)
        for name, update in updates.items()
    }
    # A plain mean over the first steps, then one that forgets.
    made = state.step - state.skipped
    memory = jnp.minimum(_BRUSH_MEMORY, made / (made + 1))
    remembered = jax.tree_util.tree_map(
        lambda old, new: memory * old + (1 - memory) * new, state.brush, brush
    )
    trained = optax.apply_updates(state.trained, updates)
    state = state._replace(optimizer_state=optimizer_state, brush=remembered, learner=learner)
    return state.with_trained(trained)
