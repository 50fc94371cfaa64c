"""DooD's ablations and AIR: what their networks see, and that their drawings are what they say."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from configs import ablations, air
from dood_jax.config.model import ModelConfig
from dood_jax.config.resolving import resolve
from dood_jax.model import dood
from dood_jax.model.drawing import draw, first_pass, render
from dood_jax.model.sampling import sample
from dood_jax.objectives import exact_stopping
from dood_jax.objectives.elbo import elbo
from dood_jax.rendering import spatial_transformer
from dood_jax.types import BrushParams

RIVALS = [name for name in ablations.VARIANTS if name != "dood"]
SMALL = {"features": 16, "curve_samples": 12, "components": 3, "unroll": 1}
AIRS = ("difference_air", pytest.param("air", marks=pytest.mark.slow))
SLOW_TO_COMPILE = [pytest.param(name, marks=pytest.mark.slow) for name in RIVALS if name != "vae"]


@functools.cache
def config_of(name: str, preset: str = "fast") -> ModelConfig:
    settings = ablations.get_config(name) if preset == "fast" else air.get_config(name)
    settings.data.image_size = 20
    settings.model.update(SMALL, num_strokes=1 if name == "vae" else 3)
    return resolve(settings).model


@functools.cache
def lively(name: str) -> dict:
    """Parameters in which no output is constant."""
    fresh = jax.device_get(jax.jit(functools.partial(dood.init, config_of(name)))(jax.random.key(0)))
    random = np.random.default_rng(0)
    return jax.tree_util.tree_map(
        lambda leaf: leaf + 0.1 * random.normal(size=leaf.shape).astype(np.float32), fresh
    )


def draw_by(name: str, images, keys, **options):
    one = functools.partial(first_pass, config_of(name), lively(name), **options)
    return jax.device_get(jax.jit(jax.vmap(one))(images, keys))


@pytest.fixture(scope="module")
def drawings(images, keys):
    """name -> eight drawings whose strokes are all there."""
    return functools.cache(lambda name: draw_by(name, images, keys, hold_presence=True))


@pytest.mark.parametrize("name", ["vae", *SLOW_TO_COMPILE])
def test_every_network_of_a_rival_learns(name, images, keys):
    """Those that a baseline alone looks at get nothing from the sum over stops."""

    def value(params):
        drawing = first_pass(config_of(name), params, images[0], keys[0], hold_presence=True)
        terms = exact_stopping.prefix_terms(config_of(name), params, images[0], drawing)
        return exact_stopping.surrogate(terms, 0.5, 5.0)

    gradient = jax.jit(jax.grad(value))(lively(name))
    still = {path[0].key for path, leaf in jax.tree_util.tree_leaves_with_path(gradient) if not np.any(leaf)}
    unused = {"target_encoder"} if name == "difference_air" else set()
    assert {network for network in still if network != "likelihood"} == unused
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree_util.tree_leaves(gradient))


@pytest.mark.parametrize("name", [*AIRS, "vae"])
def test_the_canvas_of_air_is_the_sum_of_its_placed_pieces(name, drawings):
    config, params, drawing = config_of(name), lively(name), drawings(name)
    one = jax.tree_util.tree_map(lambda leaf: leaf[0], drawing)
    stack = params["stroke_decoder"]
    warp = jax.jit(spatial_transformer.warp, static_argnums=2)
    total, sums = np.zeros((20, 20)), []
    for layout, code in zip(one.strokes.layout, one.strokes.control_points, strict=True):
        units = code.reshape(-1)
        for layer in ("dense0", "dense1"):
            units = np.tanh(units @ stack[layer]["kernel"] + stack[layer]["bias"])
        raw = units @ stack["out"]["kernel"] + stack["out"]["bias"]
        piece = np.log1p(np.exp(raw - 2)).reshape(20, 20)
        x, y, scale, angle = layout
        turn = scale * np.exp(1j * angle)
        placing = np.array([[(1 / turn).real, -(1 / turn).imag], [(1 / turn).imag, (1 / turn).real]])
        inverse = np.column_stack([placing, -placing @ [x, y]]).astype(np.float32)
        total = total + np.asarray(warp(np.float32(piece)[None], inverse, (20, 20))[0])
        sums.append(total)
    canvases = jax.jit(functools.partial(render, config, params))(one.strokes, one.brush)
    np.testing.assert_allclose(canvases, sums, atol=2e-3)
    np.testing.assert_allclose(np.cumsum(one.ink, 0), sums, atol=2e-3)


def test_air_sees_the_image_and_difference_air_what_is_left_of_it(images, keys):
    """A first piece that changes changes what Difference-AIR decides next, and nothing of what AIR sees."""

    def first_layouts(name):
        params = lively(name)
        decoder = params["stroke_decoder"]

        @jax.jit
        def drawn(more):
            out = {**decoder["out"], "bias": decoder["out"]["bias"] + more}
            changed = {**params, "stroke_decoder": {**decoder, "out": out}}
            drawing = first_pass(config_of(name), changed, images[0], keys[0], hold_presence=True)
            return drawing.strokes.layout[:2]

        return [np.asarray(drawn(more)) for more in (0.0, 3.0)]

    faint, strong = first_layouts("air")
    np.testing.assert_array_equal(faint, strong)
    faint, strong = first_layouts("difference_air")
    np.testing.assert_array_equal(faint[0], strong[0])
    assert np.abs(faint[1] - strong[1]).max() > 1e-3


@pytest.mark.parametrize("name", AIRS)
def test_air_weighs_its_latents_under_fixed_gaussians(name, drawings):
    drawing = drawings(name)
    codes = drawing.strokes.control_points
    np.testing.assert_allclose(
        drawing.prior.control_points, scipy.stats.norm.logpdf(codes).sum((-2, -1)), rtol=1e-4
    )
    layouts = scipy.stats.norm([0, 0, 0.8, 0], [0.2, 0.2, 0.2, 0.4]).logpdf(drawing.strokes.layout).sum(-1)
    np.testing.assert_allclose(drawing.prior.layout, layouts, rtol=1e-4)
    np.testing.assert_allclose(drawing.prior.on, np.log(0.5), rtol=1e-6)


@pytest.mark.parametrize(
    "name",
    ["difference_air", *(pytest.param(n, marks=pytest.mark.slow) for n in ("air", "guidance", "prior"))],
)
def test_rivals_generate(name):
    config, params = config_of(name), lively(name)
    brush = jax.tree_util.tree_map(jnp.float32, BrushParams(0.03, 0.5, 0.9))
    sample_one = jax.jit(jax.vmap(lambda key: sample(config, params, brush, key)[0]))
    strokes = jax.device_get(sample_one(jax.random.split(jax.random.key(0), 400)))
    counts = strokes.presence.sum(1)
    assert np.all(np.diff(strokes.presence, axis=1) <= 0)
    if name != "guidance":  # odds are even
        assert abs(strokes.presence[:, 0].mean() - 0.5) < 0.1
        assert abs((counts == 3).mean() - 0.125) < 0.07
    canvas = jax.jit(functools.partial(render, config, params))(
        jax.tree_util.tree_map(lambda leaf: leaf[0], strokes), brush
    )
    assert np.all(np.isfinite(canvas))


def test_a_vae_is_a_code_for_the_whole_image(drawings):
    """Its bound is that of Kingma and Welling: nothing but the code weighs."""
    drawing = drawings("vae")
    np.testing.assert_array_equal(drawing.strokes.presence, 1)
    codes = drawing.strokes.control_points.reshape(len(drawing.strokes.presence), -1)
    log_prior = scipy.stats.norm.logpdf(codes).sum(1)
    found = jax.vmap(lambda one: elbo(one, 0.0))(drawing)
    np.testing.assert_allclose(found, log_prior - drawing.posterior.control_points[:, 0], rtol=1e-4)


@pytest.mark.slow
def test_published_air_draws_and_weighs(images, keys):
    config = config_of("difference_air", "published")
    params = jax.jit(functools.partial(dood.init, config))(jax.random.key(0))
    drawing = jax.jit(functools.partial(draw, config))(params, images[0], keys[0])
    assert np.isfinite(elbo(drawing, 0.0))
    assert "residual_window_encoder" not in params
