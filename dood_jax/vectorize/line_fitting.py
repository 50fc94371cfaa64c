"""Fits lines to a whole page: moves control points and widths by gradient until their ink is the page's.

The pen is a disc with a soft edge. As with the model's `distance` brush, the ink of a pixel follows from its
distance to the nearest stroke, but there can be any number of strokes, and only pixels near them are drawn.
For this, curves are drawn as short straight pieces. The gradient is written out: a program for arrays of any
size would have to be compiled for each.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse
from scipy.spatial import cKDTree

from dood_jax.vectorize import curves
from dood_jax.vectorize.marks import resample

_STEPS = 80  # of Adam
_RATES = 0.15, 0.03, 0.02  # of points, widths and softness at the first step, in pixels
_LAST_RATE = 0.1  # fraction of the rates that is left at the last step of the cosine schedule
_MEAN, _SQUARE, _TINY = 0.9, 0.999, 1e-8  # Adam's decay of the gradient and of its square; keeps steps finite
_SQUARE_WEIGHT = 2.0  # of squared errors against absolute ones
_BEND_WEIGHT, _SMOOTH = 0.6, 0.01  # of the penalty on bends, which is smooth at zero
_LARGEST_PEN = 6.0  # pixels; a page with a wider pen is made smaller
_LEAST_PEN, _MOST_PIXELS = 3.0, 200_000  # a page with more pixels of ink is made smaller, down to this pen
_SPACING = 0.7  # length of the straight pieces, in pen widths
_CANDIDATES = 6  # pieces that a pixel may be nearest to,
_CHOSEN_FOR = 10  # and steps for which the nearest one is kept
_CLEAR = 3.0  # pixels outside a line where none of its ink is left
_SOFTEST, _HARDEST, _FIRST_SOFT = 0.8, 0.08, 0.3  # edge of the pen, in pixels
_LEAST_WIDTH = 0.3  # pixels
_LEAST_SQUARE, _MOST_EXPONENT = np.float32(1e-9), np.float32(60)  # keep numbers finite


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
    """What is optimised, or its gradient."""

    controls: np.ndarray  # float32 [C, 2] control points of all lines, in pixels
    widths: np.ndarray  # float32 [L] of the lines
    softness: np.ndarray  # float32 [] of the pen's edge


class _Pieces(NamedTuple):
    """How curves are drawn as S straight pieces; this does not change."""

    starts: sparse.csr_array  # float32 [S, C] weights of the control points in the start of each piece,
    ends: sparse.csr_array  # in its end,
    bends: sparse.csr_array  # and, [J, C], in each second difference of vertices that follow each other
    line_of: np.ndarray  # [S] the line of each piece


class _Pixels(NamedTuple):
    """The pixels at which the page is compared."""

    places: np.ndarray  # float32 [2, N]
    ink: np.ndarray  # float32 [N] of the page
    near: np.ndarray  # [K, N] pieces that may be nearest


class _Drawn(NamedTuple):
    """Pixels in the order of the pieces that they are nearest to."""

    pieces: np.ndarray  # [P] pieces that are nearest to some pixel
    counts: np.ndarray  # [P] pixels of each
    places: np.ndarray  # float32 [2, N]
    ink: np.ndarray  # float32 [N] of the page


def fit_lines(ink: np.ndarray, lines: list[Line]) -> FittedLines:
    """Moves the lines that were found in [H, W] ink closer to it, and measures widths and confidence."""
    pen = float(np.median([line.width for line in lines]))
    factor = _factor(ink, pen)
    small = resample(ink, factor)
    scaled = [line._replace(control_points=line.control_points * factor) for line in lines]
    controls, pieces, starts = _pieces(scaled, max(_SPACING * pen * factor, 1.0))
    pixels = _pixels(small, (pieces.starts @ controls + pieces.ends @ controls) / 2, pen * factor)
    widths = np.array([line.width * factor for line in lines], np.float32)
    moved = _moved(_Variables(controls, widths, np.array(_FIRST_SOFT, np.float32)), pieces, pixels)
    errors, totals = _errors(moved, pieces, pixels)
    confidence = np.clip(1 - errors / np.maximum(totals, 1e-6), 0, 1)
    places = moved.controls / factor
    found = []
    for index, (line, start) in enumerate(zip(lines, starts, strict=True)):
        points = places[start : start + len(line.control_points)]
        if line.is_closed:
            points = np.concatenate([points[:-1], points[:1]])
        found.append(
            Line(points, float(moved.widths[index] / factor), line.is_closed, float(confidence[index]))
        )
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
    columns = np.concatenate(controls)
    places = np.repeat(np.arange(begin), 4), columns.ravel()
    vertices = sparse.csr_array(
        (np.concatenate(weights).ravel().astype(np.float32), places), shape=(begin, start)
    )
    (first, last), (before, here, after) = np.concatenate(ends).T, np.concatenate(triples).T
    bends = vertices[before] - 2 * vertices[here] + vertices[after]
    pieces = _Pieces(vertices[first], vertices[last], bends, np.concatenate(line_of))
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


def _pixels(ink: np.ndarray, middles: np.ndarray, pen: float) -> _Pixels:
    """The pixels near ink or lines, with the pieces near each; `middles` [S, 2] are those of the pieces."""
    reach = int(np.ceil(0.6 * pen + 2))
    close = ink > 0.3
    columns, rows = (np.clip(middles[:, axis].astype(int), 0, ink.shape[1 - axis] - 1) for axis in (0, 1))
    close[rows, columns] = True
    close = ndimage.maximum_filter(close, size=2 * reach + 1)
    rows, columns = np.nonzero(close)
    places = np.stack([columns, rows]).astype(np.float32) + np.float32(0.5)
    near = cKDTree(middles).query(places.T, k=range(1, 1 + min(_CANDIDATES, len(middles))))[1]
    return _Pixels(places, ink[close].astype(np.float32), near.T)


def _moved(variables: _Variables, pieces: _Pieces, pixels: _Pixels) -> _Variables:
    """The variables after `_STEPS` steps of Adam, whose rates fall as a cosine."""
    means = [np.zeros_like(value) for value in variables]
    squares = [np.zeros_like(value) for value in variables]
    for step in range(_STEPS):
        if step % _CHOSEN_FOR == 0:
            drawn = _nearest(variables, pieces, pixels)
        share = _LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * step / _STEPS)) / 2
        share *= math.sqrt(1 - _SQUARE ** (step + 1)) / (1 - _MEAN ** (step + 1))
        slopes = _gradient(variables, pieces, drawn)
        means = [_MEAN * mean + (1 - _MEAN) * slope for mean, slope in zip(means, slopes, strict=True)]
        squares = [
            _SQUARE * square + (1 - _SQUARE) * slope**2 for square, slope in zip(squares, slopes, strict=True)
        ]
        controls, widths, softness = (
            value - share * rate * mean / (np.sqrt(square) + _TINY)
            for value, rate, mean, square in zip(variables, _RATES, means, squares, strict=True)
        )
        variables = _Variables(controls, np.maximum(widths, _LEAST_WIDTH), softness.clip(_HARDEST, _SOFTEST))
    return variables


def _nearest(variables: _Variables, pieces: _Pieces, pixels: _Pixels) -> _Drawn:
    """The pixels on or beside lines, sorted by their nearest pieces."""
    chosen, outside = _chosen(variables, pieces, pixels)
    beside = np.flatnonzero(outside < _CLEAR)
    order = beside[np.argsort(chosen[beside], kind="stable")]
    found, counts = np.unique(chosen[order], return_counts=True)
    return _Drawn(found, counts, pixels.places[:, order], pixels.ink[order])


def _chosen(variables: _Variables, pieces: _Pieces, pixels: _Pixels) -> tuple[np.ndarray, np.ndarray]:
    """[N] the piece whose ink is nearest to each pixel, and [N] pixels by which that lies outside it."""
    starts, ends = ((part @ variables.controls).T for part in (pieces.starts, pieces.ends))
    half = variables.widths[pieces.line_of] / 2
    chosen, least = pixels.near[0], np.full(len(pixels.ink), np.inf, np.float32)
    for near in pixels.near:
        outside = _distances(pixels.places, starts[:, near], ends[:, near])[0] - half[near]
        chosen = np.where(outside < least, near, chosen)
        least = np.minimum(outside, least)
    return chosen, least


def _distances(
    places: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[N] distances of [2, N] places from pieces, [2, N] the way from there, and [N] where on them, 0..1."""
    edges, away = ends - starts, places - starts
    along = ((away * edges).sum(0) / ((edges**2).sum(0) + _LEAST_SQUARE)).clip(0, 1)
    away = away - along * edges
    return np.sqrt((away**2).sum(0) + _LEAST_SQUARE), away, along


