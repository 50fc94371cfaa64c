"""The two squares and the two pixel grids."""

import jax.numpy as jnp
import numpy as np
import pytest

from dood_jax import geometry


def test_corners_and_centre_of_the_unit_square_are_those_of_the_signed_square():
    unit = jnp.array([(0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (0.25, 1.0)])
    signed = [(-1, -1), (1, -1), (0, 0), (-0.5, 1)]
    np.testing.assert_array_equal(geometry.unit_to_signed(unit), signed)
    np.testing.assert_array_equal(geometry.signed_to_unit(jnp.asarray(signed)), unit)


@pytest.mark.parametrize("size", [10, 50, 64])
def test_pen_pixel_i_lies_at_i_over_n(size):
    pixels = geometry.brush_pixels(size)
    np.testing.assert_allclose(pixels, [i / size for i in range(size)], atol=1e-12)


def test_glimpse_pixels_span_the_signed_square_with_x_along_columns():
    grid = geometry.glimpse_pixels(3, 5)
    expected = [[(-1 + 2 * j / 4, -1 + 2 * i / 2) for j in range(5)] for i in range(3)]
    np.testing.assert_allclose(grid, expected, atol=1e-12)


@pytest.mark.parametrize("size", [2, 25, 50])
def test_glimpse_pixel_positions_are_inverse_to_their_indices(size):
    x = jnp.asarray(geometry.glimpse_pixels(size, size)[0, :, 0], jnp.float32)
    np.testing.assert_allclose(geometry.signed_to_glimpse_pixel(x, size), np.arange(size), atol=1e-5)


def test_the_two_grids_differ_by_up_to_one_pixel():
    glimpse = geometry.signed_to_unit(geometry.glimpse_pixels(50, 50)[0, :, 0])
    apart = 50 * (glimpse - geometry.brush_pixels(50))
    np.testing.assert_allclose(apart, np.arange(50) / 49, atol=1e-12)
