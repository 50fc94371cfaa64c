"""Deformable registration: how well the strokes of one character bend onto those of another.

Drawings as short straight segments of even length, in a frame without place and size (method.md 10.9).

From a type to a token by a Gaussian process of displacements along its strokes (method.md 10.9).

A displacement is the sum of a shift and a linear map of the whole drawing, of a field that is smooth over the
page, of a shift and a linear map of each stroke, and of jitter along a stroke.

From misfits to a choice among supports, and the weights of that choice (method.md 10.9).

The energy of a support is a weighted sum of what is left of the query after bending, of what the bending
cost, and of how far place and size are apart; minus it is a log-probability up to a constant.

Bending one drawing onto another, coarse to fine (method.md 10.9).

Segments find their counterparts softly, within a reach that shrinks; the displacement is the most likely one
given these, which is a ridge regression. There is no step size, and no image is drawn.

Two sets of drawings compared, each bent onto each (method.md 10.9).
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from dood_jax import geometry
from dood_jax.types import Array, Sketch

_SAMPLES = 64  # of a curve, before it is cut into even segments
_LEAST_LENGTH = 0.02  # of a stroke, as a share of the image: a dot counts as so much
_LEAST_SIZE = 0.01  # of a drawing


class Segments(NamedTuple):
    """N segments of one drawing, or of several with leading axes."""

    ends: np.ndarray  # float32 [N, 2, 2] centred; the middles lie at a root mean square distance of 1
    stroke: np.ndarray  # int32 [N] the stroke that each belongs to
    place: np.ndarray  # float32 [N, 2] of the ends along their stroke, in the same unit
    weight: np.ndarray  # float32 [N] share of the drawing's length, 1 on average
    centre: np.ndarray  # float32 [2] in the image's unit square
    size: np.ndarray  # float32 [] of the unit, as a share of the image


def of_sketch(sketch: Sketch, frames: np.ndarray, count: int) -> Segments:
    """The segments of N drawings, stacked.

    Args:
      sketch: the drawings; one without strokes is a dot in the middle of its image.
      frames: [N, 3] left, top and side of the window that each was drawn in, in the image's unit square.
      count: segments of each.
    """
    found = []
    for row, (left, top, side) in enumerate(frames):
        drawn = sketch.strokes.presence[row] > 0
        layouts, points = sketch.strokes.layout[row][drawn], sketch.strokes.control_points[row][drawn]
        curves = _curves(layouts, points) * side + np.float32([left, top])
        found.append(of_curves(list(curves), count))
    return stack(found)


def stack(drawings: Sequence[Segments]) -> Segments:
    """Several drawings along a new first axis."""
    return Segments(*(np.stack(values) for values in zip(*drawings, strict=True)))


def of_curves(curves: Sequence[np.ndarray], count: int) -> Segments:
    """Cuts [points, 2] polylines of the unit square into `count` segments, each stroke by its length.

    No polylines are a dot in the middle.
    """
    curves = curves or [np.full((2, 2), 0.5)]
    along = [np.append(0, np.hypot(*np.diff(curve, axis=0).T).cumsum()) for curve in curves]
    lengths = np.maximum([places[-1] for places in along], _LEAST_LENGTH)
    shares = _shares(lengths, count)
    ends, places, strokes = [], [], []
    for which in np.flatnonzero(shares):
        cuts = np.linspace(0, along[which][-1], shares[which] + 1)
        points = np.stack([np.interp(cuts, along[which], axis) for axis in curves[which].T], axis=1)
        ends.append(np.stack([points[:-1], points[1:]], axis=1))
        places.append(np.stack([cuts[:-1], cuts[1:]], axis=1))
        strokes.append(np.full(shares[which], which, np.int32))
    weight = np.repeat(lengths[shares > 0] / shares[shares > 0], shares[shares > 0])
    return _normalised(np.concatenate(ends), np.concatenate(strokes), np.concatenate(places), weight)


def _curves(layouts: np.ndarray, control_points: np.ndarray) -> np.ndarray:
    """[T, S, 2] points on the unit square along strokes of [T, 4] layouts and [T, P, 2] points."""
    shift, scale, angle = layouts[:, None, :2], layouts[:, 2], layouts[:, 3]
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.stack([np.stack([c, s], -1), np.stack([-s, c], -1)], -2)
    placed = ((2 * control_points - 1) @ turn + shift + 1) / 2
    return geometry.bernstein_basis(control_points.shape[1], _SAMPLES) @ placed


def _shares(lengths: np.ndarray, count: int) -> np.ndarray:
    """[T] whole numbers that add up to `count`, as lengths say, 1 at least for the `count` longest."""
    kept = np.argsort(-lengths, kind="stable")[:count]
    exact = lengths[kept] / lengths[kept].sum() * (count - len(kept))
    whole = exact.astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: count - len(kept) - whole.sum()]] += 1
    shares = np.zeros(len(lengths), int)
    shares[kept] = 1 + whole
    return shares


def _normalised(ends: np.ndarray, stroke: np.ndarray, place: np.ndarray, weight: np.ndarray) -> Segments:
    middles, share = ends.mean(1), weight / weight.sum()
    centre = share @ middles
    size = max(np.sqrt((share @ (middles - centre) ** 2).sum()), _LEAST_SIZE)
    return Segments(
        ((ends - centre) / size).astype(np.float32),
        stroke,
        (place / size).astype(np.float32),
        (weight / weight.mean()).astype(np.float32),
        centre.astype(np.float32),
        np.float32(size),
    )


class FieldPrior(NamedTuple):
    """Standard deviations and reaches, in units of a drawing's size."""

    shift: float = 0.3
    linear: float = 0.15
    smooth: float = 0.3
    smooth_reach: float = 0.7
    stroke_shift: float = 0.08
    stroke_linear: float = 0.15
    jitter: float = 0.1
    jitter_reach: float = 0.3  # along the stroke


