"""Fits lines to a whole page: moves control points and widths by gradient until their ink is the page's.

The pen is a disc with a soft edge. As with the model's `distance` brush, the ink of a pixel follows from its
distance to the nearest stroke, but there can be any number of strokes, and only pixels near them are drawn.
For this, curves are drawn as short straight pieces.
"""

import functools
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from dood_jax.test_time.optimize import descend
from dood_jax.types import Array
from dood_jax.vectorize import curves
from dood_jax.vectorize.marks import resample

_STEPS = 80  # of Adam
_POINT_RATE, _WIDTH_RATE, _SOFT_RATE = 0.15, 0.03, 0.02  # learning rates at the first step, in pixels
_LAST_RATE = 0.1  # fraction of the rates that is left at the last step of the cosine schedule
_SQUARE_WEIGHT = 2.0  # of squared errors against absolute ones
_BEND_WEIGHT = 0.6  # of the penalty on bends
_LARGEST_PEN = 6.0  # pixels; a page with a wider pen is made smaller
_LEAST_PEN, _MOST_PIXELS = 3.0, 200_000  # a page with more pixels of ink is made smaller, down to this pen
_SPACING = 0.7  # length of the straight pieces, in pen widths
_BLOCK = 32768  # pixels that are drawn together, which bounds memory
_CANDIDATES = 6  # pieces that a pixel may be nearest to
_SOFTEST, _HARDEST = 0.8, 0.08  # edge of the pen, in pixels

_Values = np.ndarray | Array  # made in NumPy, used by JAX
_Tree = TypeVar("_Tree")


class Line(NamedTuple):
    """A stroke that is being fitted, in pixels of the page."""

    control_points: np.ndarray  # [3 m + 1, 2] a chain of cubics; a closed one ends at its first point
    width: float  # full width
    is_closed: bool
    confidence: float = 1.0  # agreement of its ink with the page's, 0..1


class FittedLines(NamedTuple):
    """Lines that fit a page."""

    lines: list[Line]
    l1: float  # sum of |page - drawing| over the page's pixels


class _Variables(NamedTuple):
    """What is optimised."""

    controls: _Values  # [C, 2] control points of all lines, in pixels
    widths: _Values  # [L] of the lines
    softness: _Values  # [] of the pen's edge


class _Pieces(NamedTuple):
    """How curves are drawn as straight pieces between vertices; this does not change."""

    controls: _Values  # [V, 4] control points that each vertex depends on
    weights: _Values  # [V, 4] and their Bernstein weights in it
    ends: _Values  # [S, 2] vertices at the ends of each piece
    line_of: _Values  # [S] the line of each piece
    triples: _Values  # [J, 3] vertices that follow each other
    is_used: _Values  # [J] 0 for padding


class _Pixels(NamedTuple):
    """The pixels at which the page is compared."""

    places: _Values  # [N, 2]
    ink: _Values  # [N] of the page
    near: _Values  # [N, K] pieces that may be nearest
    weight: _Values  # [N] 0 for padding


def fit_lines(ink: np.ndarray, lines: list[Line]) -> FittedLines:
    """Moves the lines that were found in [H, W] ink closer to it, and measures widths and confidence."""
    pen = float(np.median([line.width for line in lines]))
    factor = _factor(ink, pen)
    small = resample(ink, factor)
    scaled = [line._replace(control_points=line.control_points * factor) for line in lines]
    controls, pieces, starts = _pieces(scaled, max(_SPACING * pen * factor, 1.0))
    vertices = np.einsum("vk,vkx->vx", pieces.weights, controls[pieces.controls])
    pixels = _pixels(small, vertices, pieces, pen * factor)
    widths = np.array([line.width * factor for line in lines], np.float32)
    padded = _padded(_Variables(controls, widths, np.array(0.3, np.float32)), pieces, pixels)
    moved, errors, totals = jax.device_get(_optimize(*padded))
    confidence = np.clip(1 - errors / np.maximum(totals, 1e-6), 0, 1)
    places, widths = moved.controls / factor, moved.widths / factor
    found = []
    for index, (line, start) in enumerate(zip(lines, starts, strict=True)):
        points = places[start : start + len(line.control_points)]
        if line.is_closed:
            points = np.concatenate([points[:-1], points[:1]])
        found.append(Line(points, float(widths[index]), line.is_closed, float(confidence[index])))
    return FittedLines(found, float(errors.sum()) / factor**2)


def _factor(ink: np.ndarray, pen: float) -> float:
    """The scale at which lines are fitted: smaller for a wide pen and on a page that is full of ink."""
    factor = min(1.0, _LARGEST_PEN / pen)
    busy = np.count_nonzero(ink > 0.3) * factor**2
    return min(factor, max((_MOST_PIXELS / max(busy, 1)) ** 0.5 * factor, _LEAST_PEN / pen))


