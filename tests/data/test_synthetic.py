"""Synthetic drawings: their pictures drawn again from their truth, and what they are like as a set."""

import functools
import math

import jax
import numpy as np
import pytest
from PIL import Image
from scipy.optimize import minimize_scalar

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
        for u in np.linspace(0, 1, 48):
            degree = NUM_POINTS - 1
            weights = [math.comb(degree, d) * u**d * (1 - u) ** (degree - d) for d in range(NUM_POINTS)]
            place_x, place_y = np.array(weights) @ points
            squared = (x - place_x) ** 2 + (y - place_y) ** 2
            nearness += np.exp(-2 * squared / drawing.ink_width**2)
        total += np.tanh(nearness**0.25 / drawing.ink_slope) / np.tanh(1 / drawing.ink_slope)
    return total


def through_28_pixels(picture: np.ndarray) -> np.ndarray:
    image = Image.fromarray(np.float32(picture))
    for size in (28, SIZE):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image)


def misfit(drawing: SyntheticDrawing, soften) -> float:
    """Largest pixel difference from the truth drawn again, at the ink level that fits best."""
    ink = ink_by_loop(drawing)
    error = lambda level: np.abs(soften(np.clip(level * ink, 0, 1)) - drawing.image).max()
    levels = np.linspace(0.9, 1.3, 41)
    best = levels[np.argmin([error(level) for level in levels])]
    near = (best - 0.01, best + 0.01)
    found = minimize_scalar(error, bounds=near, method="bounded", options={"xatol": 1e-6})
    return float(found.fun)


def test_pictures_are_their_truth_drawn_again_half_of_them_through_28_pixels(drawings):
    count = len(drawings.image)
    softened = 0
    for i in range(count):
        drawing = SyntheticDrawing(*(leaf[i] for leaf in drawings))
        sharp, soft = misfit(drawing, lambda picture: picture), misfit(drawing, through_28_pixels)
        assert min(sharp, soft) < 1e-3
        assert max(sharp, soft) > 1e-2
        softened += soft < sharp
    assert abs(softened - count / 2) < 4 * math.sqrt(count / 4)


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


def test_counts_follow_their_odds(many):
    counts = many.presence.sum(1).astype(int)
    np.testing.assert_array_equal(many.presence, np.arange(MAX_STROKES) < counts[:, None])
    odds = np.array([0, 0.16, 0.24, 0.22, 0.16, 0.12, 0.10])
    found = np.bincount(counts, minlength=7) / len(counts)
    assert np.all(np.abs(found - odds) <= 4 * np.sqrt(odds * (1 - odds) / len(counts)))


def test_drawn_points_lie_mostly_inside_the_picture(many):
    points = many.control_points[many.presence > 0]
    inside = np.all((points > 0) & (points < 1), axis=-1)
    assert inside.mean() > 0.98
    assert points.min() > -0.04
    assert points.max() < 1.02


def test_pens_have_the_stated_ranges(many):
    for values, low, high in ((many.ink_width, 0.008, 0.03), (many.ink_slope, 0.15, 0.6)):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high


def test_drawings_fill_a_random_share_of_the_picture(many):
    drawn = many.presence[:, :, None, None] > 0
    low = np.where(drawn, many.control_points, np.inf).min((1, 2))
    high = np.where(drawn, many.control_points, -np.inf).max((1, 2))
    extent = (high - low).max(1)
    assert extent.max() <= 0.95 + 1e-5
    assert np.mean(extent >= 0.4 - 1e-5) > 0.9
    assert np.all(np.abs((low + high) / 2 - 0.49) <= 0.05 + 1e-5)


def test_some_strokes_begin_where_the_last_one_ended(many):
    gaps = np.abs(many.control_points[:, 1:, 0] - many.control_points[:, :-1, -1]).max(-1)
    joined = np.mean(gaps < 1e-4)
    assert abs(joined - 0.4) < 4 * math.sqrt(0.24 / gaps.size)
