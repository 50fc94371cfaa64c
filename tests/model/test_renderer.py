"""The renderer put together from its parts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax import geometry
from dood_jax.config.model import CHOICES, ModelConfig
from dood_jax.model.dood import bind
from dood_jax.model.published import DenseStack
from dood_jax.model.renderer import BRUSHES
from dood_jax.types import BrushParams, StrokeLatents

POINTS = np.float32([(0.1, 0.5), (0.3, 0.2), (0.5, 0.8), (0.7, 0.3), (0.9, 0.6)])
LAYOUT = np.float32([0.2, -0.3, 0.5, 0.4])


def ink_of(config: ModelConfig, layout, width: float, slope: float, size: int | None = None, params=None):
    """[H, W] ink of one stroke."""
    strokes = StrokeLatents(np.ones(1, np.float32), layout[None], POINTS[None])
    brush = BrushParams(jnp.float32(width), jnp.float32(slope), jnp.float32(1))
    draw = lambda params, strokes, brush: bind(config, params).ink(strokes, brush, size)[0]
    return np.asarray(jax.jit(draw)(params or {}, strokes, brush))


def test_a_taper_is_a_parabola_of_logarithms_from_control_point_to_control_point():
    """As NumPy fits one through both ends and the middle; the first control point is reached at u = 1."""
    first, last = 0.7, -0.4
    wanted = np.polyval(np.polyfit([1, 0.5, 0], [first, 0, last], 2), np.linspace(0, 1, 9))
    np.testing.assert_allclose(geometry.taper_basis(9) @ [first, last], wanted, atol=1e-12)


def test_splat_and_points_placement_reproduce_the_published_stroke():
    ink = ink_of(ModelConfig(brush="splat", curve_samples=100), LAYOUT, 0.02, 0.5)
    assert float(ink.sum()) == pytest.approx(69.3188, abs=2e-4)
    assert float(ink[17, 30]) == pytest.approx(0.958631, abs=1e-5)


@pytest.mark.parametrize("distance", ["soft_distance", "distance"])
def test_a_distance_brush_marks_the_same_place_with_ink_one_at_its_centre(distance):
    splat, even = (ink_of(ModelConfig(brush=brush), LAYOUT, 0.02, 0.2) for brush in ("splat", distance))
    together = (splat * even).sum() / np.sqrt((splat**2).sum() * (even**2).sum())
    assert float(together) > 0.97
    assert float(even.max()) == pytest.approx(1, abs=0.02)


def test_a_network_draws_in_the_window_whatever_the_brush_and_in_any_size():
    """Its image of 50 x 50 fills the canvas through the unmoved layout (method.md 9.3)."""
    config = ModelConfig(brush="splat", placement="glimpse", decoder="neural", features=8)
    init = jax.jit(DenseStack((8, 8), 2500).init)
    decoder = jax.device_get(init(jax.random.key(0), [POINTS.reshape(-1)])["params"])
    unmoved, params = np.float32([0, 0, 1, 0]), {"stroke_decoder": decoder}
    thin, thick = (ink_of(config, unmoved, width, 0.5, params=params) for width in (0.01, 0.04))
    np.testing.assert_array_equal(thin, thick)
    units = POINTS.reshape(-1)
    for layer in ("dense0", "dense1", "out"):
        weights = decoder[layer]
        units = units @ weights["kernel"] + weights["bias"]
        units = units if layer == "out" else np.tanh(units)
    marks = np.log1p(np.exp(units - 2)).reshape(50, 50)
    np.testing.assert_allclose(thin, np.tanh(marks / marks.max() / 0.5), atol=2e-5)
    large = ink_of(config, unmoved, 0.01, 0.5, 99, params)
    np.testing.assert_allclose(large[::2, ::2], thin, atol=2e-5)


def test_a_renderer_of_another_size_reads_the_same_curve():
    small, large = (ink_of(ModelConfig(), LAYOUT, 0.03, 0.5, size) for size in (None, 150))
    np.testing.assert_allclose(large[::3, ::3], small, atol=1e-5)


def test_brushes_are_the_choices_of_the_config():
    assert set(BRUSHES) == set(CHOICES["brush"])
