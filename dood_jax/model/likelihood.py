"""The scale of the observation model: how far a pixel may lie from the canvas.

`map` is the published one, a learned number a pixel (method.md 4). `canvas` computes the scale from the
canvas itself: sharp far from ink, wide at its edges; it can go where training never saw ink.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from dood_jax.distributions.bounded import bounded
from dood_jax.types import Array

_BLURS = (1.0, 2.5, 6.0)  # standard deviations in pixels
_NUM_FEATURES = 14
_TINY = 1e-4  # under the roots, so that their slope is finite on blank paper
_FIRST = np.array(
    [0, 0, 0, 0, 0, 1, 2, 3, 4, 1, 1, 2]
)  # of 1, C, F, M, W: the two whose product a weight is of
_SECOND = np.array([0, 1, 2, 3, 4, 1, 2, 3, 4, 2, 3, 3])
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
    return _polynomial(weights, canvas, *_blurs(canvas))


@jax.custom_vjp
def _polynomial(weights: Array, canvas: Array, fine: Array, middle: Array, wide: Array) -> Array:
    """The sum of 1, C, F, M, W, C², F², M², W², CF, CM, FM, √M, √W, each times its weight.

    Its gradient in the weights is a few products of pictures; a compiler would sum pixels fourteen times.
    """
    one, c, f, m, w, cc, ff, mm, ww, cf, cm, fm, root_m, root_w = weights
    return (
        one
        + canvas * (c + cc * canvas + cf * fine + cm * middle)
        + fine * (f + ff * fine + fm * middle)
        + middle * (m + mm * middle)
        + wide * (w + ww * wide)
        + root_m * jnp.sqrt(middle + _TINY)
        + root_w * jnp.sqrt(wide + _TINY)
    )


def _polynomial_backward(saved, cotangent):
    weights, canvas, fine, middle, wide = saved
    _, c, f, m, w, cc, ff, mm, ww, cf, cm, fm, root_m, root_w = weights
    slopes = (
        c + 2 * cc * canvas + cf * fine + cm * middle,
        f + 2 * ff * fine + cf * canvas + fm * middle,
        m + 2 * mm * middle + cm * canvas + fm * fine + 0.5 * root_m * lax.rsqrt(middle + _TINY),
        w + 2 * ww * wide + 0.5 * root_w * lax.rsqrt(wide + _TINY),
    )
    features = jnp.stack([jnp.ones_like(canvas), canvas, fine, middle, wide]).reshape(5, -1)
    roots = jnp.sqrt(jnp.stack([middle, wide]) + _TINY).reshape(2, -1)
    pull = cotangent.reshape(-1)
    products = (features * pull) @ features.T
    d_weights = jnp.concatenate([products[_FIRST, _SECOND], roots @ pull])
    return d_weights, *(cotangent * slope for slope in slopes)


_polynomial.defvjp(lambda *inputs: (_polynomial(*inputs), inputs), _polynomial_backward)


def _blurs(canvas: Array) -> list[Array]:
    """Gaussian blurs, zero outside the picture; along rows all of them are one matrix product."""
    height, width = canvas.shape[-2:]
    across = np.concatenate([_blur_matrix(width, deviation).T for deviation in _BLURS], axis=1)
    blurred = jnp.split(canvas @ across, len(_BLURS), axis=-1)
    return [_blur_matrix(height, deviation) @ one for deviation, one in zip(_BLURS, blurred, strict=True)]


@functools.lru_cache
def _blur_matrix(size: int, deviation: float) -> np.ndarray:
    reach = np.arange(size)
    gaussian = np.exp(-((reach[:, None] - reach[None]) ** 2) / (2 * deviation**2))
    whole = np.exp(-(np.arange(-4 * size, 4 * size + 1) ** 2) / (2 * deviation**2)).sum()
    return (gaussian / whole).astype(np.float32)