def _pieces(lines: list[Line], spacing: float) -> tuple[np.ndarray, _Pieces, list[int]]:
    """[C, 2] control points of all lines, the pieces that are drawn, and where each line's points start."""
    controls, weights, ends, line_of, triples, starts = [], [], [], [], [], []
    start, begin = 0, 0  # of the line's control points and vertices
    for index, line in enumerate(lines):
        used, parts = _vertices(line, spacing)
        order = np.arange(begin, begin + len(used))
        # A dot has one vertex, and its piece has no length.
        ring = np.concatenate([order, order[:1]]) if line.is_closed or len(order) == 1 else order
        ends.append(np.stack([ring[:-1], ring[1:]], axis=1))
        line_of.append(np.full(len(ring) - 1, index))
        around = np.concatenate([order[-1:], order, order[:1]]) if line.is_closed else order
        triples.append(np.stack([around[:-2], around[1:-1], around[2:]], axis=1))
        controls.append(start + used)
        weights.append(parts)
        starts.append(start)
        start, begin = start + len(line.control_points), begin + len(used)
    all_triples = np.concatenate(triples)
    pieces = _Pieces(
        np.concatenate(controls),
        np.concatenate(weights).astype(np.float32),
        np.concatenate(ends),
        np.concatenate(line_of),
        all_triples,
        np.ones(len(all_triples), np.float32),
    )
    return np.concatenate([line.control_points for line in lines]).astype(np.float32), pieces, starts


