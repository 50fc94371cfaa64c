"""Runs that begin with the parameters of another."""

import dataclasses

import jax
import numpy as np
import pytest

from dood_jax.checkpointing import manager
from dood_jax.config.groups import Config
from dood_jax.config.resolving import default_config, resolve
from dood_jax.errors import BadInput
from dood_jax.training import state as train_state
from dood_jax.training.state import first_state
from dood_jax.training.step import make_optimizer


def config_of(**changes) -> Config:
    settings = default_config()
    settings.data.update(name="synthetic", image_size=20)
    settings.model.update(num_strokes=2, curve_samples=12, features=16, components=3, unroll=1)
    for key, value in changes.items():
        group, _, name = key.partition("__")
        settings[group][name] = value
    return resolve(settings)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> str:
    """A run whose parameters are those of seed 5."""
    folder = tmp_path_factory.mktemp("trained")
    config = config_of(training__seed=5)
    optimizer = make_optimizer(config.optimizer, 1)
    with manager.Checkpoints(folder) as checkpoints:
        train_state.save(checkpoints, config, first_state(config, optimizer))
    return str(folder)


def first_params(config: Config) -> dict:
    return jax.device_get(first_state(config, make_optimizer(config.optimizer, 1)).params)


def same(ours, theirs) -> bool:
    return all(jax.tree_util.tree_leaves(jax.tree_util.tree_map(np.array_equal, ours, theirs)))


def test_a_run_takes_over_what_there_is_and_the_rest_is_fresh(trained):
    wanted = first_params(config_of(training__seed=5))
    fresh = first_params(config_of(model__iterations=1))
    found = first_params(config_of(model__iterations=1, training__init_from=trained))
    assert same(found["corrector"], fresh["corrector"])
    del found["corrector"]
    assert same(found, wanted)
    assert not same(found, {name: fresh[name] for name in found})


@pytest.mark.slow
def test_every_member_begins_alike(trained):
    found = first_params(config_of(training__num_models=2, training__init_from=trained))
    wanted = first_params(config_of(training__seed=5))
    for which in range(2):
        assert same(jax.tree_util.tree_map(lambda leaf: leaf[which], found), wanted)  # noqa: B023


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model__features": 8}, r"init_from='.*' does not fit: .* has shape \[.*\], not \[.*\]"),
        pytest.param({"model__encoder": "conv"}, "which this model has not", marks=pytest.mark.slow),
    ],
)
def test_another_model_is_refused(trained, changes, said):
    with pytest.raises(BadInput, match=said):
        first_params(config_of(training__init_from=trained, **changes))


def test_nothing_there_is_refused():
    config = config_of()
    training = dataclasses.replace(config.training, init_from="nowhere")
    with pytest.raises(BadInput, match="no checkpoint 'nowhere'"):
        first_params(dataclasses.replace(config, training=training))
