"""The map of scales that a run fits when recognition has learned: of models that draw nothing it is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import Config, DataConfig, ObjectiveConfig, OptimizerConfig, TrainingConfig
from dood_jax.data import example_stream
from dood_jax.runtime.parallel import pick, stack
from dood_jax.training import fitting
from dood_jax.training.state import init_state
from dood_jax.training.step import make_optimizer

BATCH = 4


@pytest.fixture(scope="module")
def config(tiny) -> Config:
    """Two models, each of its own set."""
    return Config(
        DataConfig(names="mnist,kmnist", image_size=20),
        tiny,
        ObjectiveConfig(),
        OptimizerConfig(),
        TrainingConfig(batch_size=BATCH, steps=10),
        EvaluationConfig(),
    )


@pytest.fixture(scope="module")
def state(config, lively):
    """Of two models that never draw a stroke."""
    silent = {**lively["posterior_presence"]["out"], "bias": np.full(1, -100, np.float32)}
    params = {**lively, "posterior_presence": {**lively["posterior_presence"], "out": silent}}
    fresh = init_state(
        config.model, make_optimizer(config.optimizer, 10), example_stream.purpose_key(0, "parameters")
    )
    return stack([fresh._replace(params=params, step=jnp.full((), step, jnp.int32)) for step in (9, 9)])


@pytest.fixture(scope="module")
def streams():
    return stack([example_stream.make_stream(seed, first, 3, BATCH) for seed, first in ((0, 0), (1, 3))])


def half_as_dark(images, row, key):
    """A sampler that augments every image."""
    image = example_stream.sample_example(images, row, key).image
    return example_stream.Example(image / 2, False)


def test_each_model_gets_the_error_of_each_pixel_on_examples_of_its_own_set(
    config, state, streams, images, monkeypatch
):
    monkeypatch.setattr(fitting, "_EXAMPLES", 24)
    given = np.round(images[:6] * 255).astype(np.uint8)
    after = fitting.with_fitted_map(config, half_as_dark, given, streams, state)
    for which, own in enumerate((given[:3], given[3:])):
        found, before = (pick(tree, 2, which).params for tree in (after, state))
        error = (own / 255 / 2).mean(0)  # from step 9 on 24 examples are eight times all three images
        scale = 0.01 + 0.99 * scipy.special.expit(found["likelihood"]["map"])
        np.testing.assert_allclose(scale, np.clip(error, 0.0101, None), atol=2e-4)
        assert error.max() > 0.1
        np.testing.assert_array_equal(found["likelihood"]["canvas"], before["likelihood"]["canvas"])
    assert changed(after.params, state.params) == {"likelihood"}
    assert not changed(after._replace(params={})._asdict(), state._replace(params={})._asdict())


def changed(after, before):
    """Names of the trees that are not what they were, to the bit."""
    leaves = lambda tree: map(np.asarray, jax.tree_util.tree_leaves(tree))
    same = lambda one, other: all(map(np.array_equal, leaves(one), leaves(other)))
    return {name for name in after if not same(after[name], before[name])}


def test_a_model_that_learned_the_scale_from_the_canvas_stays_as_it_is(config, state, streams, images):
    of_canvas = dataclasses.replace(config.model, likelihood_scale="canvas")
    config = dataclasses.replace(config, model=of_canvas)
    given = np.round(images[:6] * 255).astype(np.uint8)
    after = fitting.with_fitted_map(config, half_as_dark, given, streams, state)
    assert not changed(after._asdict(), state._asdict())
