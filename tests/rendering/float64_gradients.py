"""Hand-written gradients of the brushes against autodiff of plain forms, in float64; run as a program."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax import geometry
from dood_jax.rendering import brushes

NUM_SAMPLES = 40
STROKE = np.array([(0.1, 0.5), (0.3, 0.2), (0.5, 0.8), (0.7, 0.3), (0.9, 0.6)])
TAPERING = np.linspace(0.6, 1.5, NUM_SAMPLES)
CASES = {
    "a stroke": (STROKE, 0.02),
    "a thin pen": (STROKE, 0.005),
    "coincident control points": (np.full((5, 2), 0.4), 0.03),
    "some coincident control points": (STROKE[[0, 0, 0, 2, 2]], 0.02),
    "partly outside the frame": (np.add(STROKE, [0.5, -0.4]), 0.02),
    "outside the frame": (np.add(STROKE, [1.15, -1.2]), 0.03),
    "far outside the frame": (STROKE + 50, 0.04),
}


def plain_curve(points):
    u = np.linspace(0, 1, NUM_SAMPLES)
    degree = len(points) - 1
    terms = [
        math.comb(degree, d) * (u ** (degree - d) * (1 - u) ** d)[:, None] * points[d][None]
        for d in range(degree + 1)
    ]
    return sum(terms)


def plain_splat(curve, width, size):
    width = jnp.broadcast_to(width, len(curve))[:, None, None]
    y, x = np.meshgrid(*(np.arange(n) / n for n in size), indexing="ij")
    squares = (curve[:, 0, None, None] - x) ** 2 + (curve[:, 1, None, None] - y) ** 2
    return jnp.exp(-squares / (2 * width**2)).sum(0)


def plain_soft_distance(curve, width, size):
    return (plain_splat(curve, width / 2, size) + 1e-20) ** 0.25 - 1e-20**0.25


def plain_distance(curve, width, size):
    pixels = np.stack(np.meshgrid(*(np.arange(n) / n for n in size[::-1])), axis=-1)
    start, edge = curve[:-1, None, None], jnp.diff(curve, axis=0)[:, None, None]
    share = jnp.clip(((pixels - start) * edge).sum(-1) / (edge**2).sum(-1), 0, 1)[..., None]
    squares = ((start + share * edge - pixels) ** 2).sum(-1)
    return jnp.exp(-squares.min(0) / (2 * width**2))


def image_and_gradients(curve_of, brush, size):
    """A jitted function of points, width and the weights of the pixels."""

    def weigh(points, width, weights):
        image = brush(curve_of(points), width, size)
        return (weights * image).sum(), image

    return jax.jit(jax.value_and_grad(weigh, argnums=(0, 1), has_aux=True))


def compare(case, actual, expected):
    (_, image), gradients = actual
    (_, plain_image), plain_gradients = expected
    pairs = zip((image, *gradients), (plain_image, *plain_gradients), strict=True)
    for array, plain in pairs:
        assert array.dtype == jnp.float64, case
        assert np.isfinite(array).all(), case
        largest = np.abs(plain).max()
        np.testing.assert_allclose(array, plain, rtol=0, atol=1e-9 * largest + 1e-300, err_msg=case)


def check(brush, plain_brush, size, cases=tuple(CASES)):
    weights = np.random.default_rng(0).normal(size=size)
    written = image_and_gradients(lambda points: geometry.bezier_curve(points, NUM_SAMPLES), brush, size)
    plain = image_and_gradients(plain_curve, plain_brush, size)
    for case in cases:
        points, width = CASES[case]
        for how, widths in (("even", width), ("tapering", width * TAPERING)):
            if how == "tapering" and brush is brushes.distance:
                continue  # its gradient leaves out how the width changes as a foot slides
            inputs = jnp.asarray(points), jnp.asarray(widths), weights
            compare(f"{brush.__name__}, {how}, {case}", written(*inputs), plain(*inputs))
        print(f"{brush.__name__}: {case}")


def main():
    check(brushes.splat, plain_splat, (40, 31))
    check(brushes.soft_distance, plain_soft_distance, (40, 31))
    one_nearest = [case for case in CASES if case != "coincident control points"]
    check(brushes.distance, plain_distance, (40, 31), one_nearest)


if __name__ == "__main__":
    main()
