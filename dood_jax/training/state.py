"""Everything that training carries from step to step, and its way into a checkpoint and back."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dood_jax.checkpointing import metadata
from dood_jax.checkpointing.manager import Checkpoints
from dood_jax.config.groups import Config
from dood_jax.config.model import ModelConfig
from dood_jax.model import dood
from dood_jax.model.networks import Params
from dood_jax.objectives import nvil
from dood_jax.objectives.nvil import Moments
from dood_jax.runtime import parallel
from dood_jax.types import Array, BrushParams


class NvilLearner(NamedTuple):
    """What NVIL carries from step to step beside the model (method.md 7)."""

    baseline: Params  # under `baseline_rnn` and `baseline`
    moments: Moments


class TrainState(NamedTuple):
    """A run after `step` steps; with several models side by side every array has a leading axis of models."""

    step: Array  # [] int32
    params: Params
    optimizer_state: optax.OptState
    brush: BrushParams  # running mean of first strokes' brushes, scalars: what `sample` draws with
    skipped: Array  # [] int32 steps whose loss or gradient was not finite; they changed nothing else
    learner: NvilLearner | tuple[()] = ()  # what NVIL carries beside the model; exact stopping needs nothing

    @property
    def trained(self) -> Params:
        """Everything that the optimiser may move: the parameters of the model and of the baseline."""
        return {**self.params, **(self.learner.baseline if self.learner else {})}

    def with_trained(self, trained: Params) -> "TrainState":
        """The state with the parameters of model and baseline replaced."""
        state = self._replace(params={name: trained[name] for name in self.params})
        if not self.learner:
            return state
        baseline = {name: trained[name] for name in self.learner.baseline}
        return state._replace(learner=self.learner._replace(baseline=baseline))

    @property
    def steps_done(self) -> int:
        """The step as a number; models that are trained side by side are all at the same one."""
        return int(np.max(self.step))


def init_state(
    config: ModelConfig, optimizer: optax.GradientTransformation, key: Array, stopping: str = "exact"
) -> TrainState:
    """The state before the first step.

    Args:
      config: of the model.
      optimizer: whose state it holds.
      key: consumed.
      stopping: of the objective, `exact` or `nvil`.
    """
    # `dood.init` splits the key it gets in two. The baseline's key is the third child of the same key, so a
    # model begins with the same parameters whatever objective it is trained with.
    key_baseline = jax.random.split(key, 3)[2]
    learner: NvilLearner | tuple[()] = ()
    if stopping == "nvil":
        learner = NvilLearner(nvil.init_baseline(config, key_baseline), nvil.fresh_moments())
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        params=dood.init(config, key),
        optimizer_state=(),
        brush=BrushParams(jnp.zeros(()), jnp.zeros(()), jnp.zeros(())),
        skipped=jnp.zeros((), jnp.int32),
        learner=learner,
    )
    return state._replace(optimizer_state=optimizer.init(state.trained))


def save(checkpoints: Checkpoints, config: Config, state: TrainState, bound: float | None = None) -> None:
    """Saves a state of a run, with its bound on validation images in nats if that was measured."""
    state = parallel.fetch(state)
    meta = metadata.describe(config, state.steps_done, state.brush._asdict(), parallel.device_name())
    checkpoints.save(state.steps_done, _as_trees(state), meta, bound)


def restore_latest(checkpoints: Checkpoints, config: Config, template: TrainState) -> TrainState | None:
    """The newest state of a run that is whole, as NumPy arrays; None if there is none.

    Args:
      checkpoints: of the run.
      config: its settings.
      template: a state of the same structure, shapes and types.

    Raises:
      BadInput: the run was begun with another model, data set or seed, or every checkpoint is damaged.
    """
    check = lambda meta, directory: metadata.require_same_run(meta, config, directory)
    trees = checkpoints.restore_latest(_as_trees(template), check)
    return trees["state"]._replace(params=trees["params"]) if trees else None


def _as_trees(state: TrainState) -> dict[str, Any]:
    """The state as a checkpoint keeps it: the parameters, which are also read alone, and all the rest."""
    return {"params": state.params, "state": state._replace(params={})}
