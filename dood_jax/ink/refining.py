"""Refinement on the whole page: strokes as polylines, moved by gradient until their ink is the page's.

The pen is a disc with a soft edge: ink follows from the distance of a pixel to the nearest stroke, as with
the model's `distance` brush, but over any number of strokes and only at the pixels near them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy import ndimage
from scipy.spatial import cKDTree

from dood_jax.ink.scale import resample
from dood_jax.types import Array

_STEPS = 80
_POINT_RATE, _WIDTH_RATE, _SOFT_RATE = 0.06, 0.03, 0.02  # of Adam at the first step, in pixels
_LAST_SHARE = 0.1  # of the cosine
_SQUARE_WEIGHT = 2.0  # of squared errors against absolute ones
_BEND_WEIGHT, _STRETCH_WEIGHT = 0.6, 0.3
_LARGEST_PEN = 6.0  # pixels; a wider pen is refined in a smaller picture
_LEAST_PEN, _MOST_PIXELS = 3.0, 200_000  # more ink than this is refined at a smaller scale, down to this pen
_SPACING = 0.7  # of vertices, in pen widths
_CANDIDATES = 6  # strokes' pieces that a pixel may be nearest to
_SOFTEST, _HARDEST = 0.8, 0.08  # of the pen's edge, in pixels


class Line(NamedTuple):
    """A stroke as it is refined, in pixels of the page."""

    points: np.ndarray  # [n, 2]; a closed line comes back to its first point
    width: float  # full width
    is_closed: bool
    confidence: float = 1.0  # agreement of its ink with the page's, 0..1


class Refined(NamedTuple):
    """Lines that fit a page."""

    lines: list[Line]
    l1: float  # sum of |page - drawn| over the page's pixels


class _Traces(NamedTuple):
    """What is moved."""

    vertices: Array  # [V, 2] pixels
    widths: Array  # [L] of each line
    softness: Array  # [] of the pen's edge


class _Shape(NamedTuple):
    """What stays: how vertices hang together."""

    pieces: Array  # [S, 2] vertices of each straight piece
    line_of: Array  # [S] its line
    triples: Array  # [J, 3] vertices in a row
    weight: Array  # [J] 0 for padding
    length: Array  # [S] at the start


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
    scaled = [
        _respaced(line.points * factor, line.is_closed, max(_SPACING * pen * factor, 1.0)) for line in lines
    ]
    vertices, shape, starts = _shape(scaled, [line.is_closed for line in lines])
    pixels = _pixels(small, vertices, shape, pen * factor)
    widths = np.array([line.width * factor for line in lines], np.float32)
    traces = _Traces(vertices, widths, np.float32(0.3))
    moved, errors, totals = _move(*_padded(traces, shape, pixels))
    confidence = 1 - np.asarray(errors) / np.maximum(np.asarray(totals), 1e-6)
    vertices = np.asarray(moved.vertices) / factor
    found = []
    for index, (line, start) in enumerate(zip(lines, starts, strict=True)):
        points = vertices[start : start + len(scaled[index]) - line.is_closed]
        points = np.concatenate([points, points[:1]]) if line.is_closed else points
        width = float(moved.widths[index]) / factor
        found.append(Line(points, width, line.is_closed, float(np.clip(confidence[index], 0, 1))))
    return Refined(found, float(np.asarray(errors).sum()) / factor**2)


def _factor(ink: np.ndarray, pen: float) -> float:
    """Pixels of the refined picture for one of the page: fewer on a page that is full of ink."""
    factor = min(1.0, _LARGEST_PEN / pen)
    busy = np.count_nonzero(ink > 0.3) * factor**2
    return min(factor, max((_MOST_PIXELS / max(busy, 1)) ** 0.5 * factor, _LEAST_PEN / pen))


def _respaced(points: np.ndarray, is_closed: bool, spacing: float) -> np.ndarray:
    """Evenly spaced points along a line that was smoothed over the steps of its pixels."""
    if len(points) == 1:
        return points
    far = np.concatenate([[0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    fine = max(spacing / 4, far[-1] / 4000)
    at = np.linspace(0, far[-1], max(int(far[-1] / fine) + 1, 3))
    dense = np.stack([np.interp(at, far, points[:, axis]) for axis in (0, 1)], axis=1)
    if is_closed:
        smooth = ndimage.gaussian_filter1d(dense[:-1], 2, axis=0, mode="wrap")
        smooth = np.concatenate([smooth, smooth[:1]])
    else:  # reflected through its ends, so that they stay
        smooth = 2 * dense[0] - dense[1:9][::-1], dense, 2 * dense[-1] - dense[-9:-1][::-1]
        before = len(smooth[0])
        smooth = ndimage.gaussian_filter1d(np.concatenate(smooth), 2, axis=0)[before : before + len(dense)]
    count = max(round(far[-1] / spacing) + 1, 4 if is_closed else 2)
    chosen = np.linspace(0, len(smooth) - 1, count)
    index = np.arange(len(smooth))
    return np.stack([np.interp(chosen, index, smooth[:, axis]) for axis in (0, 1)], axis=1)


def _shape(lines: list[np.ndarray], closed: list[bool]) -> tuple[np.ndarray, _Shape, list[int]]:
    vertices, pieces, line_of, triples, starts = [], [], [], [], []
    begin = 0
    for index, (points, is_closed) in enumerate(zip(lines, closed, strict=True)):
        count = len(points) - is_closed
        order = np.arange(begin, begin + count)
        ring = np.concatenate([order, order[:1]]) if is_closed or count == 1 else order
        pieces.append(np.stack([ring[:-1], ring[1:]], axis=1))
        line_of.append(np.full(len(ring) - 1, index))
        around = np.concatenate([order[-1:], order, order[:1]]) if is_closed else order
        triples.append(np.stack([around[:-2], around[1:-1], around[2:]], axis=1))
        vertices.append(points[:count])
        starts.append(begin)
        begin += count
    all_vertices = np.concatenate(vertices).astype(np.float32)
    all_pieces, all_triples = np.concatenate(pieces), np.concatenate(triples)
    length = np.linalg.norm(all_vertices[all_pieces[:, 1]] - all_vertices[all_pieces[:, 0]], axis=1)
    weight = np.ones(len(all_triples), np.float32)
    shape = _Shape(all_pieces, np.concatenate(line_of), all_triples, weight, length.astype(np.float32))
    return all_vertices, shape, starts


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
    count = _bucket(max(len(traces.vertices), len(shape.pieces), len(shape.triples)) + 1, 512)
    grown = lambda array, size: np.pad(array, [(0, size - len(array))] + [(0, 0)] * (array.ndim - 1))
    traces = traces._replace(vertices=grown(traces.vertices, count), widths=grown(traces.widths, count))
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

    def step(carry, _):
        traces, state = carry
        gradient = jax.grad(_loss)(traces, shape, pixels)
        updates, state = adam.update(gradient, state)
        moved = jax.tree_util.tree_map(
            lambda value, rate, update: value + rate * update, traces, rates, updates
        )
        return (_within_range(moved), state), None

    (traces, _), _ = jax.lax.scan(step, (traces, adam.init(traces)), length=_STEPS)
    drawn, line = _draw(traces, shape, pixels)
    sums = functools.partial(jax.ops.segment_sum, segment_ids=line, num_segments=len(traces.widths))
    errors = sums(jnp.abs(drawn - pixels.ink) * pixels.weight)
    return traces, errors, sums(jnp.maximum(drawn, pixels.ink) * pixels.weight)


def _loss(traces: _Traces, shape: _Shape, pixels: _Pixels) -> Array:
    drawn, _ = _draw(traces, shape, pixels)
    error = jnp.abs(drawn - pixels.ink)
    misfit = ((error + _SQUARE_WEIGHT * error**2) * pixels.weight).sum()
    before, here, after = jnp.moveaxis(traces.vertices[shape.triples], 1, 0)
    bend = jnp.sqrt(((before - 2 * here + after) ** 2).sum(1) + 0.01) * shape.weight
    ends = traces.vertices[shape.pieces]
    length = jnp.sqrt(((ends[:, 1] - ends[:, 0]) ** 2).sum(1) + 1e-6)
    stretch = jnp.where(shape.length > 0, (length - shape.length) ** 2, 0)
    return misfit + _BEND_WEIGHT * bend.sum() + _STRETCH_WEIGHT * stretch.sum()


def _draw(traces: _Traces, shape: _Shape, pixels: _Pixels) -> tuple[Array, Array]:
    """[N] ink of the nearest stroke at every pixel, and which line that is."""
    fixed = jax.lax.stop_gradient(traces)
    corners = fixed.vertices[shape.pieces]  # [S, 2, 2]
    half = fixed.widths[shape.line_of] / 2
    outside = _distance(pixels.places[:, None], corners[pixels.near]) - half[pixels.near]
    chosen = jnp.take_along_axis(pixels.near, outside.argmin(1)[:, None], axis=1)[:, 0]
    line = shape.line_of[chosen]
    distance = _distance(pixels.places, traces.vertices[shape.pieces[chosen]])
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
