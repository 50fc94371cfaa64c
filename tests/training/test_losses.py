"""Steps of every objective and preset: the same on two devices, finite, moving what they should."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dood_jax.config.groups import Config
from dood_jax.config.resolving import default_config, resolve
from dood_jax.data import example_stream
from dood_jax.errors import BadInput
from dood_jax.model import dood
from dood_jax.model.dood import prior_networks
from dood_jax.model.drawing import draw, prior_log_probs, replay
from dood_jax.model.networks import Params
from dood_jax.runtime import parallel
from dood_jax.training import losses
from dood_jax.training.state import TrainState, init_state
from dood_jax.training.step import make_optimizer, make_step
from dood_jax.types import Drawing

SMALL = {"num_strokes": 2, "curve_samples": 12, "features": 16, "components": 3, "unroll": 1}


def config_of(preset: str, stopping: str, num_particles: int = 1, iterations: int = 0) -> Config:
    settings = default_config()
    settings.data.update(name="mnist", image_size=20)
    settings.model.update(preset=preset, iterations=iterations, **SMALL)
    if preset == "fast":
        settings.model.update(
            glimpse_size=10, prior="sequential"
        )  # as the tiny model, whose parameters it has
    settings.objective.update(stopping=stopping, num_particles=num_particles, iterated_fraction=0.5)
    settings.training.update(batch_size=4)
    return resolve(settings)


def run(config: Config, images: np.ndarray, num_devices: int, calls: int) -> list[tuple[TrainState, dict]]:
    """States and metrics after each step, on the host."""
    devices = jax.local_devices()[:num_devices]
    optimizer = make_optimizer(config.optimizer, 100)
    step = make_step(config, optimizer, example_stream.sample_example)
    step = parallel.data_parallel(step, devices, config.training.batch_size, "pmap")
    init = functools.partial(init_state, config.model, optimizer, stopping=config.objective.stopping)
    state = parallel.replicate(jax.device_get(jax.jit(init)(jax.random.key(0))), devices)
    resident = parallel.replicate(np.round(255 * images), devices)
    stream = example_stream.make_stream(3, 0, len(images), config.training.batch_size)
    results = []
    for _ in range(calls):
        state, metrics = step(state, resident, stream)
        results.append(jax.device_get((state, metrics)))
    return results


@pytest.fixture(scope="module")
def alone(images):
    """(preset, stopping, particles) -> two steps on one device."""
    return functools.cache(lambda *kind: run(config_of(*kind), images, 1, 2))


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(("published", "nvil", 1), marks=pytest.mark.slow),
        pytest.param(("fast", "exact", 1, 2), marks=pytest.mark.slow),
        pytest.param(("fast", "nvil", 2), marks=pytest.mark.slow),
        pytest.param(("published", "exact", 1), marks=pytest.mark.slow),
    ],
)
def test_two_devices_equal_one_and_steps_are_finite(images, alone, kind):
    """Dropout masks, the signal's moments and the images that are iterated included."""
    stopping = kind[1]
    alone = alone(*kind)
    together = run(config_of(*kind), images, 2, 2)
    for (state, metrics), (other, other_metrics) in zip(alone, together, strict=True):
        assert state.skipped == 0
        assert ("corrected_elbo" in metrics) == (len(kind) == 4)
        for name, value in metrics.items():
            np.testing.assert_allclose(other_metrics[name], value, rtol=1e-4, err_msg=name)
        if stopping == "nvil":
            np.testing.assert_allclose(other.learner.moments, state.learner.moments, rtol=1e-5)
    assert (alone[-1][0].learner == ()) == (stopping == "exact")
    if stopping == "nvil":
        assert alone[-1][0].learner.moments.calls == 2
        assert {"baseline", "baseline_rnn"} == set(alone[-1][0].learner.baseline)


@pytest.mark.slow
def test_the_published_rates(alone):
    """Adam's first step moves by the rate whatever has a gradient (method.md 8)."""
    config = config_of("published", "nvil")
    optimizer = make_optimizer(config.optimizer, 100)
    init = functools.partial(init_state, config.model, optimizer, stopping="nvil")
    start = jax.jit(init)(jax.random.key(0))
    after, _ = alone("published", "nvil", 1)[0]
    for name, network in after.trained.items():
        moves = [
            np.abs(new - old).max()
            for old, new in zip(*map(jax.tree_util.tree_leaves, (start.trained[name], network)), strict=True)
        ]
        rate = 1e-3 if name.startswith("baseline") else 1e-4
        assert max(moves) == pytest.approx(rate, rel=0.02) or name == "layout_rnn", name


