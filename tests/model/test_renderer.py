"""The renderer put together from its parts."""

import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax.model.config import ModelConfig
from dood_jax.model.renderer import make_renderer

POINTS = np.float32([(0.1, 0.5), (0.3, 0.2), (0.5, 0.8), (0.7, 0.3), (0.9, 0.6)])
LAYOUT = np.float32([0.2, -0.3, 0.5, 0.4])


def test_splat_and_points_placement_reproduce_the_published_stroke():
    render = make_renderer(ModelConfig(brush="splat", curve_samples=100))
    ink = render(LAYOUT, POINTS, jnp.float32(0.02), jnp.float32(0.5))
    assert float(ink.sum()) == pytest.approx(69.3188, abs=2e-4)
    assert float(ink[17, 30]) == pytest.approx(0.958631, abs=1e-5)


@pytest.mark.parametrize("distance", ["soft_distance", "distance"])
def test_a_distance_brush_marks_the_same_place_with_ink_one_at_its_centre(distance):
    splat, even = (
        make_renderer(ModelConfig(brush=brush))(LAYOUT, POINTS, jnp.float32(0.02), jnp.float32(0.2))
        for brush in ("splat", distance)
    )
    together = (splat * even).sum() / jnp.sqrt((splat**2).sum() * (even**2).sum())
    assert float(together) > 0.97
    assert float(even.max()) == pytest.approx(1, abs=0.02)


def test_a_renderer_of_another_size_reads_the_same_curve():
    small = make_renderer(ModelConfig())(LAYOUT, POINTS, jnp.float32(0.03), jnp.float32(0.5))
    large = make_renderer(ModelConfig(), 150)(LAYOUT, POINTS, jnp.float32(0.03), jnp.float32(0.5))
    np.testing.assert_allclose(large[::3, ::3], small, atol=1e-5)
