"""A training step: the same on any number of devices, unmoved by numbers that are not finite."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import Config, DataConfig, ObjectiveConfig, OptimizerConfig, TrainingConfig
from dood_jax.data import example_stream
from dood_jax.errors import BadInput
from dood_jax.runtime import parallel
from dood_jax.training.losses import presence_floor
from dood_jax.training.state import TrainState, init_state
from dood_jax.training.step import make_optimizer, make_step
from dood_jax.types import BrushParams

RATE = 1e-4
OPTIMIZER = OptimizerConfig(learning_rate=RATE, schedule="constant", warmup_steps=0)


def keep_gradient() -> optax.GradientTransformation:
    """Passes gradients on and keeps the last one as its state."""
    zeros = lambda params: jax.tree_util.tree_map(jnp.zeros_like, params)
    return optax.GradientTransformation(zeros, lambda gradient, _, params=None: (gradient, gradient))


@pytest.fixture(scope="module")
def config(tiny) -> Config:
    training = TrainingConfig(batch_size=4, steps=100, seed=3)
    return Config(
        DataConfig("synthetic", image_size=20),
        tiny,
        ObjectiveConfig(),
        OPTIMIZER,
        training,
        EvaluationConfig(),
    )


@pytest.fixture(scope="module")
def optimizer(config):
    """The run's optimiser behind a memory of the gradient."""
    return optax.chain(keep_gradient(), make_optimizer(config.optimizer, config.training.steps))


@pytest.fixture(scope="module")
def resident(images):
    """The images as training holds them, but in float32 so that they can be spoilt."""
    return np.round(images * 255)


@pytest.fixture(scope="module")
def start(lively, optimizer) -> TrainState:
    """A state before the first step, on the host."""
    brush = BrushParams(*(np.zeros((), np.float32),) * 3)
    state = TrainState(np.int32(0), lively, jax.jit(optimizer.init)(lively), brush, np.int32(0))
    return jax.device_get(state)


@pytest.fixture(scope="module")
def traces() -> list:
    """Of each trace of a step: how many devices it is for, in which mode, and how many steps a call makes."""
    return []


@pytest.fixture(scope="module")
def run(config, optimizer, traces):
    return runner(config, optimizer, traces)


def runner(config, optimizer, traces):
    """(state, images, number of calls, devices, mode, steps a call) -> [(state, metrics)] on the host."""
    compiled = {}

    def noted(step, kind):
        def traced(*args, **names):
            traces.append(kind)
            return step(*args, **names)

        return traced

    def run(state, images, calls, num_devices=1, mode="pmap", steps_per_call=1):
        devices = jax.local_devices()[:num_devices]
        kind = (num_devices, mode, steps_per_call)
        if kind not in compiled:
            training = dataclasses.replace(config.training, steps_per_call=steps_per_call)
            step = make_step(
                dataclasses.replace(config, training=training), optimizer, example_stream.sample_example
            )
            step = noted(step, kind)
            compiled[kind] = parallel.data_parallel(step, devices, training.batch_size, mode)
        stream = example_stream.make_stream(config.training.seed, 0, len(images), config.training.batch_size)
        state, images = (parallel.replicate(tree, devices) for tree in (state, images))
        results = []
        for _ in range(calls):
            state, metrics = compiled[kind](state, images, stream)
            results.append(jax.device_get((state, metrics)))
        return results

    return run


@pytest.fixture(scope="module")
def three_steps(run, start, resident):
    """[(state, metrics)] of three steps on one device."""
    return run(start, resident, 3)


def gradient_of(state: TrainState) -> dict:
    return state.optimizer_state[0]