@pytest.mark.slow
def test_dropout_is_on_in_training_and_off_in_evaluation(images):
    """In the published preset; the same drawing otherwise."""
    config = config_of("published", "nvil").model
    params = jax.jit(functools.partial(dood.init, config))(jax.random.key(0))
    draw_one = jax.jit(functools.partial(draw, config, params, images[0], jax.random.key(1)))
    whole, again = draw_one(), draw_one()
    one, other = (draw_one(dropout_key=jax.random.key(seed)) for seed in (2, 3))
    np.testing.assert_array_equal(whole.strokes.control_points, again.strokes.control_points)
    assert np.abs(one.strokes.control_points - whole.strokes.control_points).max() > 1e-4
    assert np.abs(one.strokes.control_points - other.strokes.control_points).max() > 1e-4
    without = dataclasses.replace(config, dropout=0.0)
    same = jax.jit(functools.partial(draw, without, params, images[0], jax.random.key(1)))(
        dropout_key=jax.random.key(2)
    )
    np.testing.assert_allclose(same.strokes.control_points, whole.strokes.control_points, atol=1e-6)


@pytest.mark.slow
def test_every_call_of_an_encoder_draws_its_own_mask(images):
    """A blank image: target, first canvas and first residual look alike, but for their masks."""
    config = config_of("published", "nvil").model
    params = jax.jit(functools.partial(dood.init, config))(jax.random.key(0))
    draw_one = functools.partial(draw, config, params, 0 * images[0], jax.random.key(1))
    drawing, whole = jax.jit(lambda key: (draw_one(dropout_key=key), draw_one()))(jax.random.key(2))
    np.testing.assert_allclose(whole.seen.target[0], whole.seen.canvas[0], atol=1e-6)
    assert np.abs(drawing.seen.target[0] - drawing.seen.canvas[0]).max() > 1e-3
    assert np.abs(drawing.seen.canvas[0] - drawing.seen.canvas[1]).max() > 1e-3
    np.testing.assert_array_equal(drawing.seen.target[0], drawing.seen.target[1])


def test_baseline_parameters_are_no_part_of_the_model():
    config = config_of("fast", "nvil")
    state = jax.eval_shape(
        lambda key: init_state(config.model, optax.identity(), key, "nvil"), jax.random.key(0)
    )
    model = jax.eval_shape(functools.partial(dood.init, config.model), jax.random.key(0))
    assert jax.tree_util.tree_structure(state.params) == jax.tree_util.tree_structure(model)
    assert set(state.trained) - set(state.params) == {"baseline", "baseline_rnn"}


@pytest.fixture(scope="module")
def drawn(images, params):
    """A model of two iterations, its parameters, and four examples that it drew."""
    config = config_of("fast", "exact", 1, 2)
    corrector = jax.jit(lambda key: dood.init(config.model, key)["corrector"])(jax.random.key(0))
    params = {**params, "corrector": jax.device_get(corrector)}
    return config, params, jax.device_get(draw_examples(config, params, images))


def draw_examples(config: Config, params: Params, images: np.ndarray) -> losses.Example:
    keys, resident = jax.random.split(jax.random.key(1), 4), jnp.uint8(255 * images)
    draw_one = functools.partial(losses.draw_example, config, example_stream.sample_example, params, resident)
    return jax.jit(jax.vmap(draw_one))(jnp.arange(4), keys)


def with_mismatched(config: Config, probability: float) -> Config:
    objective = dataclasses.replace(config.objective, mismatched_start_prob=probability)
    return dataclasses.replace(config, objective=objective)


def iterated(config: Config, probability: float, params: Params, chosen: losses.Example, others: Drawing):
    """The summed bounds after iterative inference, and the metrics of each example."""
    config = with_mismatched(config, probability)
    bound, metrics = jax.vmap(functools.partial(losses.iterated_bound, config, params, 0))(chosen, others)
    return bound.sum(), metrics


@functools.cache
def iterated_gradient(config: Config, probability: float):
    return jax.jit(jax.grad(functools.partial(iterated, config, probability), has_aux=True))


