"""The state before the first step: fresh, or with the parameters of a model trained before."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dood_jax.data import sampler
from dood_jax.errors import BadInput
from dood_jax.model.networks import Params
from dood_jax.settings.config import Config
from dood_jax.training import checkpoint
from dood_jax.training.state import TrainState, init_state


def first_state(config: Config, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step, of all members."""
    init = lambda key: init_state(config.model, optimizer, key, config.objective.stopping)
    keys = [sampler.stream(member.seed, "parameters") for member in config.members]
    state = jax.jit(init)(keys[0]) if len(keys) == 1 else jax.jit(jax.vmap(init))(jnp.stack(keys))
    if not config.training.init_from:
        return state
    return state._replace(params=_taken_over(config.training.init_from, state.params))


def _taken_over(name_or_dir: str, fresh: Params) -> Params:
    """Fresh parameters, those of a trained model in place of all that it has; the same for every member."""
    path = checkpoint.find(name_or_dir)
    meta = checkpoint.read_meta(path)
    trained = checkpoint.read_params(path, checkpoint.model_of(path, meta), meta)
    foreign = sorted(set(trained) - set(fresh))
    if foreign:
        raise BadInput(f"training.init_from={name_or_dir!r} has {foreign[0]}, which this model has not")

    def take(where, new, old):
        if new.shape[new.ndim - old.ndim :] != old.shape:
            name = jax.tree_util.keystr(where)
            raise BadInput(
                f"training.init_from={name_or_dir!r} does not fit: {name} has shape {list(old.shape)},"
                f" not {list(new.shape)}"
            )
        return np.broadcast_to(old, new.shape)

    shared = {name: network for name, network in fresh.items() if name in trained}
    return {**fresh, **jax.tree_util.tree_map_with_path(take, shared, trained)}
