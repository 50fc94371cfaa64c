"""Runs that begin with the parameters of another."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from dood_jax.checkpointing import manager
from dood_jax.config.groups import Config
from dood_jax.config.resolving import default_config, resolve
from dood_jax.errors import BadInput
from dood_jax.model import dood
from dood_jax.training import loop
from dood_jax.training import state as train_state
from dood_jax.training.state import TrainState, first_state, fresh_state
from dood_jax.training.step import make_optimizer
from dood_jax.types import BrushParams


def config_of(**changes) -> Config:
    settings = default_config()
    settings.data.update(name="synthetic", image_size=20)
    settings.model.update(num_strokes=2, curve_samples=12, features=16, components=3, unroll=1)
    settings.model.prior = "sequential"
    for key, value in changes.items():
        group, _, name = key.partition("__")
        settings[group][name] = value
    return resolve(settings)


@pytest.fixture(scope="module")
def trained_params() -> dict:
    """Those of seed 5."""
    return first_params(config_of(training__seed=5))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, trained_params) -> str:
    """A run with these parameters."""
    folder = tmp_path_factory.mktemp("trained")
    state = TrainState(np.int32(0), trained_params, (), BrushParams(*np.zeros(3, np.float32)), np.int32(0))
    with manager.Checkpoints(folder) as checkpoints:
        train_state.save(checkpoints, config_of(training__seed=5), state)
    return str(folder)


def first_params(config: Config) -> dict:
    fresh = fresh_state(config, make_optimizer(config.optimizer, 1))
    return jax.device_get(first_state(config, fresh).params)


def same(ours, theirs) -> bool:
    return all(jax.tree_util.tree_leaves(jax.tree_util.tree_map(np.array_equal, ours, theirs)))


def test_a_run_takes_over_what_there_is_and_the_rest_is_fresh(trained, trained_params):
    fresh = first_params(config_of(model__iterations=1))
    found = first_params(config_of(model__iterations=1, training__init_from=trained))
    assert same(found["corrector"], fresh["corrector"])
    del found["corrector"]
    assert same(found, trained_params)
    assert not same(found, {name: fresh[name] for name in found})


@pytest.mark.slow
def test_every_member_begins_alike(trained, trained_params):
    found = first_params(config_of(training__num_models=2, training__init_from=trained))
    for which in range(2):
        assert same(jax.tree_util.tree_map(lambda leaf: leaf[which], found), trained_params)  # noqa: B023


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"features": 8}, r"init_from='.*' does not fit: .* has shape \[.*\], not \[.*\]"),
        ({"encoder": "conv", "glimpse_size": 0}, "which this model has not"),
    ],
)
def test_another_model_is_refused(trained, changes, said):
    model = dataclasses.replace(config_of().model, **changes)
    shapes = jax.eval_shape(functools.partial(dood.init, model), jax.random.key(0))
    with pytest.raises(BadInput, match=said):
        train_state._with_trained(trained, shapes)


def test_nothing_there_is_refused():
    with pytest.raises(BadInput, match="no checkpoint 'nowhere'"):
        train_state._with_trained("nowhere", {})


def test_what_is_left_open_of_the_model_is_that_of_the_start(trained, tmp_path):
    """The preset of today has another prior than the start; what is given stays."""
    settings = default_config()
    settings.data.update(name="synthetic", image_size=20)
    settings.model.iterations = 2
    assert resolve(settings).model.prior == "autoregressive"
    found = resolve(train_state.like_start(settings.to_dict(), trained, tmp_path)).model
    start = config_of(training__seed=5).model
    assert (found.iterations, start.iterations) == (2, 0)
    assert dataclasses.replace(found, iterations=0) == start


def test_a_run_that_has_steps_goes_on_where_its_start_is_gone(tmp_path):
    config = config_of(training__init_from="nowhere")
    optimizer = make_optimizer(config.optimizer, 1)
    state = fresh_state(config, optimizer)
    with manager.Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(BadInput, match="no checkpoint 'nowhere'"):
            loop._first_or_latest(config, optimizer, checkpoints)
        train_state.save(checkpoints, config, state._replace(step=np.int32(7)))
        found, step = loop._first_or_latest(config, optimizer, checkpoints)
    assert step == 7 and same(found.params, state.params)
    settings = default_config()
    settings.data.image_size = 20
    assert resolve(train_state.like_start(settings.to_dict(), "nowhere", tmp_path)).model == config.model
