"""What NVIL expects of a drawing before each stroke: a recurrent network of its own (method.md 5, 7)."""

import jax.numpy as jnp
from flax import linen as nn

from dood_jax.networks.published_heads import DenseStack
from dood_jax.networks.recurrence import published_cell
from dood_jax.types import Array


class Baseline(nn.Module):
    """A recurrent cell over strokes, then layers with tanh and a linear output."""

    features: int
    widths: tuple[int, ...]  # of the layers

    def setup(self) -> None:
        """Declares both parts."""
        self.baseline_rnn = published_cell(self.features)
        self.baseline = DenseStack(self.widths, 1)

    def __call__(self, inputs: Array) -> Array:
        """[T, n] what is known before each stroke -> [T] values."""
        states = [jnp.zeros(self.features, inputs.dtype)]
        for one in inputs:
            states.append(self.baseline_rnn(states[-1], one))
        return self.baseline([jnp.stack(states[1:])])[:, 0]
