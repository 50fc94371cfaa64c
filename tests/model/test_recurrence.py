"""The recurrent cell against its formula in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close
from scipy.special import expit

from dood_jax.model.networks import GRUCell

NAMES = ("kernel_i", "kernel_h", "bias_i", "bias_h")
FEATURES, INPUTS = 6, 4


def random_params():
    random = np.random.default_rng(3)
    shapes = [(INPUTS, 3 * FEATURES), (FEATURES, 3 * FEATURES), (3 * FEATURES,), (3 * FEATURES,)]
    return {
        name: random.normal(size=shape).astype(np.float32) for name, shape in zip(NAMES, shapes, strict=True)
    }


def step(params, state, inputs):
    return GRUCell(state.shape[-1]).apply({"params": params}, state, inputs)


def numpy_step(params, state, inputs):
    """method.md 3.4, gate by gate."""
    r, z, n = (slice(k * state.shape[-1], (k + 1) * state.shape[-1]) for k in range(3))

    def from_inputs(gate):
        return inputs @ params["kernel_i"][:, gate] + params["bias_i"][gate]

    def from_state(gate):
        return state @ params["kernel_h"][:, gate] + params["bias_h"][gate]

    reset = expit(from_inputs(r) + from_state(r))
    update = expit(from_inputs(z) + from_state(z))
    new = np.tanh(from_inputs(n) + reset * from_state(n))
    return (1 - update) * new + update * state


def test_golden_steps(golden):
    params = {name: golden[f"gru/{name}"] for name in NAMES}
    assert_close(step(params, golden["gru/state"], golden["gru/input"]), golden["gru/out"], 1e-5)


@pytest.mark.parametrize("axes", [(), (3,), (2, 3)])
def test_step_is_its_formula_with_any_leading_axes(axes):
    random = np.random.default_rng(4)
    state, inputs = random.normal(size=(*axes, FEATURES)), random.normal(size=(*axes, INPUTS))
    actual = step(random_params(), jnp.asarray(state, jnp.float32), jnp.asarray(inputs, jnp.float32))
    np.testing.assert_allclose(actual, numpy_step(random_params(), state, inputs), atol=2e-6)


def test_open_update_gate_keeps_the_state():
    params = random_params()
    params["bias_i"][FEATURES : 2 * FEATURES] = 100
    state = jnp.linspace(-1, 1, FEATURES)
    np.testing.assert_allclose(step(params, state, jnp.ones(INPUTS)), state, atol=1e-6)


def test_closed_reset_gate_hides_the_state_and_its_bias_from_the_new_value():
    params = random_params()
    params["bias_i"][:FEATURES] = -100
    params["bias_i"][FEATURES : 2 * FEATURES] = -100
    inputs = np.linspace(-1, 1, INPUTS).astype(np.float32)
    new = slice(2 * FEATURES, None)
    expected = np.tanh(inputs @ params["kernel_i"][:, new] + params["bias_i"][new])
    np.testing.assert_allclose(step(params, jnp.ones(FEATURES), inputs), expected, atol=1e-6)


def test_fresh_cell_has_zero_biases_and_takes_zeros_to_zeros():
    cell = GRUCell(FEATURES)
    variables = cell.init(jax.random.key(0), jnp.zeros(FEATURES), jnp.zeros(INPUTS))
    shapes = {name: leaf.shape for name, leaf in variables["params"].items()}
    assert shapes == {name: leaf.shape for name, leaf in random_params().items()}
    np.testing.assert_array_equal(cell.apply(variables, jnp.zeros(FEATURES), jnp.zeros(INPUTS)), 0)
