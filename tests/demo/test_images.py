"""From what was drawn or sent to what a model reads."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from dood_jax.demo import images, service
from dood_jax.demo.images import drawn, shapes


def test_a_model_reads_images_made_as_its_own_set_was(line):
    """Those of MNIST had 28 pixels before they had 50."""
    as_set = Image.fromarray(np.round(255 * line).astype(np.uint8))
    for size in (28, 50):
        as_set = as_set.resize((size, size), Image.Resampling.BILINEAR)
    expected = np.asarray(as_set, np.float32)
    assert np.allclose(images.model_input(line, 50, "mnist"), expected / expected.max(), atol=1e-6)
    direct = Image.fromarray(np.round(255 * line).astype(np.uint8)).resize(
        (50, 50), Image.Resampling.BILINEAR
    )
    assert np.allclose(
        images.model_input(line, 50, "synthetic"), np.asarray(direct, np.float32) / 255, atol=0.01
    )


@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (30, 900)])
def test_what_is_not_square_is_read_in_the_middle_of_a_square(shape):
    read = images.model_input(np.ones(shape, np.float32), 50, "synthetic")
    high, wide = (50 * side / max(shape) for side in shape)
    assert read.max() == 1
    rows, columns = (np.flatnonzero((read > 0.5).any(axis)) for axis in (1, 0))
    assert len(rows) == pytest.approx(high, abs=1) and len(columns) == pytest.approx(wide, abs=1)
    assert rows.mean() == pytest.approx(24.5, abs=1) and columns.mean() == pytest.approx(24.5, abs=1)


def test_a_long_strip_takes_no_large_square():
    strip = np.zeros((3, 100_000), np.float32)
    strip[:, 30_000:70_000] = 1
    tracemalloc.start()
    read = images.model_input(strip, 50, "synthetic")
    assert tracemalloc.get_traced_memory()[1] < 2e8
    tracemalloc.stop()
    assert read.max() == 1 and np.flatnonzero(read.max(0) > 0.5).min() == pytest.approx(15, abs=1)


def test_thin_lines_are_read_as_dark_as_thick_ones():
    thin = np.zeros((1000, 1000), np.float32)
    thin[500, 200:800] = 1
    assert images.model_input(thin, 50, "synthetic").max() == 1


def test_a_sheet_is_kept_by_its_png(line):
    again = images.read(images.to_png(line))
    assert np.abs(again - line).mean() < 0.01


def test_shapes_lie_on_the_sheet():
    for name, shape in shapes().items():
        points = np.concatenate([np.array(stroke) for stroke in shape])
        assert points.min() > 0.05 and points.max() < 0.95, name
        columns = np.flatnonzero((drawn(shape) > 0.5).any(0)) / 480
        assert columns[0] == pytest.approx(points[:, 0].min() - 0.025, abs=0.02)
        assert columns[-1] == pytest.approx(points[:, 0].max() + 0.025, abs=0.02)


def test_the_best_of_each_group_is_taken():
    elbo = np.array([3.0, 9, 1, 4, 7, 5])
    particles = service.Particles(np.arange(6) * 10, elbo)
    assert particles.best_of(1).tolist() == [10]
    assert particles.best_of(2).tolist() == [10, 40]
    assert particles.best_of(3).tolist() == [10, 30, 40]