@pytest.mark.slow
def test_a_mismatched_start_is_the_other_drawing_and_teaches_no_scale(drawn):
    config, params, examples = drawn
    chosen, others = losses.iterated_examples(examples, 2)
    odd = jnp.zeros_like(chosen.is_plain)  # so that the prior learns from neither
    start_elsewhere = chosen._replace(drawing=others, is_plain=odd)
    never = iterated_gradient(config, 0.0)
    mismatched, metrics = iterated_gradient(config, 1.0)(params, chosen, others)
    own, given = never(params, start_elsewhere, chosen.drawing)
    np.testing.assert_allclose(metrics["corrected_elbo"], given["corrected_elbo"], rtol=1e-5)
    at_home = never(params, chosen, others)[1]
    assert np.abs(metrics["corrected_elbo"] - at_home["corrected_elbo"]).min() > 0.1
    assert not mismatched["likelihood"]["map"].any() and own["likelihood"]["map"].any()
    jax.tree_util.tree_map(
        functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-3),
        mismatched["corrector"],
        own["corrector"],
    )


@pytest.mark.parametrize(
    ("every", "chosen", "others"), [(1, [0, 1, 2, 3], [1, 0, 3, 2]), (2, [0, 2], [1, 3]), (4, [0], [3])]
)
def test_an_iterated_example_goes_with_the_drawing_of_another(drawn, every, chosen, others):
    _, _, examples = drawn
    found, other_drawings = losses.iterated_examples(examples, every)
    np.testing.assert_array_equal(found.image, examples.image[np.array(chosen)])
    points = examples.drawing.strokes.control_points
    assert len(np.unique(points, axis=0)) == 4
    np.testing.assert_array_equal(other_drawings.strokes.control_points, points[np.array(others)])


@pytest.mark.slow
def test_with_all_examples_iterated_mismatched_starts_are_drawings_of_other_images(drawn, images):
    """The loss of a batch has the bounds of its images from each other's drawings."""
    config, params, examples = drawn
    objective = dataclasses.replace(config.objective, iterated_fraction=1.0, mismatched_start_prob=1.0)
    config = dataclasses.replace(config, objective=objective)
    batch = losses.Batch(
        jnp.uint8(255 * images), jnp.arange(4), jax.random.split(jax.random.key(1), 4), jnp.int32(0)
    )
    loss = functools.partial(losses.exact_loss, config, example_stream.sample_example)
    _, aux = jax.jit(lambda params: loss(params, (), batch, None))(params)
    swapped = jax.tree_util.tree_map(lambda leaf: leaf[np.array([1, 0, 3, 2])], examples.drawing)
    bounds = [
        jax.jit(functools.partial(iterated, config, probability))(params, examples, swapped)[0] / 4
        for probability in (1.0, 0.0)
    ]
    assert aux.metrics["corrected_elbo"] == pytest.approx(float(bounds[0]), rel=1e-5)
    assert abs(bounds[0] - bounds[1]) > 0.1


@pytest.mark.parametrize(
    ("fraction", "of_a_device", "said"),
    [
        (1.0, 3, r"pairs the images of a device, but it has 3; give an even number"),
        (0.25, 2, r"objective\.iterated_fraction=0\.25 of 2 images a device is no whole number; give 1"),
    ],
)
def test_examples_that_cannot_be_grouped_are_refused(images, fraction, of_a_device, said):
    config = config_of("fast", "exact", 1, 2)
    objective = dataclasses.replace(config.objective, iterated_fraction=fraction)
    config = dataclasses.replace(config, objective=objective)
    keys = jax.random.split(jax.random.key(1), of_a_device)
    batch = losses.Batch(jnp.uint8(255 * images), jnp.arange(of_a_device), keys, 0)
    with pytest.raises(BadInput, match=said):
        losses.exact_loss(config, example_stream.sample_example, {}, (), batch, None)


def largest(network) -> float:
    return max(np.abs(leaf).max() for leaf in jax.tree_util.tree_leaves(network))


