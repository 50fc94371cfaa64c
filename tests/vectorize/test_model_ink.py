"""A model's curves and pens as ink."""

import dataclasses

import jax
import numpy as np
import pytest
from scipy import interpolate

from dood_jax import api
from dood_jax.errors import BadInput
from dood_jax.types import BrushParams, Sketch, StrokeLatents
from dood_jax.vectorize import curves, drawing


@pytest.mark.parametrize("num_points", [2, 3, 4, 5, 6])
def test_cubics_run_along_the_curve(num_points):
    points = np.random.default_rng(num_points).uniform(0, 1, (num_points, 2))
    exact = interpolate.BPoly(points[:, None], [0, 1])(np.linspace(0, 1, 4 * 12 + 1))
    error = np.abs(curves.sample(drawing.cubics(points), 12) - exact).max()
    assert error < (1e-12 if num_points <= 4 else 5e-3)


@pytest.fixture(scope="module")
def model(tiny, params) -> api.Model:
    return api.Model(dataclasses.replace(tiny, curve_samples=64), params, None, {}, "tiny")


def straight(model: api.Model, ink_width: float, ink_slope: float, canvas_slope: float) -> Sketch:
    """One upright stroke in the middle of the canvas, and one that is not drawn."""
    points = np.stack([np.full(5, 0.5), np.linspace(0.1, 0.9, 5)], axis=-1)
    strokes = StrokeLatents(
        np.array([[1, 0]], np.float32),
        np.tile(np.array([0, 0, 1, 0], np.float32), (1, 2, 1)),
        np.tile(points.astype(np.float32), (1, 2, 1, 1)),
    )
    brush = BrushParams(
        *(np.full((1, 2), value, np.float32) for value in (ink_width, ink_slope)), np.float32([canvas_slope])
    )
    return Sketch(strokes, brush, np.zeros((1, 2, 20, 20)))


@pytest.mark.parametrize("brush", ["soft_distance", "distance", "splat"])
@pytest.mark.parametrize("pen", [(0.03, 0.5, 0.5), (0.02, 0.9, 1.4), (0.04, 0.1, 0.1)])
def test_the_width_is_that_of_the_canvas_at_half_its_ink(model, pen, brush):
    model = dataclasses.replace(model, config=dataclasses.replace(model.config, brush=brush))
    sketch = straight(model, *pen)
    size = 400
    across = model.render(sketch, size)[0, -1, size // 2]
    half = np.flatnonzero(across > across.max() / 2)
    (drawing,) = model.to_ink(sketch, size, "name")
    (stroke,) = drawing.strokes
    assert stroke.width == pytest.approx(half[-1] - half[0] + 1, abs=1.5)
    assert drawing.source == "name" and (drawing.width, drawing.height) == (size, size)


def test_ink_lies_where_the_model_draws_it(model):
    """A pixel of the rasteriser is at its corner, in ink it is in its middle."""
    sketch = straight(model, 0.03, 0.5, 0.5)
    size = model.config.image_size
    canvas = model.render(sketch)[0, -1]
    (drawing,) = model.to_ink(sketch, size)
    centre = (canvas.sum(0) @ (np.arange(size) + 0.5)) / canvas.sum()
    points = drawing.strokes[0].points()
    assert points[:, 0] == pytest.approx(np.full(len(points), centre), abs=0.02)
    assert points[0, 1] == pytest.approx(0.1 * size + 0.5, abs=0.01)
    assert points[-1, 1] == pytest.approx(0.9 * size + 0.5, abs=0.01)


def test_a_size_below_one_is_refused(model):
    with pytest.raises(BadInput, match="size=0"):
        model.to_ink(straight(model, 0.03, 0.5, 0.5), 0)


def test_what_the_model_infers_is_ink_stroke_by_stroke(tiny, lively, images):
    model = api.Model(tiny, lively, None, {}, "tiny")
    sketch = jax.device_get(model.infer(images[:4]))
    for drawn, presence in zip(model.to_ink(sketch), sketch.strokes.presence, strict=True):
        assert len(drawn.strokes) == presence.sum()