_LEAST_VARIANCE = 1e-6


def basis(segments: Segments, prior: FieldPrior, rank: int) -> np.ndarray:
    """float32 [N, 2, R] displacements of the ends of a drawing's segments, R likely ones.

    With standard normal factors [R] for x and others for y, basis @ factors has the covariance of the prior
    as nearly as R dimensions can.
    """
    middles = segments.ends.mean(1)
    covariance = _covariance(segments, prior, middles, segments.stroke, segments.place.mean(1))
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances[::-1][:rank], _LEAST_VARIANCE)
    directions = directions[:, ::-1][:, :rank]
    ends = segments.ends.reshape(-1, 2)
    across = _covariance(segments, prior, ends, segments.stroke.repeat(2), segments.place.reshape(-1))
    return (across @ directions / np.sqrt(variances)).reshape(len(middles), 2, -1).astype(np.float32)


def _covariance(
    segments: Segments, prior: FieldPrior, points: np.ndarray, stroke: np.ndarray, place: np.ndarray
) -> np.ndarray:
    """[M, N] of displacements at M points, on their strokes, with those at the middles of the segments."""
    middles, along = segments.ends.mean(1), segments.place.mean(1)
    same = stroke[:, None] == segments.stroke[None]
    centres = _centres(middles, segments.stroke)
    apart = ((points[:, None] - middles[None]) ** 2).sum(-1)
    in_stroke = (points - centres[stroke]) @ (middles - centres[segments.stroke]).T
    whole = prior.shift**2 + prior.linear**2 * points @ middles.T
    smooth = prior.smooth**2 * np.exp(-apart / (2 * prior.smooth_reach**2))
    jitter = np.exp(-((place[:, None] - along[None]) ** 2) / (2 * prior.jitter_reach**2))
    of_stroke = prior.stroke_shift**2 + prior.stroke_linear**2 * in_stroke + prior.jitter**2 * jitter
    return whole + smooth + same * of_stroke


def _centres(middles: np.ndarray, stroke: np.ndarray) -> np.ndarray:
    """[T, 2] mean middle of each stroke."""
    counts = np.maximum(np.bincount(stroke), 1)
    return np.stack([np.bincount(stroke, axis) / counts for axis in middles.T], axis=1)


