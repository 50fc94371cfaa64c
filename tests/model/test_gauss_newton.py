"""Gauss-Newton steps: slopes against reverse-mode ones, solutions against LAPACK, and their ends."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput
from dood_jax.model import dood, gauss_newton
from dood_jax.model.dood import bind
from dood_jax.model.drawing import iterate
from dood_jax.model.families import brush_of, raw_brush
from dood_jax.model.iterative_inference import InferenceState, drawing_error
from dood_jax.types import Array, BrushParams, StrokeLatents

PRESENCE = np.array([1, 1, 0], np.float32)
STEPS = 24


@pytest.fixture(scope="module", params=["sequential", "autoregressive"])
def config(request, tiny) -> ModelConfig:
    """A model of three strokes on 20 x 20 pixels, whose brushes have a taper or have none."""
    smooth = {"curve_samples": 32, "iterations": 1, "settle": True, "prior": request.param}
    return dataclasses.replace(tiny, **smooth)


@pytest.fixture(scope="module")
def params(config) -> dict:
    return jax.device_get(jax.jit(lambda key: dood.init(config, key))(jax.random.key(0)))


def random_numbers(config: ModelConfig, seed: int) -> tuple[Array, BrushParams]:
    """[3, P, 2] points on the canvas, and raw numbers of brushes."""
    random = np.random.default_rng(seed)
    normal = lambda *shape: jnp.asarray(0.5 * random.normal(size=shape), jnp.float32)
    starts, ends = random.uniform(0.15, 0.85, (2, 3, 1, 2))
    along = np.linspace(0, 1, config.num_points)[:, None]
    points = starts + along * (ends - starts) + 0.08 * random.normal(size=(3, config.num_points, 2))
    raw = BrushParams(normal(3), normal(3), normal(), normal(3, 2) if config.has_latent_brush else None)
    return jnp.asarray(points, jnp.float32), raw


def strokes_at(points: Array) -> StrokeLatents:
    """Strokes whose layouts leave points where they are."""
    return StrokeLatents(PRESENCE, jnp.broadcast_to(geometry.IDENTITY_LAYOUT, (3, 4)), points)


def canvas_of(config: ModelConfig, params: dict, points: Array, raw: BrushParams) -> Array:
    return bind(config, params).finished_canvas(strokes_at(points), brush_of(config, raw))


def minimised(config, params, image, points, raw, steps):
    """Points, raw brush and error after so many steps."""

    @jax.jit
    def run(image, points, raw):
        model, strokes = bind(config, params), strokes_at(points)
        state = InferenceState(points, raw, jnp.zeros((3, 1)))
        state = gauss_newton.minimise(model, image, strokes, state, steps)
        found = state.points, state.raw_brush
        canvas = model.finished_canvas(strokes_at(state.points), brush_of(config, state.raw_brush))
        return *found, gauss_newton.smooth_error(image - canvas)

    return run(image, points, raw)


def test_slopes_are_those_of_reverse_mode(config, params):
    points, raw = random_numbers(config, 0)
    numbers, back = ravel_pytree((points, raw))
    expected = jax.jit(jax.jacrev(lambda numbers: canvas_of(config, params, *back(numbers))))(numbers)
    found = jax.jit(lambda *given: gauss_newton.canvas_slopes(config, PRESENCE, *given))(points, raw)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(found, np.moveaxis(expected, 2, 0), rtol=2e-3, atol=2e-4)


def test_the_slope_of_the_error_is_what_the_weights_say():
    """So that the step of least squares ends where the error is least."""
    off = np.concatenate([np.linspace(-1, 1, 40), [-0.03, 0, 0.01, 0.03]]).astype(np.float32)
    weight = 1 / np.maximum(np.abs(off), 0.03) + 4
    found = jax.grad(gauss_newton.smooth_error)(jnp.asarray(off))
    np.testing.assert_allclose(found, weight * off, rtol=1e-5, atol=1e-6)
    far = gauss_newton.smooth_error(jnp.array([0.5])) - gauss_newton.smooth_error(jnp.array([0.25]))
    np.testing.assert_allclose(far, 0.25 + 2 * (0.25 - 0.0625), rtol=1e-6)


def test_a_system_is_solved_as_by_lapack():
    random = np.random.default_rng(0)
    root = random.normal(size=(12, 12))
    matrix, vector = root @ root.T + np.eye(12), random.normal(size=12)
    sizes = 10.0 ** random.uniform(-3, 3, 12)  # numbers of very different units
    matrix = matrix * sizes * sizes[:, None]
    found = gauss_newton.solve(jnp.asarray(matrix, jnp.float32), jnp.asarray(vector, jnp.float32))
    np.testing.assert_allclose(found / np.linalg.solve(matrix, vector), np.ones(12), rtol=2e-2)
    assert not np.asarray(gauss_newton.solve(jnp.eye(12), jnp.zeros(12))).any()


def test_a_drawing_that_is_off_is_found_again(config, params):
    """The image is a drawing, so that the least error is known: none."""
    true_points, true_raw = random_numbers(config, 1)
    image = canvas_of(config, params, true_points, true_raw)
    random = np.random.default_rng(2)
    points = true_points + 0.02 * random.normal(size=true_points.shape).astype(np.float32)
    errors = [minimised(config, params, image, points, true_raw, steps)[2] for steps in (0, 4, STEPS)]
    assert errors[0] > 10
    assert errors[1] < 0.3 * errors[0]
    assert errors[2] < 0.05 * errors[0]


def test_the_error_never_rises_and_what_is_not_drawn_stays(config, params):
    points, raw = random_numbers(config, 3)
    other = canvas_of(config, params, *random_numbers(config, 4))  # far from all of the strokes
    errors = [float(minimised(config, params, other, points, raw, steps)[2]) for steps in range(5)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < errors[0]
    moved, raw_moved, _ = minimised(config, params, other, points, raw, 4)
    assert np.abs(moved[:2] - points[:2]).max() > 1e-3
    np.testing.assert_array_equal(moved[2], points[2])
    np.testing.assert_array_equal(raw_moved.ink_width[2], raw.ink_width[2])


def test_iterations_end_with_them(config, params):
    """Widths and layouts of the posterior are those of the iterations; points come nearer."""
    points, raw = random_numbers(config, 5)
    image, brush = canvas_of(config, params, *random_numbers(config, 6)), brush_of(config, raw)
    ends = lambda steps: iterate(
        dataclasses.replace(config, newton_steps=steps), params, image, strokes_at(points), brush, 1
    )
    before, after = jax.jit(lambda: (ends(0), ends(3)))()
    errors = [
        drawing_error(
            config,
            image,
            strokes_at(points),
            bind(config, params).renderer.finished_canvas,
            end.points.mean,
            raw_brush(config, end.brush),
        )[0]
        for end in (before, after)
    ]
    assert errors[1] < errors[0]
    np.testing.assert_array_equal(before.points.scale, after.points.scale)
    np.testing.assert_array_equal(before.layout.mean, after.layout.mean)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"settle": False}, "settle"),
        ({"iterations": 0}, "iterations"),
        ({"brush": "splat"}, "brush"),
        ({"newton_steps": -1}, "newton_steps"),
    ],
)
def test_what_has_no_such_steps_is_refused_in_one_line(words, named):
    good = {"iterations": 1, "settle": True, "newton_steps": 1}
    with pytest.raises(BadInput, match=rf"model\.{named}"):
        ModelConfig(**{**good, **words})
