"""Models trained side by side in one program, and the state that they begin with.

Models trained side by side in one program: every set of images with every seed, each a member.

With one member alone nothing is stacked. With more, the arrays of a state have a leading axis of members.

The state before the first step: fresh, or with the parameters of a model trained before.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dood_jax.checkpointing import restore
from dood_jax.config.groups import Config, Member
from dood_jax.data import example_stream, sources
from dood_jax.data.example_stream import ExampleStream
from dood_jax.errors import BadInput
from dood_jax.model.networks import Params
from dood_jax.training.state import TrainState, init_state


def title(members: list[Member], which: int) -> str:
    """What tells a member from the others, as in `emnist-seed1`; nothing if it is alone."""
    if len(members) == 1:
        return ""
    return f"{members[which].name}-seed{members[which].seed}"


def example_streams(config: Config) -> tuple[np.ndarray, ExampleStream]:
    """uint8 [N, H, W] images of all sets, one after the other, and the stream of the members."""
    size = config.data.image_size
    if config.data.is_synthetic:
        images = {config.data.name: np.zeros((1, size, size), np.uint8)}
    else:
        images = {
            name: sources.load_configured(config.data.only(name), "train").images for name in config.data.sets
        }
    first, rows = {}, 0
    for name, of_set in images.items():
        first[name], rows = rows, rows + len(of_set)
    batch_size = config.training.batch_size
    each = [
        example_stream.make_stream(member.seed, first[member.name], len(images[member.name]), batch_size)
        for member in config.members
    ]
    together = next(iter(images.values())) if len(images) == 1 else np.concatenate(list(images.values()))
    return together, stack(each)


def stack(trees: list[Any]) -> Any:
    """Trees of one shape with a leading axis of members; one tree alone as it is."""
    return trees[0] if len(trees) == 1 else jax.tree_util.tree_map(lambda *leaves: np.stack(leaves), *trees)


def pick(tree: Any, count: int, which: int) -> Any:
    """The tree of one of `count` members."""
    return tree if count == 1 else jax.tree_util.tree_map(lambda leaf: leaf[which], tree)


def first_state(config: Config, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step, of all members."""
    init = lambda key: init_state(config.model, optimizer, key, config.objective.stopping)
    keys = [example_stream.purpose_key(member.seed, "parameters") for member in config.members]
    state = jax.jit(init)(keys[0]) if len(keys) == 1 else jax.jit(jax.vmap(init))(jnp.stack(keys))
    if not config.training.init_from:
        return state
    return state._replace(params=_taken_over(config.training.init_from, state.params))


def _taken_over(name_or_dir: str, fresh: Params) -> Params:
    """Fresh parameters, those of a trained model in place of all that it has; the same for every member."""
    path = restore.find(name_or_dir)
    meta = restore.read_meta(path)
    trained = restore.read_params(path, restore.model_of(path, meta), meta)
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
