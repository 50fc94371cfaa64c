"""Adam with rates by group of parameters (method.md 8; groups go by the parameter tree's top keys)."""

import jax
import optax

from dood_jax.model.networks import Params
from dood_jax.settings.optimizer import OptimizerConfig

_GROUP_OF = {
    "likelihood": "likelihood",
    "posterior_presence": "presence",
    "baseline_rnn": "baseline",
    "baseline": "baseline",
}
_LAST_RATE = 0.02  # of the cosine schedule, as a share of the highest rate


def make_optimizer(config: OptimizerConfig, num_steps: int) -> optax.GradientTransformation:
    """The optimiser of a run of `num_steps` steps; it minimises."""
    multipliers = {
        "likelihood": optax.scale(config.likelihood_multiplier),
        "presence": optax.scale(config.presence_multiplier),
        "baseline": optax.scale(config.baseline_multiplier),
        "rest": optax.identity(),
    }
    clip = optax.clip_by_global_norm(config.clip_norm) if config.clip_norm else optax.identity()
    return optax.chain(
        clip,
        optax.scale_by_adam(),
        optax.multi_transform(multipliers, _label),
        optax.scale_by_learning_rate(_schedule(config, num_steps)),
    )


def _label(params: Params) -> Params:
    """The group of every parameter."""
    return {
        name: jax.tree_util.tree_map(lambda _, name=name: _GROUP_OF.get(name, "rest"), network)
        for name, network in params.items()
    }


def _schedule(config: OptimizerConfig, num_steps: int) -> optax.Schedule:
    """Linear warm-up, then constant or a cosine to 2 % at the last step."""
    peak, warmup = config.learning_rate, config.warmup_steps
    if config.schedule == "constant":
        return optax.linear_schedule(0, peak, warmup) if warmup else optax.constant_schedule(peak)
    return optax.warmup_cosine_decay_schedule(0, peak, warmup, max(num_steps, warmup + 1), _LAST_RATE * peak)
