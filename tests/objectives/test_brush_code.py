"""The price of a brush is that of a proper distribution, and bounds pay it."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax.config.model import ModelConfig
from dood_jax.model import dood
from dood_jax.model.families import brush_limits
from dood_jax.objectives import brush_code, iwae
from dood_jax.types import BrushParams

CONFIG = ModelConfig(image_size=20, num_strokes=2, unroll=1)


def in_range(shares: BrushParams) -> BrushParams:
    """Shares of the ranges -> numbers of a brush."""
    place = lambda share, limits: limits[0] + share * (limits[1] - limits[0])
    return jax.tree_util.tree_map(place, shares, brush_limits(CONFIG))


def random_brushes(count: int, seed: int = 0) -> BrushParams:
    rng = np.random.default_rng(seed)
    return in_range(BrushParams(rng.beta(2, 5, (count, 2)), rng.beta(5, 2, (count, 2)), rng.random(count)))


@pytest.fixture(scope="module")
def presence() -> np.ndarray:
    counts = np.random.default_rng(1).integers(0, 3, 40)
    return (np.arange(2) < counts[:, None]).astype(np.float32)


@pytest.mark.parametrize("drawn", [0, 1, 2])
def test_probabilities_of_all_brushes_of_a_drawing_add_up_to_one(presence, drawn):
    """Those of the strokes that are drawn: all codes of two bits are counted out."""
    code = brush_code.fit(CONFIG, random_brushes(40), presence, bits=2)
    middles = (np.arange(4) + 0.5) / 4
    all_codes = np.array(list(itertools.product(middles, repeat=2 * drawn + (drawn > 0))))
    shares = np.full((len(all_codes), 5), 0.5)
    shares[:, [*range(drawn), *range(2, 2 + drawn), *([4] if drawn else [])]] = all_codes
    brushes = in_range(BrushParams(shares[:, :2], shares[:, 2:4], shares[:, 4]))
    bits = np.float32(np.arange(2) < drawn)
    one = lambda brush: brush_code.log_prob(CONFIG, code, brush, bits)
    assert np.exp(np.float64(jax.jit(jax.vmap(one))(brushes))).sum() == pytest.approx(1, abs=1e-5)


def test_a_rounded_brush_is_the_middle_of_its_level_and_stays_there(presence):
    brushes = random_brushes(40)
    code = brush_code.fit(CONFIG, brushes, presence, bits=4)
    round_all = jax.jit(jax.vmap(lambda brush: brush_code.rounded(CONFIG, code, brush)))
    once = round_all(brushes)
    for before, after, again, (low, high) in zip(  # of an even width, so without a taper
        brushes[:3], once[:3], round_all(once)[:3], brush_limits(CONFIG)[:3], strict=True
    ):
        assert np.abs(after - before).max() <= (high - low) / 32 * 1.001
        np.testing.assert_allclose(again, after, rtol=1e-6)


def test_a_fitted_chain_finds_the_one_that_brushes_came_from():
    """Widths of second strokes repeat the first's, in four drawings of five."""
    rng = np.random.default_rng(3)
    first = rng.integers(0, 4, 20_000)
    second = np.where(rng.random(20_000) < 0.8, first, rng.integers(0, 4, 20_000))
    share = (np.stack([first, second], 1) + 0.5) / 4
    brushes = in_range(BrushParams(share, share, share[:, 0]))
    code = brush_code.fit(CONFIG, brushes, np.ones((20_000, 2)), bits=2)
    wanted = 0.8 * np.eye(4) + 0.2 / 4
    np.testing.assert_allclose(np.exp(code.ink_width.following), wanted, atol=0.02)
    np.testing.assert_allclose(np.exp(code.canvas_slope), np.full(4, 0.25), atol=0.02)


@pytest.mark.slow
def test_a_charged_bound_pays_the_code_of_a_brush_that_needs_no_rounding(images, presence):
    """With 2^11 levels hardly anything is moved, so weights differ by the price alone."""
    config = dataclasses.replace(CONFIG, iterations=1, features=16, components=2, curve_samples=12)
    params = jax.jit(lambda key: dood.init(config, key))(jax.random.key(0))
    levels = 2**11
    one = jnp.full(levels, -np.log(levels))
    chain = brush_code.Chain(one, jnp.full((levels, levels), -1.5))
    code = brush_code.BrushCode(chain, chain, one)
    weigh = lambda code: iwae.log_weights(config, params, images[0], jax.random.key(1), 4, None, 2, code)
    free, charged = jax.jit(lambda code: (weigh(None), weigh(code)))(code)
    np.testing.assert_array_equal(charged.strokes, free.strokes)
    price = -np.log(levels) * 3 * (free.strokes > 0) - 2 * 1.5 * np.maximum(free.strokes - 1, 0)
    nats = lambda weights: weights.log_ratio + weights.log_likelihood["map"]
    np.testing.assert_allclose(nats(charged) - nats(free), price, atol=0.5)
    assert free.strokes.max() > 0
