"""What scans do to images: images whose imperfection can be read off, and Pillow's resize."""

import jax
import numpy as np
import pytest
from PIL import Image

from dood_jax.data import synthetic

SIZE = 50
KEYS = jax.random.split(jax.random.key(0), 400)


def scans_of(ink: np.ndarray) -> np.ndarray:
    return jax.device_get(jax.jit(jax.vmap(lambda key: synthetic.scanned(ink, key)))(KEYS))


@pytest.fixture
def flat_page(monkeypatch):
    monkeypatch.setattr(synthetic, "_MAX_BEND", 0.0)


@pytest.fixture
def even_pen(monkeypatch):
    monkeypatch.setattr(synthetic, "_MAX_UNEVENNESS", 0.0)


def test_half_of_the_images_pass_through_28_pixels(flat_page, even_pen):
    """The others are the ink at some level, at most black."""
    ink = np.random.default_rng(0).uniform(0, 0.5, (SIZE, SIZE)).astype(np.float32)
    small = Image.fromarray(ink).resize((28, 28), Image.Resampling.BILINEAR)
    soft = np.asarray(small.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    softened = []
    for scan in scans_of(ink):
        ratios = [(scan * image).sum() / (image**2).sum() for image in (ink, soft)]
        errors = [
            np.abs(scan - ratio * image).max() for ratio, image in zip(ratios, (ink, soft), strict=True)
        ]
        assert min(errors) < 1e-3 < max(errors)
        assert 0.9 - 1e-3 < ratios[int(np.argmin(errors))] < 1.4 + 1e-3
        softened.append(np.argmin(errors))
    assert abs(np.mean(softened) - 0.5) < 4 * np.sqrt(0.25 / len(softened))


def test_ink_is_uneven_but_smooth_and_never_beyond_black(flat_page):
    """Of a page full of grey, whose logarithm is the field itself."""
    fields = np.log(scans_of(np.full((SIZE, SIZE), 0.05, np.float32)) / 0.05)
    fields -= fields.mean((1, 2), keepdims=True)
    assert 0.1 < fields.std() < synthetic._MAX_UNEVENNESS  # of worst pens half as bad on average
    assert np.abs(np.diff(fields, axis=1)).max() < 0.3
    assert scans_of(np.full((SIZE, SIZE), 0.9, np.float32)).max() == pytest.approx(1, abs=1e-6)


def test_pages_are_bent_by_about_a_pixel(even_pen):
    """Of a ramp, which shows by how much each of its points has moved."""
    ramp = np.broadcast_to(np.arange(SIZE, dtype=np.float32) / SIZE / 2, (SIZE, SIZE))
    inside = slice(8, -8)
    moved = []
    for scan in scans_of(ramp):
        level = (scan * ramp)[inside, inside].sum() / (ramp**2)[inside, inside].sum()
        moved.append((scan / level - ramp)[inside, inside] * SIZE * 2)
    spread = np.std(moved)
    assert 0.15 < spread < synthetic._MAX_BEND * SIZE
    assert np.abs(moved).max() < 4 * synthetic._MAX_BEND * SIZE


def test_blank_ink_is_a_blank_image():
    assert scans_of(np.zeros((SIZE, SIZE), np.float32)).max() == 0
