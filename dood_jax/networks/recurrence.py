"""The recurrent cell of layouts and strokes (method.md 3.4)."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from dood_jax.networks.initial import uniform
from dood_jax.types import Array


class GRUCell(nn.Module):
    """A gated recurrent unit whose reset gate follows the hidden-side linear map (method.md 3.4).

    Kernels hold the columns of the gates r, z, n side by side: one matrix product an input.
    """

    features: int
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_uniform()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, hidden: Array, inputs: Array) -> Array:
        """[..., D] state and [..., inputs] -> the next [..., D] state."""
        columns = 3 * self.features
        kernel_i = self.param("kernel_i", self.kernel_init, (inputs.shape[-1], columns))
        kernel_h = self.param("kernel_h", self.kernel_init, (self.features, columns))
        bias_i = self.param("bias_i", self.bias_init, (columns,))
        bias_h = self.param("bias_h", self.bias_init, (columns,))
        reset_i, update_i, new_i = jnp.split(inputs @ kernel_i + bias_i, 3, axis=-1)
        reset_h, update_h, new_h = jnp.split(hidden @ kernel_h + bias_h, 3, axis=-1)
        update = jax.nn.sigmoid(update_i + update_h)
        new = jnp.tanh(new_i + jax.nn.sigmoid(reset_i + reset_h) * new_h)
        return (1 - update) * new + update * hidden


def published_cell(features: int) -> GRUCell:
    """A cell with weights and biases uniform in ±1/√features at the start (method.md 3.5)."""
    return GRUCell(features, kernel_init=uniform(features), bias_init=uniform(features))
