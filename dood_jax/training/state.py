"""Everything that training carries from step to step: at the start, in a checkpoint, and of several models.

The models of a run, one for every dataset and seed, are trained side by side in one program. With one model
alone nothing is stacked. With more, the arrays of a state have a leading axis of models.
"""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dood_jax.checkpointing import metadata, restore
from dood_jax.checkpointing.manager import Checkpoints
from dood_jax.config.groups import Config, Member
from dood_jax.config.model import ModelConfig
from dood_jax.data import example_stream, sources
from dood_jax.data.example_stream import ExampleStream
from dood_jax.errors import BadInput
from dood_jax.model import dood
from dood_jax.model.networks import Params
from dood_jax.objectives import nvil
from dood_jax.objectives.nvil import Moments
from dood_jax.runtime import parallel, processes
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


def member_title(members: list[Member], which: int) -> str:
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


def fresh_state(config: Config, optimizer: optax.GradientTransformation) -> TrainState:
    """The state of all models with random parameters, before the first step."""
    init = lambda key: init_state(config.model, optimizer, key, config.objective.stopping)
    keys = [example_stream.purpose_key(member.seed, "parameters") for member in config.members]
    return jax.jit(init)(keys[0]) if len(keys) == 1 else jax.jit(jax.vmap(init))(jnp.stack(keys))


def first_state(config: Config, fresh: TrainState) -> TrainState:
    """The state before the first step: fresh, or with the parameters of a trained model.

    Raises:
      BadInput: `training.init_from` names no checkpoint, or one whose parameters do not fit.
    """
    start = config.training.init_from
    return fresh._replace(params=_with_trained(start, fresh.params)) if start else fresh


def like_start(given: dict[str, Any], name_or_dir: str, workdir: Path) -> dict[str, Any]:
    """Settings of a run in which the model that it begins with decides what is left open of its own.

    A run that has kept steps goes on as it began: the model that it began with need not be there.

    Args:
      given: settings by group, None where they are left open.
      name_or_dir: of the model that the run begins with.
      workdir: the folder of the run.

    Raises:
      BadInput: there is no such model.
    """
    start = processes.told_by_first(lambda: _settings_of_start(name_or_dir, workdir))
    own = {key: start.get(key) if value is None else value for key, value in given["model"].items()}
    return {**given, "model": own}


def _settings_of_start(name_or_dir: str, workdir: Path) -> dict[str, Any]:
    """The settings of the model of the newest step of a run, or of the one that it begins with."""
    read = lambda path: dataclasses.asdict(restore.model_of(path, metadata.read_meta(path)))
    for step in restore.newest_first(workdir):
        with contextlib.suppress(BadInput):  # a damaged step
            return read(step)
    return read(restore.find(name_or_dir))


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
