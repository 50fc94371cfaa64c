"""The layers that models are made of: encoders, heads, the recurrent cell, and the range map of outputs."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from dood_jax.types import Array, BrushParams

Params = dict  # parameters by the name of a network, as in `params["layout_rnn"]`
Initializer = Callable[..., Array]

PATCH = 5  # pixels along a patch; the sizes of images and glimpses are multiples of it
MEMORY = 64  # numbers that the corrector remembers of a stroke between iterations
_CORRECTOR_HIDDEN = 256
_EDGE = 1e-3  # fraction of a range at either end that counts as the end


def bounded(raw: Array, low: Array | np.ndarray | float, high: Array | np.ndarray | float) -> Array:
    """The range map low + (high - low) * sigmoid(raw), any broadcastable shapes (method.md 3.1)."""
    return jnp.asarray(low + (high - low) * jax.nn.sigmoid(raw))


def unbounded(value: Array, low: Array | float, high: Array | float) -> Array:
    """The raw number that `bounded` maps to a value; finite for values at the ends of the range."""
    fraction = jnp.clip((value - low) / (high - low), _EDGE, 1 - _EDGE)
    return jnp.log(fraction) - jnp.log1p(-fraction)


def patches(image: Array) -> Array:
    """[H, W] -> [H/5, W/5, 25] non-overlapping patches."""
    height, width = image.shape
    grid = image.reshape(height // PATCH, PATCH, width // PATCH, PATCH)
    return grid.transpose(0, 2, 1, 3).reshape(height // PATCH, width // PATCH, PATCH**2)


class PatchEncoder(nn.Module):
    """Images to features by patches: plain matrix products, no convolutions.

    Patches -> 24, merged by windows -> 48, flattened -> features; SiLU after each. Even grids merge 2 x 2
    windows side by side, odd ones 3 x 3 windows that overlap by one patch. An encoder of several images adds
    their patch embeddings, so that the embedding of an image that stays the same between strokes is computed
    once; two images need no input for their difference, which is a linear function of both.
    """

    num_images: int
    features: int
    patch_features: int = 24
    window_features: int = 48

    def setup(self) -> None:
        """Declares one patch embedding an image and the shared layers above them."""
        init = nn.initializers.variance_scaling(1 / self.num_images, "fan_in", "uniform")
        self.embeddings = [nn.Dense(self.patch_features, kernel_init=init) for _ in range(self.num_images)]
        init = nn.initializers.lecun_uniform()
        self.merge = nn.Dense(self.window_features, kernel_init=init)
        self.out = nn.Dense(self.features, kernel_init=init)

    def __call__(self, image: Array) -> Array:
        """Features [D] of a [H, W] image, of an encoder that sees one."""
        return self.encode(self.embed(0, patches(image)))

    def embed(self, which: int, patched: Array) -> Array:
        """The patch embedding [h, w, 24] of image `which`, given its patches [h, w, 25]."""
        return self.embeddings[which](patched)

    def encode(self, embedded: Array) -> Array:
        """Features [D] of the sum of the images' embeddings [h, w, 24]."""
        windows = self.merge(_windows(nn.silu(embedded)))
        return nn.silu(self.out(nn.silu(windows).reshape(-1)))


