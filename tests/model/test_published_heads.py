"""Published heads: golden meanings of their outputs, and initial values (method.md 3.5, 12.1)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close
from scipy.special import expit

from dood_jax.config.model import ModelConfig
from dood_jax.model.families import brush_of
from dood_jax.model.published import CORRELATED, DenseStack, published_cell
from dood_jax.types import BrushParams

POINTS, COMPONENTS = 5, 40
START = {  # what each head says before training: MODEL.md's values at the start
    "posterior_presence": 0.8808,
    "canvas_slope": 0.4765,
    "prior_presence": 0.7311,
}


@pytest.fixture(scope="module")
def outputs() -> dict[str, np.ndarray]:
    """Raw outputs of the fresh heads for a random input."""
    return raw_outputs("mnist", jax.random.normal(jax.random.key(9), (7,)))


def raw_outputs(start: str, inputs) -> dict[str, np.ndarray]:
    """By the names of parameters, what fresh heads say of inputs."""
    config = ModelConfig(
        latents="correlated", start=start, features=16, num_points=POINTS, components=COMPONENTS
    )
    posterior, prior = CORRELATED.posterior_heads(config), CORRELATED.prior_heads(config)
    named = {"canvas_slope": posterior.canvas_slope, "brush": posterior.brush}
    for name in ("presence", "layout", "stroke"):
        named[f"posterior_{name}"], named[f"prior_{name}"] = getattr(posterior, name), getattr(prior, name)
    return {name: head.init_with_output(jax.random.key(0), [inputs])[0] for name, head in named.items()}


def brush(outputs: dict[str, np.ndarray], placement: str = "glimpse") -> BrushParams:
    raw = BrushParams(*outputs["brush"], outputs["canvas_slope"][0])
    return brush_of(ModelConfig(placement=placement), raw)


def test_stack_is_tanh_layers_and_a_linear_one():
    inputs = [np.float32([0.3, -1]), np.float32([2])]
    params = DenseStack((4, 3), 2).init(jax.random.key(0), inputs)["params"]
    units = np.concatenate(inputs)
    for name in ("dense0", "dense1"):
        units = np.tanh(units @ params[name]["kernel"] + params[name]["bias"])
    wanted = units @ params["out"]["kernel"] + params["out"]["bias"]
    np.testing.assert_allclose(DenseStack((4, 3), 2).apply({"params": params}, inputs), wanted, rtol=1e-5)


def test_weights_start_uniform_by_their_inputs():
    params = DenseStack((400,), 300).init(jax.random.key(0), [jnp.zeros(100)])["params"]
    for name, inputs in (("dense0", 100), ("out", 400)):
        for leaf in params[name].values():
            assert 0.95 < np.abs(leaf).max() * np.sqrt(inputs) <= 1
            assert abs(leaf.mean()) * np.sqrt(inputs) < 0.1
    cell = published_cell(64).init(jax.random.key(0), jnp.zeros(64), jnp.zeros(500))["params"]
    for leaf in cell.values():
        assert 0.95 < np.abs(leaf).max() * 8 <= 1


@pytest.mark.parametrize("name", START)
def test_probabilities_and_slope_start_as_published(outputs, name):
    on, _ = CORRELATED.presence(outputs[name][0])
    found = brush(outputs).canvas_slope if name == "canvas_slope" else jnp.exp(on)
    np.testing.assert_allclose(found, START[name], atol=5e-5)


@pytest.mark.parametrize(("placement", "width"), [("glimpse", 0.01358), ("points", 0.00917)])
def test_brushes_start_as_published(outputs, placement, width):
    np.testing.assert_allclose(brush(outputs, placement).ink_width, width, atol=1e-5)
    np.testing.assert_allclose(brush(outputs, placement).ink_slope, 0.8046, atol=5e-5)


@pytest.mark.parametrize(
    ("start", "slope", "width", "ink_slope"),
    [("synthetic", 0.4765, 0.01358, 0.8046), ("omniglot", 1.475, 0.01054, 0.8856)],
)
def test_other_sets_start_as_published(start, slope, width, ink_slope):
    outputs = raw_outputs(start, jnp.ones(7))
    on, _ = CORRELATED.presence(outputs["posterior_presence"][0])
    np.testing.assert_allclose(jnp.exp(on), 0.99995, atol=1e-5)
    np.testing.assert_allclose(brush(outputs).canvas_slope, slope, atol=5e-4)
    np.testing.assert_allclose(brush(outputs).ink_width, width, atol=1e-5)
    np.testing.assert_allclose(brush(outputs).ink_slope, ink_slope, atol=5e-5)


def test_layouts_start_as_published(outputs):
    posterior = CORRELATED.layout_posterior(outputs["posterior_layout"])
    np.testing.assert_allclose(posterior.mean, [0, 0, 0.998, 0], atol=2e-4)
    np.testing.assert_allclose(posterior.scale, 0.018, atol=2e-4)
    assert posterior.coupling == 0
    prior = CORRELATED.layout_prior(outputs["prior_layout"])
    np.testing.assert_array_equal(prior.logits, [4] + [-4] * 39)
    np.testing.assert_allclose(prior.components.mean[0], [0, 0, 0.9865, 0], atol=1e-4)
    np.testing.assert_allclose(prior.components.mean[1:], np.tile([0, 0, 0.9865, 0], (39, 1)), atol=4e-3)
    assert np.ptp(prior.components.mean[1:], axis=0).min() > 0
    np.testing.assert_allclose(prior.components.scale, 0.018, atol=2e-4)
    assert not np.any(prior.components.coupling)


def test_control_points_start_as_published(outputs):
    posterior = CORRELATED.stroke_posterior(outputs["posterior_stroke"])
    np.testing.assert_allclose(posterior.mean, 0.5, atol=0.25)
    np.testing.assert_allclose(posterior.scale, 0.5, atol=0.25)
    prior = CORRELATED.stroke_prior(outputs["prior_stroke"], POINTS)
    np.testing.assert_array_equal(prior.logits[0], [4] * 5 + [-4] * 35)
    np.testing.assert_array_equal(prior.logits[1:], -4)
    np.testing.assert_allclose(prior.components.mean, 0.5, atol=2e-3)
    np.testing.assert_allclose(prior.components.scale, 0.2, atol=1e-4)


def test_golden_presence_probability(golden):
    on, off = CORRELATED.presence(golden["head/q_on_raw"])
    assert_close(jnp.exp(on), golden["head/q_on_prob"], 1e-5)
    assert_close(jnp.exp(off), 1 - golden["head/q_on_prob"], 1e-5)


@pytest.mark.parametrize("name", ["layout", "stroke"])
def test_golden_posteriors(golden, name):
    read = getattr(CORRELATED, f"{name}_posterior")
    found = jax.vmap(read)(golden[f"head/q_{name}_raw"])
    for part, value in found._asdict().items():
        assert_close(value, golden[f"head/q_{name}_{part}"], 1e-5)


@pytest.mark.parametrize("name", ["layout", "stroke"])
def test_golden_mixtures_and_their_gradients(golden, name):
    def read(raw):
        if name == "layout":
            return CORRELATED.layout_prior(raw)
        return CORRELATED.stroke_prior(raw, POINTS)

    raw, point = (golden[f"mix_{name}/{part}"] for part in ("raw", "point"))
    for part, value in jax.vmap(read)(raw).components._asdict().items():
        assert_close(value, golden[f"mix_{name}/{part}"], 1e-5)
    log_prob = lambda raw, point: read(raw).log_prob(point)
    value, gradients = jax.jit(jax.vmap(jax.value_and_grad(log_prob, argnums=(0, 1))))(raw, point)
    assert_close(value, golden[f"mix_{name}/logp"], 1e-5)
    for gradient, part in zip(gradients, ("raw", "point"), strict=True):
        expected = golden[f"mix_{name}/d_{part}"]
        np.testing.assert_allclose(gradient, expected, rtol=5e-5, atol=5e-5 * np.abs(expected).max())


def test_extreme_raw_numbers_keep_scales_positive_and_log_densities_finite():
    for extreme in (-1e4, 1e4):
        layout = CORRELATED.layout_posterior(jnp.full(9, extreme))
        assert (np.asarray(layout.scale) > 0).all()
        on, off = CORRELATED.presence(jnp.float32(extreme))
        assert np.isfinite([on, off]).all()
    assert expit(2) == pytest.approx(START["posterior_presence"], abs=1e-4)
