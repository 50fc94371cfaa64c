"""All that training carries from step to step."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dood_jax.config.model import ModelConfig
from dood_jax.model import dood
from dood_jax.model.networks import Params
from dood_jax.objectives import nvil
from dood_jax.objectives.nvil import Moments
from dood_jax.types import Array, BrushParams

_BASELINE_KEY = 2  # folded in; the model's initial values come of the key's first two children


class NvilLearner(NamedTuple):
    """What NVIL carries from step to step: no part of the model."""

    baseline: Params  # under `baseline_rnn` and `baseline`
    moments: Moments


class TrainState(NamedTuple):
    """A run after `step` steps."""

    step: Array  # [] int32
    params: Params
    optimizer_state: optax.OptState
    brush: BrushParams  # running mean of first strokes' brushes, scalars: what `sample` draws with
    skipped: Array  # [] int32 steps whose loss or gradient was not finite; they changed nothing else
    learner: NvilLearner | tuple[()] = ()  # what NVIL carries beside the model; the exact form nothing

    @property
    def trained(self) -> Params:
        """All that the optimiser moves: the model's parameters and the baseline's."""
        return {**self.params, **(self.learner.baseline if self.learner else {})}

    def with_trained(self, trained: Params) -> "TrainState":
        """The state with parameters of model and baseline replaced."""
        state = self._replace(params={name: trained[name] for name in self.params})
        if not self.learner:
            return state
        baseline = {name: trained[name] for name in self.learner.baseline}
        return state._replace(learner=self.learner._replace(baseline=baseline))

    @property
    def steps_done(self) -> int:
        """The step as a number; models trained side by side are all at the same."""
        return int(np.max(self.step))


def init_state(
    config: ModelConfig, optimizer: optax.GradientTransformation, key: Array, stopping: str = "exact"
) -> TrainState:
    """The state before the first step of an objective with exact or `nvil` stopping; consumes the key."""
    params, learner = dood.init(config, key), ()
    if stopping == "nvil":
        baseline = nvil.init_baseline(config, jax.random.fold_in(key, _BASELINE_KEY))
        learner = NvilLearner(baseline, nvil.fresh_moments())
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        optimizer_state=(),
        brush=BrushParams(jnp.zeros(()), jnp.zeros(()), jnp.zeros(())),
        skipped=jnp.zeros((), jnp.int32),
        learner=learner,
    )
    return state._replace(optimizer_state=optimizer.init(state.trained))
