"""All that training carries from step to step."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from dood_jax.model import dood
from dood_jax.model.config import ModelConfig
from dood_jax.model.networks import Params
from dood_jax.types import Array, BrushParams


class TrainState(NamedTuple):
    """A run after `step` steps."""

    step: Array  # [] int32
    params: Params
    optimizer_state: optax.OptState
    brush: BrushParams  # running mean of first strokes' pens, scalars: what `sample` draws with
    skipped: Array  # [] int32 steps whose loss or gradient was not finite; they changed nothing else

    @property
    def steps_done(self) -> int:
        """The step as a number; models trained side by side are all at the same."""
        return int(np.max(self.step))


def init_state(config: ModelConfig, optimizer: optax.GradientTransformation, key: Array) -> TrainState:
    """The state before the first step; consumes the key."""
    params = dood.init(config, key)
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        optimizer_state=optimizer.init(params),
        brush=BrushParams(jnp.zeros(()), jnp.zeros(()), jnp.zeros(())),
        skipped=jnp.zeros((), jnp.int32),
    )
