"""Synthetic drawings: their images drawn again from their truth, and what they are like as a set."""

import functools
import math

import jax
import numpy as np
import pytest

from dood_jax.data import synthetic
from dood_jax.data.synthetic import MAX_STROKES, NUM_POINTS, SyntheticDrawing, random_drawing

SIZE = 50


def draw_many(seed: int, count: int, size: int) -> SyntheticDrawing:
    keys = jax.random.split(jax.random.key(seed), count)
    return jax.device_get(jax.jit(jax.vmap(functools.partial(random_drawing, image_size=size)))(keys))


@pytest.fixture(scope="module")
def drawings() -> SyntheticDrawing:
    return draw_many(0, 40, SIZE)


@pytest.fixture(scope="module")
def many() -> SyntheticDrawing:
    """5,000 drawings on few pixels."""
    return draw_many(1, 5000, 10)


def ink_by_loop(drawing: SyntheticDrawing) -> np.ndarray:
    """Sum over strokes of tanh(near / slope) / tanh(1 / slope), near = (Σ exp(-2 d² / width²))^(1/4)."""
    x, y = np.meshgrid(np.arange(SIZE) / SIZE, np.arange(SIZE) / SIZE)
    total = np.zeros((SIZE, SIZE))
    for points in np.float64(drawing.control_points[drawing.presence > 0]):
        nearness = np.zeros((SIZE, SIZE))
        for u in np.linspace(0, 1, 64):
            degree = NUM_POINTS - 1
            weights = [math.comb(degree, d) * u**d * (1 - u) ** (degree - d) for d in range(NUM_POINTS)]
            place_x, place_y = np.array(weights) @ points
            squared = (x - place_x) ** 2 + (y - place_y) ** 2
            nearness += np.exp(-2 * squared / drawing.ink_width**2)
        total += np.tanh(nearness**0.25 / drawing.ink_slope) / np.tanh(1 / drawing.ink_slope)
    return total


def test_ink_is_the_truth_drawn_again(drawings):
    for i in range(10):
        drawing = SyntheticDrawing(*(leaf[i] for leaf in drawings))
        truth = (drawing.control_points, drawing.presence, drawing.ink_width, drawing.ink_slope)
        np.testing.assert_allclose(synthetic.ink_of(*truth, SIZE), ink_by_loop(drawing), atol=1e-3)


def test_images_are_near_their_truth(drawings):
    """As far as an imperfect image can be: what was drawn is dark, and little else."""
    for i in range(len(drawings.image)):
        drawing = SyntheticDrawing(*(leaf[i] for leaf in drawings))
        ink = np.clip(ink_by_loop(drawing), 0, 1)
        assert np.corrcoef(ink.ravel(), drawing.image.ravel())[0, 1] > 0.8


def test_drawings_are_a_function_of_their_key(drawings):
    again, other = draw_many(0, 40, SIZE), draw_many(2, 40, SIZE)
    for name in SyntheticDrawing._fields:
        np.testing.assert_array_equal(getattr(again, name), getattr(drawings, name))
    assert len(np.unique(drawings.image.reshape(40, -1), axis=0)) == 40
    assert np.abs(other.image - drawings.image).max((1, 2)).min() > 0.1


def test_shapes_and_pixel_range(drawings):
    assert drawings.image.shape == (40, SIZE, SIZE)
    assert drawings.control_points.shape == (40, MAX_STROKES, NUM_POINTS, 2)
    assert drawings.image.min() >= 0
    assert drawings.image.max() <= 1
    assert np.all(drawings.image.max((1, 2)) > 0.5)
    assert np.all(drawings.image.mean((1, 2)) < 0.5)


@pytest.mark.slow
def test_counts_follow_their_odds(many):
    counts = many.presence.sum(1).astype(int)
    np.testing.assert_array_equal(many.presence, np.arange(MAX_STROKES) < counts[:, None])
    odds = np.array([0, 0.12, 0.20, 0.22, 0.18, 0.15, 0.13])
    found = np.bincount(counts, minlength=7) / len(counts)
    assert np.all(np.abs(found - odds) <= 4 * np.sqrt(odds * (1 - odds) / len(counts)))


def test_pens_have_the_stated_ranges(many):
    for values, low, high in ((many.ink_width, 0.009, 0.028), (many.ink_slope, 0.12, 0.6)):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high


def curves_of(drawings: SyntheticDrawing) -> np.ndarray:
    """[B, T, S, 2] points of all strokes, by the definition of a Bezier curve."""
    u, degree = np.linspace(0, 1, 12), NUM_POINTS - 1
    weights = [math.comb(degree, d) * u**d * (1 - u) ** (degree - d) for d in range(NUM_POINTS)]
    return np.einsum("ps,btpx->btsx", weights, np.float64(drawings.control_points))


def test_drawings_fill_a_random_share_of_the_image(many):
    drawn, curves = many.presence[:, :, None, None] > 0, curves_of(many)
    low = np.where(drawn, curves, np.inf).min((1, 2))
    high = np.where(drawn, curves, -np.inf).max((1, 2))
    extent = (high - low).max(1)
    assert extent.max() <= 1 + 1e-5
    assert np.mean(extent >= 0.45 - 1e-5) > 0.9
    assert np.all(np.abs((low + high) / 2 - 0.49) <= 0.05 + 1e-5)


def test_some_strokes_are_long_and_some_close(many):
    """Of drawn strokes, in shares of the image."""
    curves = curves_of(many)[many.presence > 0]
    length = np.linalg.norm(np.diff(curves, axis=1), axis=-1).sum(1)
    gap = np.linalg.norm(curves[:, -1] - curves[:, 0], axis=-1)
    assert np.mean(length > 0.5) > 0.2
    assert np.mean(length < 0.2) > 0.1
    assert 0.03 < np.mean(gap < 0.25 * length) < 0.3


def test_some_strokes_begin_where_the_last_one_ended(many):
    gaps = np.abs(many.control_points[:, 1:, 0] - many.control_points[:, :-1, -1]).max(-1)
    joined = np.mean(gaps < 1e-4)
    assert abs(joined - 0.4) < 4 * math.sqrt(0.24 / gaps.size)