@pytest.mark.parametrize(
    "kind",
    [
        ("fast", "exact", 1),
        pytest.param(("fast", "exact", 1, 2), marks=pytest.mark.slow),
        pytest.param(("published", "nvil", 1), marks=pytest.mark.slow),
    ],
)
def test_the_prior_learns_nothing_from_images_that_are_not_plain(images, params, kind):
    """Not of the first drawing and not of the corrected one; recognition learns."""
    config = config_of(*kind)
    state = TrainState(np.int32(0), params, (), (), np.int32(0))
    if kind != ("fast", "exact", 1):  # whose parameters are those of the tiny model
        init = functools.partial(init_state, config.model, optax.identity(), stopping=kind[1])
        state = jax.device_get(jax.jit(init)(jax.random.key(0)))
    batch = losses.Batch(
        jnp.uint8(255 * images), jnp.arange(4), jax.random.split(jax.random.key(1), 4), np.int32(0)
    )

    def gradient(is_plain):
        pick = lambda *given: example_stream.sample_example(*given)._replace(is_plain=is_plain)
        loss = losses.LOSSES[config.objective.stopping]
        of_params = lambda params: loss(config, pick, params, state.learner, batch, None)[0]
        return jax.grad(of_params)(state.trained)

    both = jax.device_get(jax.jit(jax.vmap(gradient))(jnp.array([True, False])))
    plain, odd = (jax.tree_util.tree_map(lambda leaf, which=which: leaf[which], both) for which in (0, 1))
    for name, network in odd.items():
        if name in prior_networks(config.model):
            assert largest(network) == 0 < largest(plain[name]), name
        elif name in ("brush", "canvas_slope", "likelihood"):  # that the prior does not use
            jax.tree_util.tree_map(
                functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-3), network, plain[name]
            )
        elif name.startswith("posterior"):
            assert largest(network) > 0, name


def test_what_the_prior_knows_gets_no_gradient_where_it_does_not_learn(drawn):
    """Nor do the networks that it shares with recognition, through its terms; given strokes still do."""
    config, params, examples = drawn
    drawing = jax.tree_util.tree_map(lambda leaf: leaf[0], examples.drawing)

    def log_prior(params, points, learns):
        strokes = drawing.strokes._replace(control_points=points)
        contexts = replay(config.model, params, strokes, drawing.brush).contexts
        return prior_log_probs(config.model, params, contexts, strokes, drawing.brush, learns).layout.sum()

    gradient = jax.jit(jax.grad(log_prior, (0, 1)))
    of_params, of_points = gradient(params, drawing.strokes.control_points, jnp.array(False))
    assert all(largest(network) == 0 for network in of_params.values())
    assert largest(of_points) == 0  # layouts follow from the drawing so far alone
    of_params, _ = gradient(params, drawing.strokes.control_points, jnp.array(True))
    assert largest(of_params["layout_rnn"]) > 0 and largest(of_params["canvas_encoder"]) > 0


@pytest.mark.slow
def test_the_prior_learns_nothing_from_mismatched_starts(drawn):
    config, params, examples = drawn
    chosen, others = losses.iterated_examples(examples, 2)
    mismatched, own = (iterated_gradient(config, prob)(params, chosen, others)[0] for prob in (1.0, 0.0))
    for name in prior_networks(config.model):
        assert largest(mismatched[name]) == 0 < largest(own[name]), name


@pytest.mark.slow
def test_the_prior_alone_learns_where_asked(images):
    """As much as it would beside the others, which stay where they are."""
    config = config_of("fast", "exact", 1, 2)
    alone = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, trained="prior"))
    start = jax.jit(functools.partial(init_state, config.model, make_optimizer(config.optimizer, 100)))
    start = start(jax.random.key(0)).params
    (after, metrics), (whole, _) = (run(one, images, 1, 2)[1] for one in (alone, config))
    assert metrics["gradient_norm"] > 0
    for name, network in after.params.items():
        if name in prior_networks(config.model):
            assert largest(jax.tree_util.tree_map(np.subtract, network, start[name])) > 1e-6, name
        else:
            jax.tree_util.tree_map(np.testing.assert_array_equal, network, start[name])
    assert largest(jax.tree_util.tree_map(np.subtract, whole.params["brush"], start["brush"])) > 1e-6


@pytest.mark.slow
def test_the_scale_of_a_model_with_iterations_is_that_of_corrected_drawings(images):
    """Its gradient is that of the corrected drawings alone; the first drawings add none."""
    config = config_of("fast", "exact", 1, 2)
    params = jax.device_get(jax.jit(functools.partial(dood.init, config.model))(jax.random.key(0)))
    batch = losses.Batch(
        jnp.uint8(255 * images), jnp.arange(4), jax.random.split(jax.random.key(1), 4), np.int32(0)
    )
    loss = lambda params: losses.exact_loss(config, example_stream.sample_example, params, (), batch, None)[0]
    found = jax.jit(jax.grad(loss))(params)["likelihood"]["map"]

    def corrected(likelihood):
        chosen, others = losses.iterated_examples(draw_examples(config, params, images), 2)
        with_scale = {**params, "likelihood": likelihood}
        bound, _ = iterated(config, config.objective.mismatched_start_prob, with_scale, chosen, others)
        return -bound / 2

    wanted = jax.jit(jax.grad(corrected))(params["likelihood"])["map"]
    assert np.abs(wanted).max() > 0
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