def leaves_of(tree) -> list[tuple[str, np.ndarray]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def assert_close_but_for_vanishing_gradients(found, wanted, name) -> None:
    """Adam divides by the size of the gradient, so where that is all rounding, rounding is what it shows."""
    difference = np.abs(found - wanted)
    assert (difference > 1e-6).sum() <= 1 + wanted.size // 1000, name
    assert difference.max() <= 1e-5, name


def assert_same_steps(one, other) -> None:
    """Loss and gradients at rtol 1e-5 per leaf, parameters at atol 1e-6 (nearly all)."""
    for (state, metrics), (other_state, other_metrics) in zip(one, other, strict=True):
        for name, value in metrics.items():
            np.testing.assert_allclose(other_metrics[name], value, rtol=1e-5, err_msg=name)
        pairs = zip(leaves_of(gradient_of(state)), leaves_of(gradient_of(other_state)), strict=True)
        for (name, wanted), (_, found) in pairs:
            difference = np.linalg.norm(found - wanted)
            assert difference <= 1e-5 * np.linalg.norm(wanted), f"gradient of {name}"
        for (name, wanted), (_, found) in zip(leaves_of(state), leaves_of(other_state), strict=True):
            if name.startswith(".params"):
                assert_close_but_for_vanishing_gradients(found, wanted, name)
        np.testing.assert_allclose(other_state.brush[:3], state.brush[:3], rtol=1e-5)
        assert (other_state.step, other_state.skipped) == (state.step, state.skipped)


def assert_equal_bits(one, other) -> None:
    jax.tree_util.tree_map(np.testing.assert_array_equal, one, other)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["pmap", "shard_map"])
def test_two_devices_equal_one_on_the_same_global_batch(run, start, resident, three_steps, mode):
    assert jax.local_device_count() >= 2
    assert_same_steps(three_steps, run(start, resident, 3, 2, mode))


def test_two_devices_equal_one_for_the_smallest_model(config, smallest, optimizer, resident):
    init = functools.partial(init_state, smallest, optimizer)
    start = jax.device_get(jax.jit(init)(jax.random.key(0)))
    run = runner(dataclasses.replace(config, model=smallest), optimizer, [])
    assert_same_steps(run(start, resident, 3), run(start, resident, 3, 2))


def test_steps_move_every_parameter_that_is_used(three_steps, start):
    state, metrics = three_steps[-1]
    assert (state.step, state.skipped, metrics["skipped"]) == (3, 0, 0)
    unused = "['likelihood']['canvas']"  # the scale is that of the map
    for (name, before), (_, after) in zip(leaves_of(start.params), leaves_of(state.params), strict=True):
        moved = np.any(before != after)
        assert moved == (name != unused), name


def test_steps_draw_new_examples(three_steps):
    values = [float(metrics["elbo"]) for _, metrics in three_steps]
    assert len(set(values)) == 3


def test_gradient_norm_is_that_of_the_gradient(three_steps):
    for state, metrics in three_steps:
        squares = [float((np.float64(leaf) ** 2).sum()) for _, leaf in leaves_of(gradient_of(state))]
        np.testing.assert_allclose(metrics["gradient_norm"], np.sqrt(sum(squares)), rtol=1e-5)


@pytest.mark.parametrize(("step", "memory"), [(0, 0.0), (1, 0.5), (3, 0.75), (1000, 0.99)])
def test_pen_is_remembered_as_a_running_mean(run, start, resident, step, memory):
    """The mean of all steps, then of the last hundred or so: told by what an old brush still weighs."""
    at_step = start._replace(step=np.int32(step))
    remembered = []
    for value in (0, 1):
        brush = BrushParams(*(np.float32(value),) * 3)
        ((state, _),) = run(at_step._replace(brush=brush), resident, 1)
        remembered.append(np.array(state.brush[:3]))
    np.testing.assert_allclose(remembered[1] - remembered[0], memory, atol=1e-6)
    new = remembered[0] / (1 - memory)
    assert np.all((new > [0.005, 0.1, 0.1]) & (new < [0.04, 0.9, 1.5]))