def _vertices(line: Line, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """[n, 4] which control points of a line make up each of its vertices, and [n, 4] their weights."""
    points = line.control_points
    last = len(points) - 1
    if np.ptp(points, axis=0).max() == 0:
        return np.zeros((1, 4), int), np.array([[1.0, 0, 0, 0]])
    used, weights = [], []
    for first in range(0, last, 3):
        size = curves.length(curves.sample(points[first : first + 4], 8))
        weights.append(curves.bernstein(np.linspace(0, 1, max(round(size / spacing), 2), endpoint=False)))
        used.append(np.tile(first + np.arange(4), (len(weights[-1]), 1)))
    if line.is_closed:  # the last control point is the first
        return np.concatenate(used) % last, np.concatenate(weights)
    end = last - 3 + np.arange(4)
    return np.concatenate([*used, end[None]]), np.concatenate([*weights, [[0, 0, 0, 1]]])


def _pixels(ink: np.ndarray, vertices: np.ndarray, pieces: _Pieces, pen: float) -> _Pixels:
    """The pixels near ink or lines, with the pieces near each."""
    reach = int(np.ceil(0.6 * pen + 2))
    close = ink > 0.3
    middles = vertices[pieces.ends].mean(1)
    columns, rows = (np.clip(middles[:, axis].astype(int), 0, ink.shape[1 - axis] - 1) for axis in (0, 1))
    close[rows, columns] = True
    close = ndimage.maximum_filter(close, size=2 * reach + 1)
    rows, columns = np.nonzero(close)
    places = np.stack([columns, rows], axis=1).astype(np.float32) + 0.5
    near = cKDTree(middles).query(places, k=min(_CANDIDATES, len(middles)))[1].reshape(len(places), -1)
    near = np.pad(near, ((0, 0), (0, _CANDIDATES - near.shape[1])), mode="edge")
    return _Pixels(places, ink[close].astype(np.float32), near, np.ones(len(places), np.float32))


def _padded(variables: _Variables, pieces: _Pieces, pixels: _Pixels) -> tuple[_Variables, _Pieces, _Pixels]:
    """Pads all arrays to one of few sizes, so that few programs are ever compiled."""
    count = _bucket(max(len(variables.controls), *(len(part) for part in pieces)) + 1, 512)
    grown = lambda array, size: np.pad(array, [(0, size - len(array))] + [(0, 0)] * (array.ndim - 1))
    variables = variables._replace(
        controls=grown(variables.controls, count), widths=grown(variables.widths, count)
    )
    pieces = _Pieces(*(grown(part, count) for part in pieces))
    size = _bucket(len(pixels.places), 8192)
    pixels = _Pixels(*(grown(part, size) for part in pixels))
    int32 = lambda tree: jax.tree_util.tree_map(
        lambda leaf: leaf.astype(np.int32) if leaf.dtype.kind == "i" else leaf, tree
    )
    return variables, int32(pieces), int32(pixels)


def _bucket(count: int, least: int) -> int:
    """The next power of two."""
    return max(least, 1 << (count - 1).bit_length())


@jax.jit
def _optimize(variables: _Variables, pieces: _Pieces, pixels: _Pixels) -> tuple[_Variables, Array, Array]:
    """The variables after `_STEPS` steps of Adam; and per line, its error and the ink it was to explain."""
    rates = _Variables(*np.array([_POINT_RATE, _WIDTH_RATE, _SOFT_RATE], np.float32))
    blocks = jax.tree_util.tree_map(
        lambda leaf: leaf.reshape(-1, min(len(leaf), _BLOCK), *leaf.shape[1:]), pixels
    )

    def gradient(variables, _):
        add = lambda total, block: (_sum(total, jax.grad(_misfit)(variables, pieces, block)), None)
        return jax.lax.scan(add, jax.grad(_bend)(variables, pieces), blocks)[0]

    variables = descend(
        gradient,
        variables,
        rates,
        jnp.arange(_STEPS),
        last_fraction=_LAST_RATE,
        project=_within_range,
    )
    add = lambda total, block: (_sum(total, _errors(variables, pieces, block)), None)
    nothing = jnp.zeros_like(variables.widths)
    (errors, inks), _ = jax.lax.scan(add, (nothing, nothing), blocks)
    return variables, errors, inks


def _sum(one: _Tree, other: _Tree) -> _Tree:
    return jax.tree_util.tree_map(jnp.add, one, other)


def _errors(variables: _Variables, pieces: _Pieces, pixels: _Pixels) -> tuple[Array, Array]:
    """[L] error of each line in the pixels that it is nearest to, and [L] the ink that it was to explain."""
    drawn, line = _draw(variables, pieces, pixels)
    sums = functools.partial(jax.ops.segment_sum, segment_ids=line, num_segments=len(variables.widths))
    errors = sums(jnp.abs(drawn - pixels.ink) * pixels.weight)
    return errors, sums(jnp.maximum(drawn, pixels.ink) * pixels.weight)


def _misfit(variables: _Variables, pieces: _Pieces, pixels: _Pixels) -> Array:
    """[] difference between the drawing and the page."""
    drawn, _ = _draw(variables, pieces, pixels)
    error = jnp.abs(drawn - pixels.ink)
    return ((error + _SQUARE_WEIGHT * error**2) * pixels.weight).sum()


def _bend(variables: _Variables, pieces: _Pieces) -> Array:
    """[] penalty on bends: the second differences of the vertices, smooth at zero."""
    before, here, after = jnp.moveaxis(_vertex_places(variables, pieces)[pieces.triples], 1, 0)
    bends = jnp.sqrt(((before - 2 * here + after) ** 2).sum(1) + 0.01)
    return _BEND_WEIGHT * (bends * pieces.is_used).sum()


def _vertex_places(variables: _Variables, pieces: _Pieces) -> Array:
    """[V, 2] vertices on the curves."""
    return jnp.einsum("vk,vkx->vx", pieces.weights, variables.controls[pieces.controls])


def _draw(variables: _Variables, pieces: _Pieces, pixels: _Pixels) -> tuple[Array, Array]:
    """[N] ink of the nearest line at every pixel, and [N] which line that is.

    The nearest piece is chosen without gradient, so that only one piece for each pixel is differentiated.
    """
    places = _vertex_places(variables, pieces)
    ends = jax.lax.stop_gradient(places)[pieces.ends]  # [S, 2, 2]
    half = jax.lax.stop_gradient(variables.widths)[pieces.line_of] / 2
    outside = _distance(pixels.places[:, None], ends[pixels.near]) - half[pixels.near]
    chosen = jnp.take_along_axis(pixels.near, outside.argmin(1)[:, None], axis=1)[:, 0]
    line = pieces.line_of[chosen]
    distance = _distance(pixels.places, places[pieces.ends[chosen]])
    width, soft = variables.widths[line], variables.softness
    drawn = jax.nn.sigmoid((width / 2 - distance) / soft) - jax.nn.sigmoid((-width / 2 - distance) / soft)
    return drawn, line


def _distance(places: _Values, ends: Array) -> Array:
    """[...] distance of [..., 2] places to straight pieces [..., 2, 2]."""
    start, edge = ends[..., 0, :], ends[..., 1, :] - ends[..., 0, :]
    along = ((places - start) * edge).sum(-1) / ((edge**2).sum(-1) + 1e-9)
    foot = start + jnp.clip(along, 0, 1)[..., None] * edge
    return jnp.sqrt(((places - foot) ** 2).sum(-1) + 1e-9)


def _within_range(variables: _Variables) -> _Variables:
    soft = jnp.clip(variables.softness, _HARDEST, _SOFTEST)
    return variables._replace(widths=jnp.maximum(variables.widths, 0.3), softness=soft)
