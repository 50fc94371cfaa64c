"""The observation model's scale: how far a pixel may lie from the canvas; and the error of a canvas.

`map` is the published one, a learned number a pixel (method.md 4). `canvas` computes the scale from the
canvas itself: sharp far from ink, wide at its edges; it can go where training never saw ink.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.distributions.pixels import laplace_log_prob, normal_log_prob
from dood_jax.model.networks import bounded
from dood_jax.rendering.source_grid import through, to_source_grid
from dood_jax.types import Array

_FINE, _MIDDLE, _WIDE = 1.0, 2.5, 6.0  # standard deviations of the blurs in pixels
_NUM_FEATURES = 14
_TINY = 1e-4  # under the roots, so that their slope is finite on blank paper
_LEAST_EIGENVALUE = 1e-6  # of the wide blur that is kept; blurred pixels move by about as much
SQUARE_WEIGHT = 2.0  # of squared errors against absolute ones
SCALES = ("map", "canvas")  # kinds of scale
SCALE_RANGE = (0.01, 1.0)  # as published (method.md 4); a model has a least scale of its own


class ObservationScale(nn.Module):
    """Holds the raw numbers of both kinds of scale; zeros give 0.505 everywhere."""

    image_size: int
    likelihood: str = "laplace"  # or normal
    least_scale: float = 0.01

    def setup(self) -> None:
        """Declares the map and the weights of the canvas features."""
        size = self.image_size
        self.map = self.param("map", nn.initializers.zeros, (size, size))
        self.canvas = self.param("canvas", nn.initializers.zeros, (_NUM_FEATURES,))

    def from_map(self) -> Array:
        """[H, W] scale of the published observation model."""
        return bounded(self.map, self.least_scale, SCALE_RANGE[1])

    def from_canvas(self, canvas: Array) -> Array:
        """[..., H, W] scale for [..., H, W] canvases."""
        return _scale(self.least_scale, self.canvas, canvas)

    def log_prob(self, kind: str, image: Array, canvas: Array) -> Array:
        """[...] nats of a [H, W] image given [..., H, W] canvases, under the scale of either kind.

        A canvas may be [1, 1], one pixel for all: a blank one.
        """
        if kind == "map":
            return DENSITIES[self.likelihood](image, canvas, self.from_map())
        return _log_prob(self.likelihood, self.least_scale, self.canvas, image, canvas)


class ObservationModel(nn.Module):
    """p(image | canvas), under the scale that the config names or under another."""

    config: ModelConfig

    def setup(self) -> None:
        """Declares both scales."""
        self.likelihood = ObservationScale(
            self.config.image_size, self.config.likelihood, self.config.least_scale
        )

    def log_prob(self, image: Array, canvas: Array, scale: str | None = None) -> Array:
        """[...] nats of a [H, W] image given [..., H, W] canvases; a blank canvas may be [1, 1].

        `scale` is `map` or `canvas`; None is the model's own.
        """
        return self.likelihood.log_prob(scale or self.config.likelihood_scale, image, canvas)


def canvas_error(config: ModelConfig, image: Array, canvas: Array) -> Array:
    """[] Σ |error| + 2 Σ error² of a [H, W] canvas on the grid that the image was made on.

    What iterative inference and test-time optimisation bring down; it needs no scale (method.md 5.1, 10.11).
    """
    error = jnp.abs(image - to_source_grid(config.source_size, image, canvas))
    return (error + SQUARE_WEIGHT * error**2).sum()


DENSITIES = {"laplace": laplace_log_prob, "normal": normal_log_prob}


def _plain_log_prob(likelihood: str, least: float, weights: Array, image: Array, canvas: Array) -> Array:
    """[...] nats of a [H, W] image given [..., H, W] canvases, under the scale from the canvas."""
    return DENSITIES[likelihood](image, canvas, _scale(least, weights, canvas))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _log_prob(likelihood: str, least: float, weights: Array, image: Array, canvas: Array) -> Array:
    """The same, whose gradient is taken on the way forward, one canvas at a time.

    A canvas has one log-probability, so the way back only multiplies. The dozens of images in between are
    not kept, and those of one canvas, even of a batch, stay in the cache.
    """
    return _plain_log_prob(likelihood, least, weights, image, canvas)


def _log_prob_forward(likelihood, least, weights, image, canvas):
    if canvas.ndim > 2:
        return lax.map(lambda one: _log_prob_forward(likelihood, least, weights, image, one), canvas)
    # One pass computes value and gradient of a canvas while its blurs are in the cache.
    plain = functools.partial(_plain_log_prob, likelihood, least)
    return jax.value_and_grad(plain, argnums=(0, 1, 2))(weights, image, canvas)


def _log_prob_backward(_likelihood, _least, slopes, cotangent):
    d_weights, d_image, d_canvas = slopes
    total = lambda slope: jnp.tensordot(cotangent, slope, cotangent.ndim)
    return total(d_weights), total(d_image), cotangent[..., None, None] * d_canvas


_log_prob.defvjp(_log_prob_forward, _log_prob_backward)


def _scale(least: float, weights: Array, canvas: Array) -> Array:
    """[..., H, W] scale for [..., H, W] canvases."""
    return bounded(_polynomial(weights, canvas, *_blurs(canvas)), least, SCALE_RANGE[1])


def _polynomial(weights: Array, canvas: Array, fine: Array, middle: Array, wide: Array) -> Array:
    """The sum of 1, C, F, M, W, C², F², M², W², CF, CM, FM, √M, √W, each times its weight."""
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


def _blurs(canvas: Array) -> tuple[Array, Array, Array]:
    """Gaussian blurs of [..., H, W] canvases, fine to wide, zero outside the image.

    The wide one goes through the few smooth images that it lets pass.
    """
    height, width = canvas.shape[-2:]
    fine, middle = ([_blur_matrix(size, one) for size in (height, width)] for one in (_FINE, _MIDDLE))
    to_smooth = [_blur_root(size, _WIDE) for size in (height, width)]
    from_smooth = [root.T for root in to_smooth]
    return through(canvas, fine), through(canvas, middle), through(canvas, to_smooth + from_smooth)


@functools.lru_cache
def _blur_matrix(size: int, deviation: float) -> np.ndarray:
    reach = np.arange(size)
    gaussian = np.exp(-((reach[:, None] - reach[None]) ** 2) / (2 * deviation**2))
    whole = np.exp(-(np.arange(-4 * size, 4 * size + 1) ** 2) / (2 * deviation**2)).sum()
    return (gaussian / whole).astype(np.float32)


@functools.lru_cache
def _blur_root(size: int, deviation: float) -> np.ndarray:
    """[size, R] whose product with its own transpose is the blur; R is small where the blur is wide."""
    # blur ≈ root @ root.T with the eigenvectors of the few large eigenvalues: two thin products are cheaper.
    values, vectors = np.linalg.eigh(_blur_matrix(size, deviation).astype(float))
    kept = values > _LEAST_EIGENVALUE
    return (vectors[:, kept] * np.sqrt(values[kept])).astype(np.float32)