class Evidence(NamedTuple):
    """Each [..., Q, S], 0 where a support and a query agree; or their weights."""

    ahead: np.ndarray | float
    back: np.ndarray | float
    turned_ahead: np.ndarray | float
    turned_back: np.ndarray | float
    bending: np.ndarray | float
    shift: np.ndarray | float  # squared distance of centres, in images
    size: np.ndarray | float  # squared difference of log sizes


_LOG_WEIGHT_RANGE = (-5.0, 3.0)  # of terms divided by their deviation


def place_and_size(supports: Segments, queries: Segments) -> tuple[np.ndarray, np.ndarray]:
    """[Q, S] squared distances of centres, and squared differences of log sizes."""
    shift = ((queries.centre[:, None] - supports.centre[None]) ** 2).sum(-1)
    return shift, (np.log(queries.size)[:, None] - np.log(supports.size)[None]) ** 2


def energy(evidence: Evidence, weights: Evidence) -> np.ndarray:
    """[..., Q, S] weighted sum; the least is the likeliest."""
    return sum(weight * term for weight, term in zip(weights, evidence, strict=True))


def over_ways(energies: np.ndarray) -> np.ndarray:
    """[K, ...] energies by K ways to draw, each as likely as another -> [...] -log mean exp(-E)."""
    return np.log(len(energies)) - logsumexp(-energies, axis=0)


def calibrate(evidence: Evidence, answers: np.ndarray, used: tuple[str, ...] = Evidence._fields) -> Evidence:
    """The weights under which [..., Q] right answers are most probable; terms that are not `used` weigh 0.

    Give it episodes that are not to be measured.
    """
    terms = [getattr(evidence, name) for name in used]
    scales = np.array([max(float(np.std(term)), 1e-12) for term in terms])
    columns = np.stack(terms, -1) / scales

    def loss(log_weights: np.ndarray) -> float:
        log_probs = log_softmax(-columns @ np.exp(log_weights), axis=-1)
        return -float(np.take_along_axis(log_probs, answers[..., None], -1).mean())

    start, bounds = np.zeros(len(terms)), [_LOG_WEIGHT_RANGE] * len(terms)
    found = np.exp(minimize(loss, start, method="L-BFGS-B", bounds=bounds).x) / scales
    chosen = dict(zip(used, found.tolist(), strict=True))
    return Evidence(*(chosen.get(name, 0.0) for name in Evidence._fields))


class Shape(NamedTuple):
    """What is compared of a drawing."""

    ends: Array  # [N, 2, 2] of segments
    weight: Array  # [N]
    basis: Array  # [N, 2, R] of its displacements


class Misfit(NamedTuple):
    """What is left between a bent drawing and another, and what the bending cost; all [...], 0 at best."""

    ahead: Array  # mean squared distance of the bent drawing's segments from the other's, bounded
    back: Array  # of the other's from the bent drawing's
    turned_ahead: Array  # 2 - 2 cos of twice the angle between segments that meet, on average
    turned_back: Array
    bending: Array  # squared length of the factors


class Fit(NamedTuple):
    """How one drawing is bent onto another."""

    reaches: tuple[float, ...] = tuple(np.geomspace(0.4, 0.15, 14).tolist())  # of the search, shrinking
    starts: tuple[float, ...] = (0.0, 0.4, -0.4)  # angles in radians, of which the best fit is kept
    turn: float = 0.15  # a right angle between segments counts as twice this distance
    doubt: float = 0.1  # how much less a far counterpart counts
    share: float = 0.2  # of a segment's evidence that is no repetition of its neighbour's
    bound: float = 0.7  # distances are told apart up to about here
    rough: Misfit = Misfit(80.0, 170.0, 0.0, 0.0, 0.5)  # weights by which the best start is known


@functools.partial(jax.jit, static_argnums=2)
def misfits(shapes: Shape, others: Shape, fit: Fit) -> Misfit:
    """Each of A shapes bent onto each of B others: [B, A] misfits."""

    def onto(other):
        return jax.vmap(lambda shape: _bent(shape, other, fit))(shapes)

    return lax.map(onto, others)


def _bent(shape: Shape, other: Shape, fit: Fit) -> Misfit:
    """The best of the fits from all starts."""
    found = jax.vmap(lambda angle: _bent_from(angle, shape, other, fit))(jnp.asarray(fit.starts))
    best = sum(weight * term for weight, term in zip(fit.rough, found, strict=True)).argmin()
    return jax.tree_util.tree_map(lambda term: term[best], found)