def _gradient(variables: _Variables, pieces: _Pieces, drawn: _Drawn) -> _Variables:
    """The gradient of the difference between the drawing and the page, and of the penalty on bends."""
    each = lambda values: np.repeat(values[..., drawn.pieces], drawn.counts, axis=-1)
    firsts = drawn.counts.cumsum() - drawn.counts
    total = lambda values: np.add.reduceat(values, firsts, axis=-1)
    starts, ends = ((part @ variables.controls).T for part in (pieces.starts, pieces.ends))
    distance, away, along = _distances(drawn.places, each(starts), each(ends))
    half, soft = each(variables.widths[pieces.line_of] / 2), variables.softness
    near, far = _sigmoid((half - distance) / soft), _sigmoid((-half - distance) / soft)
    error = near - far - drawn.ink
    slope = (np.sign(error) + 2 * _SQUARE_WEIGHT * error) / soft
    rise, fall = slope * near * (1 - near), slope * far * (1 - far)
    softness = -(rise * (half - distance) + fall * (half + distance)).sum() / soft
    widths = np.bincount(pieces.line_of[drawn.pieces], total(rise + fall) / 2, len(variables.widths))
    push = (fall - rise) / distance * away
    at_starts, at_ends = np.zeros((2, *starts.shape), np.float32)
    at_ends[:, drawn.pieces] = -total(along * push)
    at_starts[:, drawn.pieces] = -total((1 - along) * push)
    turns = pieces.bends @ variables.controls
    turns *= _BEND_WEIGHT / np.sqrt((turns**2).sum(1, keepdims=True) + _SMOOTH)
    controls = pieces.starts.T @ at_starts.T + pieces.ends.T @ at_ends.T + pieces.bends.T @ turns
    return _Variables(controls, widths.astype(np.float32), softness)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(np.minimum(-values, _MOST_EXPONENT)))


def _errors(variables: _Variables, pieces: _Pieces, pixels: _Pixels) -> tuple[np.ndarray, np.ndarray]:
    """[L] error of each line in the pixels that it is nearest to, and [L] the ink that it was to explain."""
    chosen, outside = _chosen(variables, pieces, pixels)
    line = pieces.line_of[chosen]
    through = outside + variables.widths[line]
    drawn = _sigmoid(-outside / variables.softness) - _sigmoid(-through / variables.softness)
    sums = lambda values: np.bincount(line, values, len(variables.widths))
    return sums(np.abs(drawn - pixels.ink)), sums(np.maximum(drawn, pixels.ink))
