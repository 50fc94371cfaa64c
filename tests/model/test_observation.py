"""The observation scale: the learned map, and features of the canvas with SciPy's blurs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import assert_close
from scipy import ndimage, stats
from scipy.special import expit

from dood_jax.distributions import pixels
from dood_jax.model.observation import ObservationScale

SIZE = 20
NUM_FEATURES = 14


def params_with(canvas=None, size=SIZE):
    return {"map": jnp.zeros((size, size)), "canvas": jnp.zeros(NUM_FEATURES) if canvas is None else canvas}


@functools.partial(jax.jit, static_argnums=1)
def scale_of(params, kind, canvas):
    module = ObservationScale(params["map"].shape[0])
    if kind == "map":
        return module.apply({"params": params}, method="from_map")
    return module.apply({"params": params}, canvas, method="from_canvas")


def random_canvas(*shape):
    return np.random.default_rng(9).uniform(0, 1, shape).astype(np.float32)


def blur(canvas, deviation):
    deviations = (*(0 for _ in canvas.shape[:-2]), deviation, deviation)
    return ndimage.gaussian_filter(canvas.astype(float), deviations, mode="constant", truncate=30)


def numpy_features(canvas):
    fine, middle, wide = (blur(canvas, deviation) for deviation in (1, 2.5, 6))
    squares = [canvas**2, fine**2, middle**2, wide**2]
    products = [canvas * fine, canvas * middle, fine * middle]
    roots = [np.sqrt(middle + 1e-4), np.sqrt(wide + 1e-4)]
    return np.stack([np.ones_like(canvas), canvas, fine, middle, wide, *squares, *products, *roots])


@pytest.mark.parametrize("kind", ["map", "canvas"])
def test_fresh_scale_is_the_middle_of_its_range(kind):
    params = ObservationScale(SIZE).init(jax.random.key(0), method="from_map")["params"]
    scale = scale_of(params, kind, random_canvas(SIZE, SIZE))
    np.testing.assert_allclose(scale, np.full((SIZE, SIZE), 0.505), rtol=1e-6)


def test_map_is_bounded_and_does_not_see_the_canvas():
    raw = 10 * random_canvas(SIZE, SIZE) - 5
    params = params_with() | {"map": jnp.asarray(raw)}
    for canvas in (random_canvas(SIZE, SIZE), np.zeros((3, SIZE, SIZE), np.float32)):
        scale = scale_of(params, "map", canvas)
        np.testing.assert_allclose(scale, 0.01 + 0.99 * expit(raw), rtol=1e-5)


@pytest.mark.parametrize("shape", [(SIZE, SIZE), (50, 50), (15, 30), (2, 3, SIZE, SIZE)])
@pytest.mark.parametrize(("feature", "deviation"), [(2, 1), (3, 2.5), (4, 6)])
def test_blurs_are_gaussian_with_zeros_outside_the_image(feature, deviation, shape):
    canvas = random_canvas(*shape)
    scale = scale_of(params_with(jnp.zeros(NUM_FEATURES).at[feature].set(1)), "canvas", canvas)
    np.testing.assert_allclose(scale, 0.01 + 0.99 * expit(blur(canvas, deviation)), atol=2e-6)


def test_scale_weighs_all_fourteen_features_of_every_canvas():
    canvas = random_canvas(2, SIZE, SIZE)
    weights = np.random.default_rng(1).normal(size=NUM_FEATURES)
    expected = 0.01 + 0.99 * expit(np.tensordot(weights, numpy_features(canvas), axes=1))
    scale = scale_of(params_with(jnp.asarray(weights, jnp.float32)), "canvas", canvas)
    np.testing.assert_allclose(scale, expected, atol=5e-6)


def test_blank_canvas_has_finite_gradients():
    def total(weights, canvas):
        return scale_of(params_with(weights), "canvas", canvas).sum()

    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(jnp.ones(NUM_FEATURES), jnp.zeros((SIZE, SIZE)))
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_golden_map_and_likelihood(golden):
    params = params_with() | {"map": jnp.asarray(golden["likelihood/raw_scale"])}
    image, canvas = golden["likelihood/image"], golden["likelihood/canvas"]
    scale = scale_of(params, "map", canvas)
    assert_close(scale, golden["likelihood/scale"], 1e-5)
    for kind, density in (("laplace", pixels.laplace_log_prob), ("normal", pixels.normal_log_prob)):
        log_prob = jax.vmap(density, in_axes=(0, 0, None))(image, canvas, scale)
        assert_close(log_prob, golden[f"likelihood/{kind}"], 1e-5)
        module = ObservationScale(50, kind)
        found = module.apply({"params": params}, "map", image[0], canvas[0], method="log_prob")
        assert_close(found, golden[f"likelihood/{kind}"][0], 1e-5)


def plain_scale(weights, canvas):
    """The same by jnp and a plain sum, for autodiff."""
    size = canvas.shape[-1]
    offsets = np.arange(size)[:, None] - np.arange(size)
    blurred = []
    for deviation in (1, 2.5, 6):
        whole = np.exp(-(np.arange(-200, 201) ** 2) / (2 * deviation**2)).sum()
        kernel = np.exp(-(offsets**2) / (2 * deviation**2)) / whole
        blurred.append(jnp.einsum("ij,...jk,kl->...il", kernel, canvas, kernel))
    fine, middle, wide = blurred
    squares = [canvas**2, fine**2, middle**2, wide**2]
    products = [canvas * fine, canvas * middle, fine * middle]
    roots = [jnp.sqrt(middle + 1e-4), jnp.sqrt(wide + 1e-4)]
    features = [jnp.ones_like(canvas), canvas, fine, middle, wide, *squares, *products, *roots]
    return 0.01 + 0.99 * jax.nn.sigmoid(sum(w * f for w, f in zip(weights, features, strict=True)))


@pytest.mark.parametrize("shape", [(SIZE, SIZE), (4, SIZE, SIZE)])
def test_gradient_of_the_canvas_scale_is_that_of_the_plain_form(shape):
    random = np.random.default_rng(3)
    weights = random.standard_normal(NUM_FEATURES).astype(np.float32)
    canvas, pull = random_canvas(*shape), random.standard_normal(shape).astype(np.float32)

    def ours(weights, canvas):
        return (scale_of(params_with(weights), "canvas", canvas) * pull).sum()

    def plain(weights, canvas):
        return (plain_scale(weights, canvas) * pull).sum()

    found, wanted = (jax.jit(jax.grad(f, argnums=(0, 1)))(weights, canvas) for f in (ours, plain))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * np.abs(other).max())


@functools.partial(jax.jit, static_argnums=1)
def log_prob_of(params, kind, image, canvas):
    module = ObservationScale(params["map"].shape[0])
    return module.apply({"params": params}, kind, image, canvas, method="log_prob")


def plain_log_prob(params, kind, image, canvas):
    """Laplace around the canvas, every step of it left to autodiff."""
    scale = plain_scale(params["canvas"], canvas)
    if kind == "map":
        scale = 0.01 + 0.99 * jax.nn.sigmoid(params["map"])
    return (-jnp.abs(image - canvas) / scale - jnp.log(2 * scale)).sum((-2, -1))


@pytest.mark.parametrize("kind", ["map", "canvas"])
@pytest.mark.parametrize("least", [0.002, 0.1])
def test_the_smallest_scale_is_the_one_that_is_asked_for(kind, least):
    """Far below, the scale of every pixel is the smallest; the density is SciPy's."""
    params = params_with(jnp.zeros(NUM_FEATURES).at[0].set(-30)) | {"map": jnp.full((SIZE, SIZE), -30.0)}
    module = ObservationScale(SIZE, least_scale=least)
    image, canvas = random_canvas(SIZE, SIZE), random_canvas(2, SIZE, SIZE)[1]
    found = module.apply({"params": params}, kind, image, canvas, method="log_prob")
    assert float(found) == pytest.approx(stats.laplace(canvas, least).logpdf(image).sum(), rel=1e-4)


