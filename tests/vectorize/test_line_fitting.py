"""The equations by which lines are fitted, against automatic differentiation; and where lines go."""

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.vectorize import curves, line_fitting
from dood_jax.vectorize.line_fitting import Line

ARC = np.array([[6.0, 8], [14, 2], [24, 20], [33, 9]])
RING = np.array([[30.0, 30], [30, 36], [20, 36], [20, 30], [20, 24], [30, 24], [30, 30]])
DOT = np.repeat([[8.0, 30.0]], 4, axis=0)
LINES = [Line(ARC, 3.0, False), Line(RING, 2.5, True), Line(DOT, 4.0, False)]


def vertices_of(variables):
    """[n, 2] vertices of each line, one after the other; those of a closed line end with its first."""
    controls = variables[: -len(LINES)].reshape(2, -1).T
    found, start = [], 0
    for line in LINES:
        own = controls[start : start + len(line.control_points)]
        own = jnp.concatenate([own[:-1], own[:1]]) if line.is_closed else own
        start += len(own)
        parts = line_fitting._weights(line, 2.0)
        runs = [part @ own[3 * k : 3 * k + 4] for k, part in enumerate(parts)]
        found.append(jnp.concatenate([*(run[:-1] for run in runs), runs[-1][-1:]]))
    return found


def plain_errors(variables, softness, places, ink):
    """[N] the drawing minus the page, with every piece at every pixel; and [N] pixels outside lines."""
    runs, widths = vertices_of(variables), variables[-len(LINES) :]
    starts, ends = (jnp.concatenate([run[part] for run in runs]) for part in (slice(-1), slice(1, None)))
    half = jnp.repeat(widths, np.array([len(run) - 1 for run in runs])) / 2
    edges, off = ends - starts, places.T[:, None] - starts
    along = jnp.clip((off * edges).sum(-1) / ((edges**2).sum(-1) + 1e-9), 0, 1)
    distance = jnp.sqrt(((off - along[..., None] * edges) ** 2).sum(-1) + 1e-9)
    nearest = (distance - half).argmin(1)
    distance, half = jnp.take_along_axis(distance, nearest[:, None], 1)[:, 0], half[nearest]
    drawn = jax.nn.sigmoid((half - distance) / softness) - jax.nn.sigmoid((-half - distance) / softness)
    return drawn - ink, distance - half


def second_differences(variables):
    """[2, J] x and y of all lines."""
    found = []
    for line, run in zip(LINES, vertices_of(variables), strict=True):
        around = jnp.concatenate([run[-2:-1], run]) if line.is_closed else run
        found.append(around[:-2] - 2 * around[1:-1] + around[2:])
    return jnp.concatenate(found).T


def test_a_step_solves_the_weighed_least_squares():
    ink = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    points = np.concatenate([line.control_points for line in LINES])
    variables = np.array([*points.T.ravel(), *(line.width for line in LINES)], np.float32)
    pieces = line_fitting._pieces(LINES, 2.0)
    shapes = line_fitting._shapes(variables, pieces)
    pixels = line_fitting._pixels(ink, (shapes[:2] + shapes[2:4] / 2).T, 3.0)
    drawn = line_fitting._nearest(variables, pieces, pixels)
    normal, slopes, softer = line_fitting._equations(variables, 0.3, pieces, drawn)

    error, outside = plain_errors(variables, 0.3, pixels.places, pixels.ink)
    weight = np.where(outside < 2, 1 / np.maximum(np.abs(error), 0.05) + 4, 0)
    by_variable, by_softness = (
        jax.jacobian(lambda v, s: plain_errors(v, s, pixels.places, pixels.ink)[0], argnums)(variables, 0.3)
        for argnums in (0, 1)
    )
    turns = second_differences(variables)
    bends = np.array(jax.jacobian(second_differences)(variables)).reshape(-1, len(variables))
    stiff = np.tile(0.6 / np.sqrt((turns**2).sum(0) + 0.01), 2)
    true = by_variable.T @ (weight[:, None] * by_variable) + bends.T @ (stiff[:, None] * bends)
    np.testing.assert_allclose(normal.todense(), true + 0.05 * np.eye(len(variables)), rtol=2e-3, atol=2e-2)
    expected = by_variable.T @ (weight * error) + bends.T @ (stiff * turns.ravel())
    np.testing.assert_allclose(slopes, expected, rtol=2e-3, atol=2e-2)
    step = -(weight * by_softness * error).sum() / (weight * by_softness**2).sum()
    np.testing.assert_allclose(softer, np.clip(step, -0.1, 0.1), rtol=1e-3)


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
