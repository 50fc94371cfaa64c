"""The table of ratios: every group runs at tiny size and gives whole rows."""

import numpy as np
import pytest
import run


@pytest.fixture
def small(monkeypatch):
    """Images of the size of the tiny model, few particles."""
    monkeypatch.setattr(run, "SIZE", (20, 20))
    monkeypatch.setattr(run, "PARTICLES", 2)
    run.random_images.cache_clear()
    yield run
    run.random_images.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("group", ["brushes", "parts", "infer", "likelihood", "refine"])
def test_rows_are_whole(small, tiny, group):
    rows = small.GROUPS[group](tiny, 2, 2)
    assert rows
    for row in rows:
        assert row["milliseconds"] > 0 and row["ratio"] > 0 and row["memory_mib"] >= 0
    assert rows[0]["ratio"] == 1
    assert len({(row["group"], row["form"]) for row in rows}) == len(rows)


def test_brushes_as_written_paint_what_ours_paint():
    random = np.random.default_rng(0)
    curve = (0.5 + np.cumsum(random.normal(0, 0.02, (24, 2)), axis=0)).astype(np.float32)
    for written, ours in (
        (run.splat_as_written, run.brushes.splat),
        (run.distance_as_written, run.brushes.distance),
    ):
        np.testing.assert_allclose(
            written(curve, 0.02, (30, 20)), ours(curve, np.float32(0.02), (30, 20)), atol=2e-4
        )


def test_gaussians_of_the_table_are_the_same():
    mean, scale, coupling = np.float32([0.1, -0.2]), np.float32([0.3, 0.5]), np.float32(0.2)
    value = np.float32([0.4, 0.1])
    ours = run.CorrelatedGaussian(mean, scale, coupling).log_prob(value)
    np.testing.assert_allclose(run.triangular(mean, scale, coupling).log_prob(value), ours, rtol=1e-5)