def random_params(size=SIZE):
    random = np.random.default_rng(3)
    draw = lambda *shape: random.standard_normal(shape).astype(np.float32)
    return {"map": draw(size, size), "canvas": draw(NUM_FEATURES)}


def random_image(*shape):
    return np.random.default_rng(4).uniform(0, 1, shape).astype(np.float32)


def assert_same_gradients(found, wanted):
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("kind", ["map", "canvas"])
@pytest.mark.parametrize("leading", [(), (4,), (2, 3)])
def test_log_prob_and_its_gradients_are_those_of_the_plain_form(kind, leading):
    params, image, canvas = random_params(50), random_image(50, 50), random_canvas(*leading, 50, 50)
    pull = np.random.default_rng(5).standard_normal(leading).astype(np.float32)

    def differentiated(log_prob):
        def total(params, image, canvas):
            nats = log_prob(params, kind, image, canvas)
            return (nats * pull).sum(), nats

        return jax.jit(jax.grad(total, argnums=(0, 1, 2), has_aux=True))(params, image, canvas)

    (found, nats), (wanted, plain_nats) = map(differentiated, (log_prob_of, plain_log_prob))
    np.testing.assert_allclose(nats, plain_nats, rtol=1e-5)
    assert_same_gradients(found, wanted)


@pytest.mark.parametrize("kind", ["map", "canvas"])
def test_log_prob_under_vmap_sums_gradients_over_images(kind):
    params, image, canvas = random_params(), random_image(3, SIZE, SIZE), random_canvas(3, 4, SIZE, SIZE)

    def gradients(log_prob):
        each = jax.vmap(log_prob, in_axes=(None, None, 0, 0))
        total = lambda params, canvas: each(params, kind, image, canvas).sum()
        return jax.jit(jax.grad(total, argnums=(0, 1)))(params, canvas)

    assert_same_gradients(gradients(log_prob_of), gradients(plain_log_prob))


@pytest.mark.parametrize("kind", ["map", "canvas"])
def test_one_blank_pixel_stands_for_a_blank_canvas(kind):
    params, image = random_params(), random_image(SIZE, SIZE)
    value_and_slopes = jax.value_and_grad(log_prob_of)
    value, slopes = value_and_slopes(params, kind, image, jnp.zeros((1, 1)))
    expected, expected_slopes = value_and_slopes(params, kind, image, jnp.zeros((SIZE, SIZE)))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert_same_gradients(slopes, expected_slopes)
