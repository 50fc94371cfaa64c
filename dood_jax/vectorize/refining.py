"""Refinement on the whole page: the strokes' control points, moved by gradient until their ink is the page's.

The pen is a disc with a soft edge: ink follows from the distance of a pixel to the nearest stroke, as with
the model's `distance` brush, but over any number of strokes and only at the pixels near them.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import ndimage
from scipy.spatial import cKDTree

from dood_jax.types import Array
from dood_jax.vectorize import curves
from dood_jax.vectorize.ink_marks import resample

_STEPS = 80
_POINT_RATE, _WIDTH_RATE, _SOFT_RATE = 0.15, 0.03, 0.02  # of Adam at the first step, in pixels
_LAST_SHARE = 0.1  # of the cosine
_SQUARE_WEIGHT = 2.0  # of squared errors against absolute ones
_BEND_WEIGHT = 0.6
_LARGEST_PEN = 6.0  # pixels; a wider pen is refined in a smaller image
_LEAST_PEN, _MOST_PIXELS = 3.0, 200_000  # more ink than this is refined at a smaller scale, down to this pen
_SPACING = 0.7  # of the straight pieces that a curve is drawn as, in pen widths
_BLOCK = 32768  # pixels that are looked at together, which bounds memory
_CANDIDATES = 6  # strokes' pieces that a pixel may be nearest to
_SOFTEST, _HARDEST = 0.8, 0.08  # of the pen's edge, in pixels


class Line(NamedTuple):
    """A stroke as it is refined, in pixels of the page."""

    control_points: np.ndarray  # [3 m + 1, 2] a chain of cubics; closed, it comes back to its first point
    width: float  # full width
    is_closed: bool
    confidence: float = 1.0  # agreement of its ink with the page's, 0..1


class Refined(NamedTuple):
    """Lines that fit a page."""

    lines: list[Line]
    l1: float  # sum of |page - drawn| over the page's pixels


class _Traces(NamedTuple):
    """What is moved."""

    controls: Array  # [C, 2] control points, in pixels
    widths: Array  # [L] of each line
    softness: Array  # [] of the pen's edge


class _Shape(NamedTuple):
    """What stays: how curves are drawn as straight pieces, and how those hang together."""

    controls: Array  # [V, 4] control points of each vertex
    shares: Array  # [V, 4] of them in it
    pieces: Array  # [S, 2] vertices of each straight piece
    line_of: Array  # [S] its line
    triples: Array  # [J, 3] vertices in a row
    weight: Array  # [J] 0 for padding


class _Pixels(NamedTuple):
    """Where the page is looked at."""

    places: Array  # [N, 2]
    ink: Array  # [N]
    near: Array  # [N, K] pieces that may be nearest
    weight: Array  # [N] 0 for padding


def refine(ink: np.ndarray, lines: list[Line]) -> Refined:
    """[H, W] ink and the lines found in it -> the lines, closer to it, with their widths and confidence."""
    pen = float(np.median([line.width for line in lines]))
    factor = _factor(ink, pen)
    small = resample(ink, factor)
    scaled = [line._replace(control_points=line.control_points * factor) for line in lines]
    controls, shape, starts = _shape(scaled, max(_SPACING * pen * factor, 1.0))
    vertices = np.einsum("vk,vkx->vx", shape.shares, controls[shape.controls])
    pixels = _pixels(small, vertices, shape, pen * factor)
    widths = np.array([line.width * factor for line in lines], np.float32)
    moved, errors, totals = _move(*_padded(_Traces(controls, widths, np.float32(0.3)), shape, pixels))
    confidence = np.clip(1 - np.asarray(errors) / np.maximum(np.asarray(totals), 1e-6), 0, 1)
    places, widths = np.asarray(moved.controls) / factor, np.asarray(moved.widths) / factor
    found = []
    for index, (line, start) in enumerate(zip(lines, starts, strict=True)):
        points = places[start : start + len(line.control_points)]
        if line.is_closed:
            points = np.concatenate([points[:-1], points[:1]])
        found.append(Line(points, float(widths[index]), line.is_closed, float(confidence[index])))
    return Refined(found, float(np.asarray(errors).sum()) / factor**2)


def _factor(ink: np.ndarray, pen: float) -> float:
    """Pixels of the refined image for one of the page: fewer on a page that is full of ink."""
    factor = min(1.0, _LARGEST_PEN / pen)
    busy = np.count_nonzero(ink > 0.3) * factor**2
    return min(factor, max((_MOST_PIXELS / max(busy, 1)) ** 0.5 * factor, _LEAST_PEN / pen))


def _shape(lines: list[Line], spacing: float) -> tuple[np.ndarray, _Shape, list[int]]:
    """[C, 2] all control points, the pieces that their curves are drawn as, and where each line starts."""
    controls, shares, pieces, line_of, triples, starts = [], [], [], [], [], []
    start, begin = 0, 0
    for index, line in enumerate(lines):
        used, parts = _vertices(line, spacing)
        order = np.arange(begin, begin + len(used))
        ring = np.concatenate([order, order[:1]]) if line.is_closed or len(order) == 1 else order
        pieces.append(np.stack([ring[:-1], ring[1:]], axis=1))
        line_of.append(np.full(len(ring) - 1, index))
        around = np.concatenate([order[-1:], order, order[:1]]) if line.is_closed else order
        triples.append(np.stack([around[:-2], around[1:-1], around[2:]], axis=1))
        controls.append(start + used)
        shares.append(parts)
        starts.append(start)
        start, begin = start + len(line.control_points), begin + len(used)
    all_triples = np.concatenate(triples)
    shape = _Shape(
        np.concatenate(controls),
        np.concatenate(shares).astype(np.float32),
        np.concatenate(pieces),
        np.concatenate(line_of),
        all_triples,
        np.ones(len(all_triples), np.float32),
    )
    return np.concatenate([line.control_points for line in lines]).astype(np.float32), shape, starts


def _vertices(line: Line, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """[n, 4] which control points of a line make each of its vertices, and their shares."""
    points = line.control_points
    last = len(points) - 1
    if np.ptp(points, axis=0).max() == 0:
        return np.zeros((1, 4), int), np.array([[1.0, 0, 0, 0]])
    used, shares = [], []
    for first in range(0, last, 3):
        size = curves.length(curves.sample(points[first : first + 4], 8))
        shares.append(curves.bernstein(np.linspace(0, 1, max(round(size / spacing), 2), endpoint=False)))
        used.append(np.tile(first + np.arange(4), (len(shares[-1]), 1)))
    if line.is_closed:
        return np.concatenate(used) % last, np.concatenate(shares)
    end = last - 3 + np.arange(4)
    return np.concatenate([*used, end[None]]), np.concatenate([*shares, [[0, 0, 0, 1]]])


def _pixels(ink: np.ndarray, vertices: np.ndarray, shape: _Shape, pen: float) -> _Pixels:
    """The pixels near ink or strokes, with the pieces near each."""
    reach = int(np.ceil(0.6 * pen + 2))
    close = ink > 0.3
    middles = vertices[shape.pieces].mean(1)
    columns, rows = (np.clip(middles[:, axis].astype(int), 0, ink.shape[1 - axis] - 1) for axis in (0, 1))
    close[rows, columns] = True
    close = ndimage.maximum_filter(close, size=2 * reach + 1)
    rows, columns = np.nonzero(close)
    places = np.stack([columns, rows], axis=1).astype(np.float32) + 0.5
    near = cKDTree(middles).query(places, k=min(_CANDIDATES, len(middles)))[1].reshape(len(places), -1)
    near = np.pad(near, ((0, 0), (0, _CANDIDATES - near.shape[1])), mode="edge")
    return _Pixels(places, ink[close].astype(np.float32), near, np.ones(len(places), np.float32))


def _padded(traces: _Traces, shape: _Shape, pixels: _Pixels) -> tuple[_Traces, _Shape, _Pixels]:
    """To one of few sizes, so that few programs are ever compiled."""
    count = _bucket(max(len(traces.controls), *(len(part) for part in shape)) + 1, 512)
    grown = lambda array, size: np.pad(array, [(0, size - len(array))] + [(0, 0)] * (array.ndim - 1))
    traces = traces._replace(controls=grown(traces.controls, count), widths=grown(traces.widths, count))
    shape = _Shape(*(grown(part, count) for part in shape))
    size = _bucket(len(pixels.places), 8192)
    pixels = _Pixels(*(grown(part, size) for part in pixels))
    int32 = lambda tree: jax.tree_util.tree_map(
        lambda leaf: leaf.astype(np.int32) if leaf.dtype.kind == "i" else leaf, tree
    )
    return traces, int32(shape), int32(pixels)


def _bucket(count: int, least: int) -> int:
    return max(least, 1 << (count - 1).bit_length())


@jax.jit
def _move(traces: _Traces, shape: _Shape, pixels: _Pixels) -> tuple[_Traces, Array, Array]:
    """The traces after `_STEPS` steps of Adam; per line, its error and the ink it was to explain."""
    rates = _Traces(_POINT_RATE, _WIDTH_RATE, _SOFT_RATE)
    adam = optax.adam(optax.cosine_decay_schedule(1.0, _STEPS, _LAST_SHARE))
    blocks = jax.tree_util.tree_map(
        lambda leaf: leaf.reshape(-1, min(len(leaf), _BLOCK), *leaf.shape[1:]), pixels
    )

    def gradient(traces):
        add = lambda total, block: (_sum(total, jax.grad(_misfit)(traces, shape, block)), None)
        return jax.lax.scan(add, jax.grad(_bend)(traces, shape), blocks)[0]

    def step(carry, _):
        traces, state = carry
        updates, state = adam.update(gradient(traces), state)
        moved = jax.tree_util.tree_map(
            lambda value, rate, update: value + rate * update, traces, rates, updates
        )
        return (_within_range(moved), state), None

    (traces, _), _ = jax.lax.scan(step, (traces, adam.init(traces)), length=_STEPS)
    add = lambda total, block: (_sum(total, _shares(traces, shape, block)), None)
    nothing = jnp.zeros_like(traces.widths)
    (errors, inks), _ = jax.lax.scan(add, (nothing, nothing), blocks)
    return traces, errors, inks


def _sum(one: Any, other: Any) -> Any:
    return jax.tree_util.tree_map(jnp.add, one, other)


def _shares(traces: _Traces, shape: _Shape, pixels: _Pixels) -> tuple[Array, Array]:
    """[L] error of each line, and the ink that it was to explain."""
    drawn, line = _draw(traces, shape, pixels)
    sums = functools.partial(jax.ops.segment_sum, segment_ids=line, num_segments=len(traces.widths))
    errors = sums(jnp.abs(drawn - pixels.ink) * pixels.weight)
    return errors, sums(jnp.maximum(drawn, pixels.ink) * pixels.weight)


def _misfit(traces: _Traces, shape: _Shape, pixels: _Pixels) -> Array:
    drawn, _ = _draw(traces, shape, pixels)
    error = jnp.abs(drawn - pixels.ink)
    return ((error + _SQUARE_WEIGHT * error**2) * pixels.weight).sum()


def _bend(traces: _Traces, shape: _Shape) -> Array:
    before, here, after = jnp.moveaxis(_places(traces, shape)[shape.triples], 1, 0)
    return _BEND_WEIGHT * (jnp.sqrt(((before - 2 * here + after) ** 2).sum(1) + 0.01) * shape.weight).sum()


def _places(traces: _Traces, shape: _Shape) -> Array:
    """[V, 2] vertices on the curves."""
    return jnp.einsum("vk,vkx->vx", shape.shares, traces.controls[shape.controls])


def _draw(traces: _Traces, shape: _Shape, pixels: _Pixels) -> tuple[Array, Array]:
    """[N] ink of the nearest stroke at every pixel, and which line that is."""
    places = _places(traces, shape)
    corners = jax.lax.stop_gradient(places)[shape.pieces]  # [S, 2, 2]
    half = jax.lax.stop_gradient(traces.widths)[shape.line_of] / 2
    outside = _distance(pixels.places[:, None], corners[pixels.near]) - half[pixels.near]
    chosen = jnp.take_along_axis(pixels.near, outside.argmin(1)[:, None], axis=1)[:, 0]
    line = shape.line_of[chosen]
    distance = _distance(pixels.places, places[shape.pieces[chosen]])
    width, soft = traces.widths[line], traces.softness
    drawn = jax.nn.sigmoid((width / 2 - distance) / soft) - jax.nn.sigmoid((-width / 2 - distance) / soft)
    return drawn, line


def _distance(places: Array, ends: Array) -> Array:
    """[...] distance of [..., 2] places to straight pieces [..., 2, 2]."""
    start, edge = ends[..., 0, :], ends[..., 1, :] - ends[..., 0, :]
    along = ((places - start) * edge).sum(-1) / ((edge**2).sum(-1) + 1e-9)
    foot = start + jnp.clip(along, 0, 1)[..., None] * edge
    return jnp.sqrt(((places - foot) ** 2).sum(-1) + 1e-9)


def _within_range(traces: _Traces) -> _Traces:
    soft = jnp.clip(traces.softness, _HARDEST, _SOFTEST)
    return traces._replace(widths=jnp.maximum(traces.widths, 0.3), softness=soft)
