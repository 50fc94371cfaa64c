"""Fits lines to a whole page: moves control points and widths until their ink is the page's.

The pen is a disc with a soft edge. As with the model's `distance` brush, the ink of a pixel follows from its
distance to the nearest stroke, but there can be any number of strokes, and only pixels near them are drawn.
For this, curves are drawn as short straight pieces.

Each step solves for all lines at once what makes the squared errors least, if ink changed evenly with control
points and widths (Gauss and Newton). Squares are weighed so that absolute errors count too.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from dood_jax.vectorize import curves
from dood_jax.vectorize.marks import resample
from dood_jax.vectorize.pixels import extremes

_STEPS = 10
_CHOSEN_AT = 0, 1, 2, 3, 5, 7  # steps before which the nearest piece of each pixel is looked for
_CANDIDATES = 6  # pieces that a pixel may be nearest to
_LONGEST_STEP, _SOFTER = 4.0, 0.1  # pixels by which a control point or width, and the pen's edge, may change
_HOLD = 0.05  # weight of staying, for what no ink decides
_SQUARE_WEIGHT = 2.0  # of squared errors against absolute ones,
_LEAST_ERROR = 0.05  # which are squared below this
_BEND_WEIGHT, _SMOOTH = 0.6, 0.01  # of the penalty on bends, which is smooth at zero
_LARGEST_PEN = 6.0  # pixels; a page with a wider pen is made smaller
_LEAST_PEN, _MOST_PIXELS = 3.0, 200_000  # a page with more pixels of ink is made smaller, down to this pen
_SPACING = 0.7  # length of the straight pieces, in pen widths
_CLEAR = 2.0  # pixels outside a line where its ink hardly changes
_SOFTEST, _HARDEST, _FIRST_SOFT = 0.8, 0.08, 0.7  # edge of the pen, in pixels
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


class _Pieces(NamedTuple):
    """How variables shape the curves and the S straight pieces that these are drawn as; this does not change.

    The V variables are x of all C control points, then y of all, then the widths of the L lines.
    """

    columns: np.ndarray  # [M, 9] variables of each cubic: x of its control points, y of them, and the width
    cubic_of: np.ndarray  # [S] the cubic of each piece
    shares: np.ndarray  # float32 [S, 5, 9] of the cubic's in (x, y) of the piece's start, in the way to its
    # end, and in half its width
    bends: sparse.csr_array  # float32 [2 J, V] x, then y, of second differences of vertices
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
    widths = np.array([line.width * factor for line in lines])
    controls = np.concatenate([line.control_points for line in scaled])
    variables = np.concatenate([*controls.T, widths]).astype(np.float32)
    pieces = _pieces(scaled, max(_SPACING * pen * factor, 1.0))
    shapes = _shapes(variables, pieces)
    pixels = _pixels(small, (shapes[:2] + shapes[2:4] / 2).T, pen * factor)
    variables, softness = _moved(variables, pieces, pixels)
    errors, totals = _errors(variables, softness, pieces, pixels)
    confidence = np.clip(1 - errors / np.maximum(totals, 1e-6), 0, 1)
    places, widths = variables[: controls.size].reshape(2, -1).T / factor, variables[controls.size :] / factor
    found = []
    ends = np.cumsum([len(line.control_points) for line in lines])
    for index, (line, end) in enumerate(zip(lines, ends, strict=True)):
        points = places[end - len(line.control_points) : end]
        if line.is_closed:
            points = np.concatenate([points[:-1], points[:1]])
        found.append(Line(points, float(widths[index]), line.is_closed, float(confidence[index])))
    return FittedLines(found, float(errors.sum()) / factor**2)


def _factor(ink: np.ndarray, pen: float) -> float:
    """The scale at which lines are fitted: smaller for a wide pen and on a page that is full of ink."""
    factor = min(1.0, _LARGEST_PEN / pen)
    busy = np.count_nonzero(ink > 0.3) * factor**2
    return min(factor, max((_MOST_PIXELS / max(busy, 1)) ** 0.5 * factor, _LEAST_PEN / pen))


def _pieces(lines: list[Line], spacing: float) -> _Pieces:
    """The pieces, about `spacing` long, that are drawn for lines."""
    sizes = [len(line.control_points) for line in lines]
    used = [start + _controls(line) for line, start in zip(lines, np.cumsum([0, *sizes]), strict=False)]
    parts = [_weights(line, spacing) for line in lines]
    pieces = np.concatenate([np.stack([part[:-1], part[1:]], axis=1) for own in parts for part in own])
    shares = np.zeros((len(pieces), 5, 9), np.float32)
    for axis in (0, 1):
        own = slice(4 * axis, 4 * axis + 4)
        shares[:, axis, own], shares[:, 2 + axis, own] = pieces[:, 0], pieces[:, 1] - pieces[:, 0]
    shares[:, 4, 8] = 0.5
    controls, count = np.concatenate(used), sum(sizes)
    line_of = np.repeat(np.arange(len(lines)), [len(own) for own in used])
    cubic_of = np.repeat(np.arange(len(controls)), [len(part) - 1 for own in parts for part in own])
    columns = np.concatenate([controls, count + controls, 2 * count + line_of[:, None]], axis=1)
    bends = _bends(lines, used, parts)
    both = sparse.block_diag([bends, bends, sparse.csr_array((0, len(lines)))], format="csr")
    return _Pieces(columns, cubic_of, shares, both.astype(np.float32), line_of[cubic_of])


def _controls(line: Line) -> np.ndarray:
    """[m, 4] the control points of each cubic of a line; the last point of a closed one is its first."""
    last = len(line.control_points) - 1
    used = np.arange(0, last, 3)[:, None] + np.arange(4)
    return used % last if line.is_closed else used


def _weights(line: Line, spacing: float) -> list[np.ndarray]:
    """For each cubic, [n, 4] the weights of its control points in the vertices that it is drawn with."""
    points = line.control_points
    if np.ptp(points, axis=0).max() == 0:  # a dot is one piece without length
        return [np.full((2, 4), 0.25)]
    sizes = [curves.length(curves.sample(points[k : k + 4], 8)) for k in range(0, len(points) - 1, 3)]
    return [curves.bernstein(np.linspace(0, 1, max(round(size / spacing), 2) + 1)) for size in sizes]


def _bends(lines: list[Line], used: list[np.ndarray], parts: list[list[np.ndarray]]) -> sparse.csr_array:
    """[J, C] weights of the control points in each second difference of vertices; see `_weights`."""
    columns, weights, triples = [], [], []
    start = 0  # of the line's vertices
    for line, controls, own in zip(lines, used, parts, strict=True):
        weights += [*(part[:-1] for part in own), own[-1][-1:]]
        columns += [np.repeat(controls, [len(part) - 1 for part in own], axis=0), controls[-1:]]
        order = start + np.arange(1 + sum(len(part) - 1 for part in own))
        start = order[-1] + 1
        if line.is_closed:  # the last vertex is the first
            order = np.concatenate([order[-2:-1], order])
        triples.append(np.stack([order[:-2], order[1:-1], order[2:]]))
    places = np.repeat(np.arange(start), 4), np.concatenate(columns).ravel()
    shape = start, sum(len(line.control_points) for line in lines)
    vertices = sparse.csr_array((np.concatenate(weights).ravel(), places), shape=shape)
    before, here, after = np.concatenate(triples, axis=1)
    return vertices[before] - 2 * vertices[here] + vertices[after]


def _pixels(ink: np.ndarray, middles: np.ndarray, pen: float) -> _Pixels:
    """The pixels near ink or lines, with the pieces near each; `middles` [S, 2] are those of the pieces."""
    close = np.zeros(ink.shape, bool)
    columns, rows = (np.clip(middles[:, axis].astype(int), 0, ink.shape[1 - axis] - 1) for axis in (0, 1))
    close[rows, columns] = True
    close = extremes(close, 2 * math.ceil(pen / 2 + _CLEAR) + 1)
    close |= extremes(ink > 0.3, 2 * math.ceil(_CLEAR) + 1)
    rows, columns = np.nonzero(close)
    places = np.stack([columns, rows]).astype(np.float32) + np.float32(0.5)
    candidates = range(1, 1 + min(_CANDIDATES, len(middles)))
    near = cKDTree(middles).query(places.T, k=candidates, workers=-1)[1]  # by all cores
    return _Pixels(places, ink[close].astype(np.float32), near.T)


def _moved(variables: np.ndarray, pieces: _Pieces, pixels: _Pixels) -> tuple[np.ndarray, float]:
    """The variables, and the softness of the pen's edge, after `_STEPS` steps."""
    softness = _FIRST_SOFT
    first_width = len(variables) - 1 - pieces.line_of[-1]
    for step in range(_STEPS):
        if step in _CHOSEN_AT:
            drawn = _nearest(variables, pieces, pixels)
        normal, slopes, softer = _equations(variables, softness, pieces, drawn)
        factors = splu(normal, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        change = factors.solve(slopes).clip(-_LONGEST_STEP, _LONGEST_STEP)
        variables = (variables - change).astype(np.float32)
        variables[first_width:] = np.maximum(variables[first_width:], _LEAST_WIDTH)
        softness = min(max(softness + softer, _HARDEST), _SOFTEST)
    return variables, softness


def _shapes(variables: np.ndarray, pieces: _Pieces) -> np.ndarray:
    """[5, S] x and y of each piece's start, of the way to its end, and half its width."""
    return np.einsum("sij,sj->is", pieces.shares, variables[pieces.columns[pieces.cubic_of]])


def _nearest(variables: np.ndarray, pieces: _Pieces, pixels: _Pixels) -> _Drawn:
    """The pixels on or beside lines, sorted by their nearest pieces."""
    chosen, outside = _chosen(_shapes(variables, pieces), pixels)
    beside = np.flatnonzero(outside < _CLEAR)
    order = beside[np.argsort(chosen[beside], kind="stable")]
    found, counts = np.unique(chosen[order], return_counts=True)
    return _Drawn(found, counts, pixels.places[:, order], pixels.ink[order])


def _chosen(shapes: np.ndarray, pixels: _Pixels) -> tuple[np.ndarray, np.ndarray]:
    """[N] the piece whose ink is nearest to each pixel, and [N] pixels by which that lies outside it."""
    chosen, least = pixels.near[0], np.full(len(pixels.ink), np.inf, np.float32)
    for near in pixels.near:
        shape = np.take(shapes, near, axis=1, mode="clip")
        outside = _distances(pixels.places, shape)[0] - shape[4]
        chosen = np.where(outside < least, near, chosen)
        least = np.minimum(outside, least)
    return chosen, least


def _distances(places: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[N] distances of [2, N] places from pieces, [2, N] the way from there, and [N] where on them, 0..1."""
    edges, away = shapes[2:4], places - shapes[:2]
    dot = lambda one, other: one[0] * other[0] + one[1] * other[1]
    along = (dot(away, edges) / (dot(edges, edges) + _LEAST_SQUARE)).clip(0, 1)
    away -= along * edges
    return np.sqrt(dot(away, away) + _LEAST_SQUARE), away, along


def _equations(
    variables: np.ndarray, softness: float, pieces: _Pieces, drawn: _Drawn
) -> tuple[sparse.csc_array, np.ndarray, float]:
    """Normal equations of a step: a matrix [V, V], slopes [V], and by how much the edge shall be softer."""
    squares, slopes, softer = _sums(np.float32(softness), _shapes(variables, pieces), drawn)
    shares = pieces.shares[drawn.pieces]
    found, first = np.unique(pieces.cubic_of[drawn.pieces], return_index=True)
    columns, turned = pieces.columns[found], shares.transpose(0, 2, 1)
    blocks = np.add.reduceat(turned @ squares @ shares, first)
    hold = np.arange(len(variables))
    rows = np.concatenate([np.repeat(columns, 9, axis=1).ravel(), hold])
    places = rows, np.concatenate([np.tile(columns, 9).ravel(), hold])
    entries = np.concatenate([blocks.ravel(), np.full(len(hold), _HOLD)])
    normal = sparse.csc_array((entries, places), shape=(len(hold), len(hold)))
    total = np.bincount(
        columns.ravel(), np.add.reduceat(turned @ slopes[..., None], first).ravel(), len(variables)
    )
    turns = (pieces.bends @ variables).reshape(2, -1)
    # The sum of the bends' sizes, as least squares that are reweighted: a size is its square over itself.
    weights = np.tile(_BEND_WEIGHT / np.sqrt((turns**2).sum(0) + _SMOOTH), 2)
    total += pieces.bends.T @ (weights * turns.ravel())
    weighed = pieces.bends.copy()
    weighed.data *= np.repeat(weights, np.diff(weighed.indptr))
    return normal + pieces.bends.T @ weighed.tocsc(), total, softer


def _sums(softness: np.float32, shapes: np.ndarray, drawn: _Drawn) -> tuple[np.ndarray, np.ndarray, float]:
    """[P, 5, 5] and [P, 5] normal equations of each piece's own five numbers, and the step of softness."""
    shape = np.repeat(shapes[:, drawn.pieces], drawn.counts, axis=1)
    distance, away, along = _distances(drawn.places, shape)
    within, beyond = shape[4] - distance, -shape[4] - distance
    near, far = _sigmoid(within / softness), _sigmoid(beyond / softness)
    error = near - far - drawn.ink
    rise, fall = near * (1 - near) / softness, far * (1 - far) / softness
    push = (rise - fall) / distance * away
    slopes = np.stack([*push, *(along * push), rise + fall])
    # Σ |e| + 2 Σ e², as least squares that are reweighted.
    weight = 1 / np.maximum(np.abs(error), _LEAST_ERROR) + 2 * _SQUARE_WEIGHT
    weighted = weight * slopes
    firsts = drawn.counts.cumsum() - drawn.counts
    squares = np.empty((len(firsts), 5, 5), np.float32)
    for k in range(5):
        squares[:, k, k:] = np.add.reduceat(weighted[k] * slopes[k:], firsts, axis=1).T
        squares[:, k:, k] = squares[:, k, k:]
    soft = (fall * beyond - rise * within) / softness
    softer = -float((weight * soft * error).sum() / max((weight * soft**2).sum(), _LEAST_SQUARE))
    total = np.add.reduceat(weighted * error, firsts, axis=1).T
    return squares, total, min(max(softer, -_SOFTER), _SOFTER)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(np.minimum(-values, _MOST_EXPONENT)))


def _errors(
    variables: np.ndarray, softness: float, pieces: _Pieces, pixels: _Pixels
) -> tuple[np.ndarray, np.ndarray]:
    """[L] error of each line in the pixels that it is nearest to, and [L] the ink that it was to explain."""
    shapes = _shapes(variables, pieces)
    chosen, outside = _chosen(shapes, pixels)
    drawn = _sigmoid(-outside / softness) - _sigmoid(-(outside + 2 * shapes[4, chosen]) / softness)
    line = pieces.line_of[chosen]
    sums = lambda values: np.bincount(line, values, 1 + pieces.line_of[-1])
    return sums(np.abs(drawn - pixels.ink)), sums(np.maximum(drawn, pixels.ink))