def _bent_from(angle: Array, shape: Shape, other: Shape, fit: Fit) -> Misfit:
    """The fit that begins with the shape turned by an angle."""
    middles, basis = shape.ends.mean(1), shape.basis.mean(1)
    goals, unit = other.ends.mean(1), jnp.eye(basis.shape[1])

    def step(ends, reach):
        square, turned = _apart(ends, other.ends)
        far = (square + fit.turn**2 * turned) / (2 * reach**2)
        ahead = jax.nn.softmax(-far, 1) * shape.weight[:, None]
        back = jax.nn.softmax(-far, 0) * other.weight[None]
        pull = (ahead + back) / (1 + fit.doubt * far)
        weight, precision = pull.sum(1), fit.share / reach**2
        left = basis.T * weight @ basis * precision + unit
        right = basis.T @ (pull @ goals - weight[:, None] * middles) * precision
        factors = jnp.linalg.solve(left, right)
        return _moved(shape, factors), factors

    c, s = jnp.cos(angle), jnp.sin(angle)
    start = shape.ends @ jnp.stack([jnp.stack([c, s]), jnp.stack([-s, c])])
    ends, factors = lax.scan(step, start, jnp.asarray(fit.reaches))
    square, turned = _apart(ends, other.ends)
    far = square + fit.turn**2 * turned
    ahead = _meeting(square, turned, far.argmin(1)[:, None], 1, shape.weight, fit.bound)
    back = _meeting(square, turned, far.argmin(0)[None], 0, other.weight, fit.bound)
    return Misfit(ahead[0], back[0], ahead[1], back[1], (factors[-1] ** 2).sum())


def _moved(shape: Shape, factors: Array) -> Array:
    return shape.ends + jnp.einsum("ner,rx->nex", shape.basis, factors)


def _apart(ends: Array, others: Array) -> tuple[Array, Array]:
    """[N, M] squared distance of middles, and 2 - 2 cos of twice the angle between segments."""
    one, other = ends.mean(1), others.mean(1)
    square = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    return jnp.maximum(square, 0), 2 - 2 * _headings(ends) @ _headings(others).T


def _headings(ends: Array) -> Array:
    """[N, 2] unit vectors at twice the angle of segments, alike for both directions along them."""
    x, y = (ends[:, 1] - ends[:, 0]).T
    square = x**2 + y**2 + 1e-8
    return jnp.stack([x**2 - y**2, 2 * x * y], 1) / square[:, None]


def _meeting(
    square: Array, turned: Array, nearest: Array, axis: int, weight: Array, bound: float
) -> tuple[Array, Array]:
    """[] mean bounded square and turn of segments against their nearest counterparts."""
    square, turned = (jnp.take_along_axis(values, nearest, axis).reshape(-1) for values in (square, turned))
    bounded = bound**2 * (1 - jnp.exp(-square / bound**2))
    return (bounded * weight).mean(), (turned * weight).mean()


class Settings(NamedTuple):
    """How drawings are compared."""

    prior: FieldPrior = FieldPrior()
    fit: Fit = Fit()
    rank: int = 28  # of the displacements


def shapes(segments: Segments, settings: Settings) -> Shape:
    """What is compared of N drawings, stacked."""
    each = (Segments(*(values[row] for values in segments)) for row in range(len(segments.ends)))
    bases = [basis(one, settings.prior, settings.rank) for one in each]
    return Shape(segments.ends, segments.weight, np.stack(bases))


def compare(supports: Segments, queries: Segments, settings: Settings) -> tuple[Evidence, Evidence]:
    """[Q, S] evidence of supports bent onto queries, and of queries bent onto supports."""
    support_shapes, query_shapes = shapes(supports, settings), shapes(queries, settings)
    forward = jax.device_get(misfits(support_shapes, query_shapes, settings.fit))
    backward = jax.device_get(misfits(query_shapes, support_shapes, settings.fit))
    apart = place_and_size(supports, queries)
    return Evidence(*forward, *apart), Evidence(*(term.T for term in backward), *apart)