@pytest.mark.slow
def test_two_steps_a_call_equal_two_calls(run, start, resident, three_steps):
    ((state, metrics),) = run(start, resident, 1, steps_per_call=2)
    wanted, _ = three_steps[1]
    assert state.step == 2
    for name, value in metrics.items():
        mean = np.mean([one[name] for _, one in three_steps[:2]])
        np.testing.assert_allclose(value, mean, rtol=1e-5, err_msg=name)
    for (name, before), (_, after) in zip(leaves_of(wanted.params), leaves_of(state.params), strict=True):
        np.testing.assert_allclose(after, before, rtol=0, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(state.brush[:3], wanted.brush[:3], rtol=1e-5)


def spoil(state: TrainState, resident: np.ndarray, what: str) -> tuple[TrainState, np.ndarray]:
    if what == "parameter":
        params = jax.tree_util.tree_map(np.copy, state.params)
        params["prior_layout"]["out"]["bias"][0] = np.nan
        return state._replace(params=params), resident
    value = np.nan if what == "NaN pixel" else np.inf
    spoilt = resident.copy()
    spoilt[:, 3, 4] = value
    return state, spoilt


@pytest.mark.parametrize("what", ["parameter", "NaN pixel", "infinite pixel"])
def test_a_step_that_is_not_finite_is_skipped_and_counted(run, three_steps, resident, what):
    before, images = spoil(three_steps[0][0], resident, what)
    ((after, metrics),) = run(before, images, 1)
    assert metrics["skipped"] == 1
    assert after.skipped == before.skipped + 1
    assert after.step == before.step + 1
    assert_equal_bits(after.params, before.params)
    assert_equal_bits(after.optimizer_state, before.optimizer_state)
    assert_equal_bits(after.brush, before.brush)


def test_training_goes_on_after_a_skipped_step(run, three_steps, resident):
    _, images = spoil(three_steps[0][0], resident, "NaN pixel")
    ((skipped, _),) = run(three_steps[0][0], images, 1)
    ((after, metrics),) = run(skipped, resident, 1)
    assert (after.step, after.skipped, metrics["skipped"]) == (3, 1, 0)
    assert np.isfinite(metrics["elbo"])


def test_group_multipliers_show_in_the_first_update(three_steps, start):
    """Adam's first update is the rate times the sign of every gradient that is not tiny."""
    (state, _), gradient = three_steps[0], gradient_of(three_steps[0][0])
    rates = {}
    for name, network in state.params.items():
        moves = []
        for (_, before), (_, after), (_, slope) in zip(
            leaves_of(start.params[name]), leaves_of(network), leaves_of(gradient[name]), strict=True
        ):
            large = np.abs(slope) > 1e-4
            moves.append(((before - after) * np.sign(slope))[large])
        rates[name] = np.concatenate(moves)
    for name, moves in rates.items():
        of_prior = name.startswith("prior") or name == "canvas_glimpse_encoder"
        multiplier = {"likelihood": 10.0, "posterior_presence": 0.3}.get(name, 3.0 if of_prior else 1.0)
        assert moves.size, name
        np.testing.assert_allclose(moves, multiplier * RATE, rtol=5e-3, err_msg=name)


def precisions(config, optimizer, start, precision: str) -> list[str]:
    """What the products of a step say of their precision."""
    training = dataclasses.replace(config.training, precision=precision)
    step = make_step(dataclasses.replace(config, training=training), optimizer, example_stream.sample_example)
    images = np.zeros((4, 20, 20), np.float32)
    jaxpr = jax.make_jaxpr(step)(start, images, example_stream.make_stream(0, 0, 4, 4), np.arange(4))
    return re.findall(r"precision=\(Precision.(\w+)", str(jaxpr))


@pytest.mark.slow
def test_products_of_the_networks_have_the_precision_asked_for(config, optimizer, start):
    exact_anyway = precisions(config, optimizer, start, "default")
    assert set(exact_anyway) == {"HIGHEST"}, "the rasteriser"
    in_bfloat16 = precisions(config, optimizer, start, "bfloat16")
    assert in_bfloat16.count("DEFAULT") > len(exact_anyway) == in_bfloat16.count("HIGHEST")
    in_float32 = precisions(config, optimizer, start, "float32")
    assert in_float32 == ["HIGHEST"] * len(in_bfloat16)


def test_a_step_is_traced_once(run, start, resident, three_steps, traces):
    run(start, resident, 1)  # as after a resume
    assert len(three_steps) == 3 and traces.count((1, "pmap", 1)) == 1


@pytest.mark.slow
def test_a_model_that_draws_by_true_distance_makes_a_finite_step(config, optimizer, start, resident):
    model = dataclasses.replace(config.model, brush="distance")
    step = make_step(dataclasses.replace(config, model=model), optimizer, example_stream.sample_example)
    devices = jax.local_devices()[:1]
    step = parallel.data_parallel(step, devices, config.training.batch_size, "pmap")
    stream = example_stream.make_stream(config.training.seed, 0, len(resident), config.training.batch_size)
    inputs = [parallel.replicate(tree, devices) for tree in (start, resident, stream)]
    state, _ = jax.device_get(step(*inputs))
    assert (state.step, state.skipped) == (1, 0)
    gradient = dict(leaves_of(gradient_of(state)))
    assert all(np.isfinite(leaf).all() for leaf in gradient.values())
    assert np.abs(gradient["['brush']['out']['bias']"]).min() > 0


@pytest.mark.parametrize(("clip_norm", "factor"), [(0.0, 1.0), (1e6, 1.0), (0.5, 0.25)])
def test_gradients_are_clipped_by_their_global_norm(clip_norm, factor):
    """A step on gradient norm 2: Adam's first moment, 0.1 of the clipped gradient, tells the clip."""
    gradient = {"brush": {"kernel": jnp.array([1.2, 0.0])}, "likelihood": {"map": jnp.array([-1.6])}}
    params = jax.tree_util.tree_map(jnp.ones_like, gradient)
    optimizer = make_optimizer(dataclasses.replace(OPTIMIZER, clip_norm=clip_norm), 10)
    step = lambda gradient, params: optimizer.update(gradient, optimizer.init(params), params)[1]
    state = jax.jit(step)(gradient, params)
    (moments,) = (part for part in state if isinstance(part, optax.ScaleByAdamState))
    for (_, found), (_, whole) in zip(leaves_of(moments.mu), leaves_of(gradient), strict=True):
        np.testing.assert_allclose(found, 0.1 * factor * whole, rtol=1e-5)


@pytest.mark.parametrize(
    ("schedule", "warmup", "step", "fraction"),
    [
        ("cosine", 0, 0, 1.0),
        ("cosine", 10, 0, 0.0),
        ("cosine", 10, 5, 0.5),
        ("cosine", 10, 10, 1.0),
        ("cosine", 10, 55, 0.51),
        ("cosine", 10, 100, 0.02),
        ("constant", 10, 5, 0.5),
        ("constant", 10, 99, 1.0),
        ("constant", 0, 0, 1.0),
    ],
)
def test_rate_warms_up_and_falls_to_two_percent(schedule, warmup, step, fraction):
    """Measured on a parameter whose gradient is always 1, which Adam moves by the rate."""
    config = dataclasses.replace(OPTIMIZER, schedule=schedule, warmup_steps=warmup, clip_norm=0.0)
    optimizer = make_optimizer(config, 100)
    params = {"brush": jnp.zeros(())}
    update = jax.jit(lambda state: optimizer.update({"brush": jnp.ones(())}, state, params))
    state = optimizer.init(params)
    for _ in range(step + 1):
        moved, state = update(state)
    np.testing.assert_allclose(moved["brush"], -fraction * RATE, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize(
    ("step", "fraction"), [(10, 1.0), (55, 0.51), (99, 0.0203), (100, 0.0), (110, 1.0), (125, 0.51)]
)
def test_the_rate_begins_anew_where_the_prior_learns_alone(step, fraction):
    """A hundred steps of all, then 40 of the prior, each with ten steps of warm-up."""
    config = dataclasses.replace(OPTIMIZER, schedule="cosine", warmup_steps=10, clip_norm=0.0)
    optimizer = make_optimizer(config, 140, 40)
    params = {"brush": jnp.zeros(())}
    state = optimizer.init(params)
    update = jax.jit(lambda state: optimizer.update({"brush": jnp.ones(())}, state, params))
    for _ in range(step + 1):
        moved, state = update(state)
    np.testing.assert_allclose(moved["brush"], -fraction * RATE, rtol=0.01, atol=1e-12)


@pytest.mark.parametrize(
    ("step", "floor"), [(0, 1.0), (500, 1.0), (501, 0.9996), (1750, 0.5), (3000, 0.0), (9999, 0.0)]
)
def test_presence_floor_falls_from_one_to_zero(step, floor):
    np.testing.assert_allclose(presence_floor(ObjectiveConfig(), jnp.int32(step)), floor, rtol=1e-6)


def test_a_batch_that_does_not_divide_over_the_devices_is_refused():
    with pytest.raises(BadInput, match=r"training\.batch_size=5 does not divide over 2 devices"):
        parallel.data_parallel(lambda *_: None, jax.local_devices()[:2], 5, "pmap")


def test_a_fresh_state_has_the_shapes_that_training_keeps(config, optimizer, start):
    fresh = jax.eval_shape(lambda key: init_state(config.model, optimizer, key), jax.random.key(0))
    shapes = lambda tree: jax.tree_util.tree_map(lambda leaf: (leaf.shape, leaf.dtype), tree)
    assert shapes(fresh) == shapes(start)