def _windows(grid: Array) -> Array:
    """[h, w, C] -> [h', w', k*k*C] windows at stride 2: k = 2 for an even grid, else 3 (overlapping)."""
    height, width, channels = grid.shape
    if height % 2 == 0:
        pairs = grid.reshape(height // 2, 2, width // 2, 2, channels)
        return pairs.transpose(0, 2, 1, 3, 4).reshape(height // 2, width // 2, 4 * channels)
    shifted = [grid[i : height - 2 + i : 2, j : width - 2 + j : 2] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1)


class Head(nn.Module):
    """Inputs, concatenated -> one hidden SiLU layer -> raw outputs."""

    hidden: int
    outputs: int
    output_scale: float = 1.0  # of the last layer's initial weights; 0 starts from the bias alone
    output_bias: tuple[float, ...] | None = None

    @nn.compact
    def __call__(self, inputs: Sequence[Array]) -> Array:
        """Vectors -> [outputs] raw numbers."""
        init = nn.initializers.lecun_uniform()
        features = nn.silu(nn.Dense(self.hidden, kernel_init=init)(jnp.concatenate(inputs)))
        if self.output_scale != 1:
            init = _scaled(init, self.output_scale)
        bias_init = constant(self.output_bias) if self.output_bias else nn.initializers.zeros
        return nn.Dense(self.outputs, kernel_init=init, bias_init=bias_init, name="out")(features)


def _scaled(init: Initializer, scale: float) -> Initializer:
    return lambda *args: scale * init(*args)


def constant(values: tuple[float, ...]) -> Initializer:
    """An initialiser that gives these values, whatever the key."""
    return lambda key, shape, dtype=jnp.float32: jnp.broadcast_to(jnp.array(values, dtype), shape)


class Summary(nn.Module):
    """Inputs, concatenated -> features that several heads share: a SiLU layer, and another added to it."""

    features: int

    @nn.compact
    def __call__(self, inputs: Sequence[Array]) -> Array:
        """Vectors -> [features]."""
        init = nn.initializers.lecun_uniform()
        found = nn.silu(nn.Dense(self.features, kernel_init=init)(jnp.concatenate(inputs)))
        return found + nn.silu(nn.Dense(self.features, kernel_init=init)(found))


class PairChain(nn.Module):
    """Raw numbers for each of N pairs, given a context and the pairs before it, in one pass.

    Every pair has two hidden layers of its own, of which the first sees the context and, through a masked
    kernel, only earlier pairs (as in MADE, Germain, Gregor, Murray and Larochelle 2015).
    """

    num_pairs: int
    hidden: int
    outputs: int
    reach: float  # numbers that are farther from 0 are seen as this far

    @nn.compact
    def __call__(self, context: Sequence[Array], pairs: Array) -> Array:
        """Vectors and [N, 2] pairs -> [N, outputs]; a row depends on no pair from its own on."""
        init = nn.initializers.lecun_uniform()
        pairs = jnp.clip(pairs, -self.reach, self.reach)
        width = self.num_pairs * self.hidden
        features = nn.Dense(width, kernel_init=init, name="context")(jnp.concatenate(context))
        is_earlier = np.kron(np.triu(np.ones((self.num_pairs,) * 2), 1), np.ones((2, self.hidden)))
        kernel = self.param("earlier", _masked(init, is_earlier), is_earlier.shape) * is_earlier
        features = nn.silu(features + pairs.reshape(-1) @ kernel)
        features = features.reshape(self.num_pairs, self.hidden)
        for name, outputs in (("hidden", self.hidden), ("out", self.outputs)):
            kernel = self.param(name, _each(init), (self.num_pairs, self.hidden, outputs))
            bias = self.param(f"{name}_bias", nn.initializers.zeros, (self.num_pairs, outputs))
            raw = jnp.einsum("nh,nho->no", features, kernel) + bias
            features = nn.silu(raw)
        return raw


class MaskedChain(nn.Module):
    """The same without a context, wider: both hidden layers see all earlier pairs, and are added (MADE).

    A pair's row of outputs begins as its own constants, so that they differ from each other.
    """

    num_pairs: int
    hidden: int
    outputs: int
    reach: float

    @nn.compact
    def __call__(self, pairs: Array) -> Array:
        """[N, 2] pairs -> [N, outputs]; a row depends on no pair from its own on."""
        pairs = jnp.clip(pairs, -self.reach, self.reach)
        init, spread_out = nn.initializers.lecun_uniform(), nn.initializers.normal(0.5)
        count, width = self.num_pairs, self.num_pairs * self.hidden
        earlier = np.triu(np.ones((count, count)), 1)
        mask = np.kron(earlier, np.ones((2, self.hidden))) > 0
        kernel = self.param("first", _masked(init, mask), mask.shape) * mask
        features = nn.silu(pairs.reshape(-1) @ kernel + self.param("first_bias", spread_out, (width,)))
        mask = np.kron(earlier + np.eye(count), np.ones((self.hidden, self.hidden))) > 0
        kernel = self.param("second", _masked(init, mask), mask.shape) * mask
        bias = self.param("second_bias", nn.initializers.zeros, (width,))
        features += nn.silu(features @ kernel + bias)
        kernel = self.param("out", _each(init), (self.num_pairs, self.hidden, self.outputs))
        bias = self.param("out_bias", spread_out, (self.num_pairs, self.outputs))
        return jnp.einsum("nh,nho->no", features.reshape(count, self.hidden), kernel) + bias


def _masked(init: Initializer, mask: np.ndarray) -> Initializer:
    """An initialiser that is 0 where a mask is: what never acts takes no room in a compressed file."""
    return lambda *args: jnp.multiply(mask, init(*args))


def _each(init: Initializer) -> Initializer:
    """An initialiser of [N, inputs, outputs] kernels, each as `init` has it for one."""
    return lambda key, shape, dtype=jnp.float32: jnp.stack(
        [init(one, shape[1:], dtype) for one in jax.random.split(key, shape[0])]
    )


class GRUCell(nn.Module):
    """A gated recurrent unit whose reset gate follows the hidden-side linear map (method.md 3.4).

    `flax.linen.GRUCell` computes the same. Here the kernels hold the columns of the gates r, z and n side by
    side, one matrix product an input instead of three, which takes 0.6 to 0.7 of the time of flax's cell,
    gradients included, on two cores (`benchmarks/run.py --only=parts`).
    """

    features: int
    kernel_init: Initializer = nn.initializers.lecun_uniform()
    bias_init: Initializer = nn.initializers.zeros

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


class Change(NamedTuple):
    """Raw numbers that say how strokes are to change, and how sure that is."""

    layout: Array  # [..., 4]
    layout_width: Array  # [..., 4]
    points: Array  # [..., P, 2]
    point_width: Array  # [..., P, 2]
    brush: BrushParams  # [...] each, and [..., 2] of a taper
    brush_width: Array  # [..., 5] where the brush is latent, the last for the canvas slope; else [..., 0]


class Corrector(nn.Module):
    """The network of iterative inference: from where a stroke misses the image to how it should change.

    Its changes are zero before it has learned anything.
    """

    num_points: int
    has_latent_brush: bool = False

    @nn.compact
    def __call__(self, memory: Array, inputs: Array) -> tuple[Array, Change]:
        """[..., MEMORY] and [..., D] -> [..., MEMORY] and the changes of each stroke."""
        init = nn.initializers.lecun_uniform()
        features = jnp.concatenate([inputs, memory], axis=-1)
        for _ in range(2):
            features = nn.silu(nn.Dense(_CORRECTOR_HIDDEN, kernel_init=init)(features))
        memory = GRUCell(MEMORY, name="memory")(memory, features)
        of_points, of_latent = 2 * self.num_points, [2, 5] if self.has_latent_brush else [0, 0]
        sizes = np.array([4, 4, of_points, of_points, 1, 1, 1, *of_latent])
        raw = nn.Dense(int(sizes.sum()), kernel_init=nn.initializers.zeros, name="out")(features)
        parts = jnp.split(raw, np.cumsum(sizes)[:-1], axis=-1)
        layout, layout_width, points, point_width, *brush, taper, brush_width = parts
        in_pairs = lambda numbers: numbers.reshape(*numbers.shape[:-1], self.num_points, 2)
        width, slope, canvas_slope = (number[..., 0] for number in brush)
        change = BrushParams(width, slope, canvas_slope, taper if self.has_latent_brush else None)
        return memory, Change(
            layout, layout_width, in_pairs(points), in_pairs(point_width), change, brush_width
        )


def count(params: Params) -> int:
    """The number of parameters."""
    return sum(leaf.size for leaf in jax.tree_util.tree_leaves(params))
