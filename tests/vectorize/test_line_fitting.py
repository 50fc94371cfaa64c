"""The gradient by which lines are fitted, against automatic differentiation; and where they go."""

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.vectorize import curves, line_fitting
from dood_jax.vectorize.line_fitting import Line

ARC = np.array([[6.0, 8], [14, 2], [24, 20], [33, 9]])
RING = np.array([[30.0, 30], [30, 36], [20, 36], [20, 30], [20, 24], [30, 24], [30, 30]])
DOT = np.repeat([[8.0, 30.0]], 4, axis=0)
LINES = [Line(ARC, 3.0, False), Line(RING, 2.5, True), Line(DOT, 4.0, False)]


def plain_misfit(values, pieces, places, ink):
    """The same sum with every piece at every pixel."""
    starts, ends = (jnp.asarray(part.todense()) @ values.controls for part in (pieces.starts, pieces.ends))
    edges, off = ends - starts, places.T[:, None] - starts
    along = jnp.clip((off * edges).sum(-1) / ((edges**2).sum(-1) + 1e-9), 0, 1)
    distance = jnp.sqrt(((off - along[..., None] * edges) ** 2).sum(-1) + 1e-9)
    half = values.widths[pieces.line_of] / 2
    nearest = (distance - half).argmin(1)
    distance, half = jnp.take_along_axis(distance, nearest[:, None], 1)[:, 0], half[nearest]
    soft = values.softness
    error = jax.nn.sigmoid((half - distance) / soft) - jax.nn.sigmoid((-half - distance) / soft) - ink
    bends = jnp.asarray(pieces.bends.todense()) @ values.controls
    return (jnp.abs(error) + 2 * error**2).sum() + 0.6 * jnp.sqrt((bends**2).sum(1) + 0.01).sum()


def test_the_gradient_is_that_of_the_plain_sum():
    controls, pieces, _ = line_fitting._pieces(LINES, 2.0)
    ink = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    pixels = line_fitting._pixels(ink, (pieces.starts @ controls + pieces.ends @ controls) / 2, 3.0)
    widths = np.array([line.width for line in LINES], np.float32)
    values = line_fitting._Variables(controls, widths, np.float32(0.3))
    found = line_fitting._gradient(values, pieces, line_fitting._nearest(values, pieces, pixels))
    true = jax.grad(plain_misfit)(values, pieces, pixels.places, pixels.ink)
    for ours, theirs in zip(found, true, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-2)


def test_lines_move_onto_their_ink():
    moved = [
        line._replace(control_points=line.control_points + np.array([0.8, -0.6]), width=line.width - 0.4)
        for line in LINES
    ]
    across = np.stack(np.meshgrid(np.arange(40) + 0.5, np.arange(40) + 0.5), axis=-1)
    ink = np.zeros((40, 40), np.float32)
    for line in LINES:
        run = curves.sample(line.control_points, 200)
        distance = np.linalg.norm(across[:, :, None] - run, axis=3).min(2)
        ink = np.maximum(ink, np.clip(line.width / 2 + 0.5 - distance, 0, 1)).astype(np.float32)
    found = line_fitting.fit_lines(ink, moved)
    assert found.l1 < 0.06 * ink.sum()
    for line, true in zip(found.lines, LINES, strict=True):
        assert abs(line.width - true.width) < 0.25
        assert line.confidence > 0.85
