"""The models of a run, one for every data set and seed, which are trained side by side in one program.

With one model alone nothing is stacked. With more, the arrays of a state have a leading axis of models.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dood_jax.checkpointing import metadata, restore
from dood_jax.config.groups import Config, Member
from dood_jax.data import example_stream, sources
from dood_jax.data.example_stream import ExampleStream
from dood_jax.errors import BadInput
from dood_jax.model.networks import Params
from dood_jax.runtime import parallel
from dood_jax.training.state import TrainState, init_state


def title(members: list[Member], which: int) -> str:
    """What tells a model from the others, as in `emnist-seed1`; an empty string if it is alone."""
    if len(members) == 1:
        return ""
    return f"{members[which].name}-seed{members[which].seed}"


def example_streams(config: Config) -> tuple[np.ndarray, ExampleStream]:
    """The training images, and the order in which each model sees those of its set.

    Returns:
      images: uint8 [N, H, W], without validation images, of all data sets one after the other. Synthetic
        images are drawn on the device, so there is one blank image in their place.
      stream: of the only model, or of all models, stacked.
    """
    size = config.data.image_size
    if config.data.is_synthetic:
        images = {config.data.name: np.zeros((1, size, size), np.uint8)}
    else:
        images = {
            name: sources.load_configured(config.data.only(name), sources.TRAIN_WITHOUT_VALIDATION).images
            for name in config.data.sets
        }
    first, count = {}, 0
    for name, of_set in images.items():
        first[name], count = count, count + len(of_set)
    batch_size = config.training.batch_size
    streams = [
        example_stream.make_stream(member.seed, first[member.name], len(images[member.name]), batch_size)
        for member in config.members
    ]
    together = next(iter(images.values())) if len(images) == 1 else np.concatenate(list(images.values()))
    return together, parallel.stack(streams)


def first_state(config: Config, optimizer: optax.GradientTransformation) -> TrainState:
    """The state of all models before the first step: fresh, or with the parameters of a trained model.

    Raises:
      BadInput: `training.init_from` names no checkpoint, or one whose parameters do not fit.
    """
    init = lambda key: init_state(config.model, optimizer, key, config.objective.stopping)
    keys = [example_stream.purpose_key(member.seed, "parameters") for member in config.members]
    state = jax.jit(init)(keys[0]) if len(keys) == 1 else jax.jit(jax.vmap(init))(jnp.stack(keys))
    if not config.training.init_from:
        return state
    return state._replace(params=_with_trained(config.training.init_from, state.params))


def _with_trained(name_or_dir: str, fresh: Params) -> Params:
    """Fresh parameters, replaced by those of a trained model where it has them; every model gets the same."""
    path = restore.find(name_or_dir)
    meta = metadata.read_meta(path)
    trained = restore.read_params(path, restore.model_of(path, meta), meta)
    foreign = sorted(set(trained) - set(fresh))
    if foreign:
        raise BadInput(f"training.init_from={name_or_dir!r} has {foreign[0]}, which this model has not")

    def take(where, new, old):
        if new.shape[new.ndim - old.ndim :] != old.shape:  # but for the leading axis of models
            name = jax.tree_util.keystr(where)
            raise BadInput(
                f"training.init_from={name_or_dir!r} does not fit: {name} has shape {list(old.shape)},"
                f" not {list(new.shape)}"
            )
        return np.broadcast_to(old, new.shape)

    shared = {name: network for name, network in fresh.items() if name in trained}
    return {**fresh, **jax.tree_util.tree_map_with_path(take, shared, trained)}
