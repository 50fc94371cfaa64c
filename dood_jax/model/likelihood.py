"""The scale of the observation model: how far a pixel may lie from the canvas.

`map` is the published one, a learned number a pixel (method.md 4). `canvas` computes the scale from the
canvas itself: sharp far from ink, wide at its edges; it can go where training never saw ink.
"""

import functools

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from dood_jax.distributions.bounded import bounded
from dood_jax.types import Array

_BLURS = (1.0, 2.5, 6.0)  # standard deviations in pixels
_NUM_FEATURES = 14
SCALE_RANGE = (0.01, 1.0)  # (method.md 4)


class ObservationScale(nn.Module):
    """Holds the raw numbers of both kinds of scale; zeros give 0.505 everywhere."""

    image_size: int

    def setup(self) -> None:
        """Declares the map and the weights of the canvas features."""
        size = self.image_size
        self.map = self.param("map", nn.initializers.zeros, (size, size))
        self.canvas = self.param("canvas", nn.initializers.zeros, (_NUM_FEATURES,))

    def from_map(self) -> Array:
        """[H, W] scale of the published observation model."""
        return bounded(self.map, *SCALE_RANGE)

    def from_canvas(self, canvas: Array) -> Array:
        """[..., H, W] scale for [..., H, W] canvases."""
        return bounded(_weigh_features(self.canvas, canvas), *SCALE_RANGE)

    def __call__(self, kind: str, canvas: Array) -> Array:
        """The scale of either kind, broadcastable to the canvas."""
        return self.from_map() if kind == "map" else self.from_canvas(canvas)


def _weigh_features(weights: Array, canvas: Array) -> Array:
    """Weighted sum of local features of [..., H, W] canvases."""
    fine, middle, wide = (_blur(canvas, deviation) for deviation in _BLURS)
    features = (
        jnp.ones_like(canvas),
        canvas,
        fine,
        middle,
        wide,
        canvas**2,
        fine**2,
        middle**2,
        wide**2,
        canvas * fine,
        canvas * middle,
        fine * middle,
        jnp.sqrt(middle + 1e-4),
        jnp.sqrt(wide + 1e-4),
    )
    return sum(weights[i] * feature for i, feature in enumerate(features))


def _blur(canvas: Array, deviation: float) -> Array:
    """Gaussian blur, zero outside the picture: one matrix product along each axis."""
    rows, columns = (_blur_matrix(size, deviation) for size in canvas.shape[-2:])
    product = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)
    return product(product(rows, canvas), columns.T)


@functools.lru_cache
def _blur_matrix(size: int, deviation: float) -> np.ndarray:
    reach = np.arange(size)
    gaussian = np.exp(-((reach[:, None] - reach[None]) ** 2) / (2 * deviation**2))
    whole = np.exp(-(np.arange(-4 * size, 4 * size + 1) ** 2) / (2 * deviation**2)).sum()
    return (gaussian / whole).astype(np.float32)
