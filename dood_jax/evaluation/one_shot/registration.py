"""Deformable registration: how well the strokes of one character deform onto those of another.

Drawings are the segments of `strokes.py`. A token of a character is its drawing displaced by a Gaussian
process along its strokes. Registration is coarse to fine: segments find their counterparts softly, within a
length scale that shrinks, and the displacement is the most probable one given these counterparts, which is a
ridge regression in closed form. There is no step size, and no image is rendered.

The energy of a support is a weighted sum of the distances that are left after registration, of the cost of
the deformation, and of the differences in place and size. Minus the energy is a log-probability up to a
constant. Equations are in method.md 10.9.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import log_softmax, logsumexp

from dood_jax.evaluation.one_shot.strokes import Segments
from dood_jax.types import Array

_MIN_VARIANCE = 1e-6  # of a direction of displacement, before it is divided by
_LOG_WEIGHT_RANGE = (-5.0, 3.0)  # of the energy's terms, each divided by its standard deviation


class DeformationPrior(NamedTuple):
    """Standard deviations and length scales of displacements, in units of a drawing's size.

    A displacement is the sum of a shift and a linear map of the whole drawing, a field that is smooth over
    the page, a shift and a linear map of each stroke, and jitter along each stroke.
    """

    shift: float = 0.3
    linear: float = 0.15
    smooth: float = 0.3
    smooth_length: float = 0.7  # on the page
    stroke_shift: float = 0.08
    stroke_linear: float = 0.15
    jitter: float = 0.1
    jitter_length: float = 0.3  # along the stroke


class Solver(NamedTuple):
    """How one drawing is registered onto another."""

    length_scales: tuple[float, ...] = tuple(np.geomspace(0.4, 0.15, 14).tolist())  # annealed, one a step
    start_angles: tuple[float, ...] = (0.0, 0.4, -0.4)  # radians; the registration with the best start counts
    angle_distance: float = 0.15  # two segments at a right angle are twice this distance apart
    outlier_penalty: float = 0.1  # how fast the pull of a counterpart falls with its scaled squared distance
    independent_fraction: float = 0.2  # of a segment's evidence that does not repeat that of its neighbours
    saturation: float = 0.7  # distance at which residuals level off
    start_weights: tuple[float, ...] = (80.0, 170.0, 0.0, 0.0, 0.5)  # of residuals, to compare the starts


class Registration(NamedTuple):
    """Everything that decides how two drawings are compared."""

    prior: DeformationPrior = DeformationPrior()
    solver: Solver = Solver()
    rank: int = 28  # dimensions of the displacements


class Deformable(NamedTuple):
    """A drawing of N segments that can be displaced."""

    ends: Array  # [N, 2, 2] of its segments
    weight: Array  # [N]
    basis: Array  # [N, 2, R] displacements of the ends


class Residuals(NamedTuple):
    """What is left between a registered drawing and its target, and what it cost; all [...], 0 at best."""

    distance_to_target: Array  # mean saturated squared distance from the drawing's segments to the target
    distance_from_target: Array  # the same from the target's segments to the drawing
    angle_to_target: Array  # mean 2 - 2 cos of twice the angle between segments that meet
    angle_from_target: Array
    deformation: Array  # squared norm of the factors, twice their negative log-probability up to a constant


class EnergyTerms(NamedTuple):
    """The terms of the energy, each [..., Q, S] for Q queries and S supports; or one weight for each."""

    distance_to_target: np.ndarray | float
    distance_from_target: np.ndarray | float
    angle_to_target: np.ndarray | float
    angle_from_target: np.ndarray | float
    deformation: np.ndarray | float
    shift: np.ndarray | float  # squared distance of the drawings' centres, in image sides
    size: np.ndarray | float  # squared difference of log sizes


def register_all(supports: Segments, queries: Segments, how: Registration) -> tuple[EnergyTerms, EnergyTerms]:
    """[Q, S] terms of S supports registered onto Q queries, and of the queries registered onto supports."""
    support_drawings, query_drawings = deformable(supports, how), deformable(queries, how)
    forward = jax.device_get(register(support_drawings, query_drawings, how.solver))
    backward = jax.device_get(register(query_drawings, support_drawings, how.solver))
    shift, size = place_and_size_terms(supports, queries)
    backward = Residuals(*(term.T for term in backward))
    forward_terms, backward_terms = (
        EnergyTerms(**residuals._asdict(), shift=shift, size=size) for residuals in (forward, backward)
    )
    return forward_terms, backward_terms


# ---- The prior of displacements ----


def deformable(segments: Segments, how: Registration) -> Deformable:
    """N drawings, stacked, with the displacements that are likely for each."""
    drawings = (Segments(*(values[row] for values in segments)) for row in range(len(segments.ends)))
    bases = [deformation_basis(drawing, how.prior, how.rank) for drawing in drawings]
    return Deformable(*map(jnp.asarray, (segments.ends, segments.weight, np.stack(bases))))


def deformation_basis(segments: Segments, prior: DeformationPrior, rank: int) -> np.ndarray:
    """float32 [N, 2, R] displacements of the ends of a drawing's N segments, the R most likely ones.

    With independent standard normal factors [R] for x and for y, `basis @ factors` has the covariance of the
    prior as nearly as R dimensions can (Nyström's approximation from the middles of the segments).
    """
    middles = segments.ends.mean(1)
    covariance = _covariance(segments, prior, middles, segments.stroke, segments.arc_length.mean(1))
    variances, directions = np.linalg.eigh(covariance)
    variances = np.maximum(variances[::-1][:rank], _MIN_VARIANCE)
    directions = directions[:, ::-1][:, :rank]
    ends, strokes = segments.ends.reshape(-1, 2), segments.stroke.repeat(2)
    of_ends = _covariance(segments, prior, ends, strokes, segments.arc_length.reshape(-1))
    return (of_ends @ directions / np.sqrt(variances)).reshape(len(middles), 2, -1).astype(np.float32)


def _covariance(
    segments: Segments,
    prior: DeformationPrior,
    points: np.ndarray,
    stroke: np.ndarray,
    arc_length: np.ndarray,
) -> np.ndarray:
    """[M, N] covariance of displacements at M points with those at the middles of the N segments.

    `stroke` and `arc_length` are [M]: the stroke that each point lies on, and where.
    """
    middles, middle_arcs = segments.ends.mean(1), segments.arc_length.mean(1)
    same_stroke = stroke[:, None] == segments.stroke[None]
    centres = _stroke_centres(middles, segments.stroke)
    square = ((points[:, None] - middles[None]) ** 2).sum(-1)
    in_stroke = (points - centres[stroke]) @ (middles - centres[segments.stroke]).T
    whole = prior.shift**2 + prior.linear**2 * points @ middles.T
    smooth = prior.smooth**2 * np.exp(-square / (2 * prior.smooth_length**2))
    arc_square = (arc_length[:, None] - middle_arcs[None]) ** 2
    jitter = prior.jitter**2 * np.exp(-arc_square / (2 * prior.jitter_length**2))
    of_stroke = prior.stroke_shift**2 + prior.stroke_linear**2 * in_stroke + jitter
    return whole + smooth + same_stroke * of_stroke


def _stroke_centres(middles: np.ndarray, stroke: np.ndarray) -> np.ndarray:
    """[T, 2] mean of the middles of each stroke's segments."""
    counts = np.maximum(np.bincount(stroke), 1)
    return np.stack([np.bincount(stroke, axis) / counts for axis in middles.T], axis=1)


# ---- Registration of one drawing onto another ----


@functools.partial(jax.jit, static_argnums=2)
def register(drawings: Deformable, targets: Deformable, solver: Solver) -> Residuals:
    """Registers each of A drawings onto each of B targets; the residuals are [B, A]."""

    def onto(target):
        return jax.vmap(lambda drawing: _register(drawing, target, solver))(drawings)

    return lax.map(onto, targets)


def _register(drawing: Deformable, target: Deformable, solver: Solver) -> Residuals:
    """The residuals of the best of the registrations from all starting angles."""
    start = lambda angle: _register_from(angle, drawing, target, solver)
    found = jax.vmap(start)(jnp.asarray(solver.start_angles))
    total = sum(weight * term for weight, term in zip(solver.start_weights, found, strict=True))
    best = jnp.argmin(jnp.asarray(total))
    return jax.tree_util.tree_map(lambda term: term[best], found)


def _register_from(angle: ArrayLike, drawing: Deformable, target: Deformable, solver: Solver) -> Residuals:
    """The residuals of the registration that begins with the drawing rotated by an angle in radians."""
    middles, basis = drawing.ends.mean(1), drawing.basis.mean(1)
    goals, unit = target.ends.mean(1), jnp.eye(basis.shape[1])

    def step(ends, length_scale):
        """Assigns segments to counterparts, then solves for the factors of the displacement."""
        square, angle_term = _pairwise(ends, target.ends)
        scaled = (square + solver.angle_distance**2 * angle_term) / (2 * length_scale**2)
        to_target = jax.nn.softmax(-scaled, 1) * drawing.weight[:, None]
        from_target = jax.nn.softmax(-scaled, 0) * target.weight[None]
        pull = (to_target + from_target) / (1 + solver.outlier_penalty * scaled)
        # Minimises precision/2 Σ pull |middle + basis c - goal|² + |c|²/2; x and y share the matrix.
        pull_sum, precision = pull.sum(1), solver.independent_fraction / length_scale**2
        left = basis.T * pull_sum @ basis * precision + unit
        right = basis.T @ (pull @ goals - pull_sum[:, None] * middles) * precision
        factors = jnp.linalg.solve(left, right)
        return _displaced(drawing, factors), factors

    cos, sin = jnp.cos(angle), jnp.sin(angle)
    rotated = drawing.ends @ jnp.stack([jnp.stack([cos, sin]), jnp.stack([-sin, cos])])
    ends, factors = lax.scan(step, rotated, jnp.asarray(solver.length_scales))
    square, angle_term = _pairwise(ends, target.ends)
    total = square + solver.angle_distance**2 * angle_term
    pairs, saturation = (square, angle_term), solver.saturation
    to_target = _mean_residuals(pairs, total.argmin(1)[:, None], 1, drawing.weight, saturation)
    from_target = _mean_residuals(pairs, total.argmin(0)[None], 0, target.weight, saturation)
    deformation = (factors[-1] ** 2).sum()
    return Residuals(to_target[0], from_target[0], to_target[1], from_target[1], deformation)


def _displaced(drawing: Deformable, factors: Array) -> Array:
    """[N, 2, 2] ends of the segments, displaced by [R, 2] factors."""
    return drawing.ends + jnp.einsum("ner,rx->nex", drawing.basis, factors)


def _pairwise(ends: Array, others: Array) -> tuple[Array, Array]:
    """[N, M] squared distances of middles, and 2 - 2 cos of twice the angles between segments."""
    one, other = ends.mean(1), others.mean(1)
    square = (one**2).sum(1)[:, None] + (other**2).sum(1)[None] - 2 * one @ other.T
    return jnp.maximum(square, 0), 2 - 2 * _double_angles(ends) @ _double_angles(others).T


def _double_angles(ends: Array) -> Array:
    """[N, 2] unit vectors at twice the angle of segments: the same for both directions along a segment."""
    x, y = (ends[:, 1] - ends[:, 0]).T
    square = x**2 + y**2 + 1e-8
    return jnp.stack([x**2 - y**2, 2 * x * y], 1) / square[:, None]


def _mean_residuals(
    pairs: tuple[Array, Array], nearest: Array, axis: int, weight: Array, saturation: float
) -> tuple[Array, Array]:
    """[] weighted means of the saturated squared distance and of the angle term to nearest counterparts.

    `pairs` are the [N, M] arrays of `_pairwise`, `nearest` the rows of the counterparts along `axis`.
    """
    square, angle = (jnp.take_along_axis(values, nearest, axis).reshape(-1) for values in pairs)
    saturated = saturation**2 * (1 - jnp.exp(-square / saturation**2))
    return (saturated * weight).mean(), (angle * weight).mean()


# ---- From terms to energies ----


def place_and_size_terms(supports: Segments, queries: Segments) -> tuple[np.ndarray, np.ndarray]:
    """[Q, S] squared distances of centres, and squared differences of log sizes."""
    shift = ((queries.centre[:, None] - supports.centre[None]) ** 2).sum(-1)
    return shift, (np.log(queries.size)[:, None] - np.log(supports.size)[None]) ** 2


def sum_of_directions(forward: EnergyTerms, backward: EnergyTerms) -> EnergyTerms:
    """The terms of both directions added; place and size, which have no direction, count once."""
    total = EnergyTerms(*(one + other for one, other in zip(forward, backward, strict=True)))
    return total._replace(shift=forward.shift, size=forward.size)


def energy(terms: EnergyTerms, weights: EnergyTerms) -> np.ndarray:
    """[..., Q, S] weighted sum of the terms; the support with the least is the most probable."""
    return np.asarray(sum(weight * term for weight, term in zip(weights, terms, strict=True)))


def average_energy(energies: np.ndarray) -> np.ndarray:
    """[K, ...] energies by K equally probable ways to draw -> [...] -log mean exp(-E)."""
    return np.log(len(energies)) - logsumexp(-energies, axis=0)


def calibrate(
    terms: EnergyTerms, answers: np.ndarray, used: tuple[str, ...] = EnergyTerms._fields
) -> EnergyTerms:
    """The weights under which [..., Q] right answers are most probable.

    Give it episodes on which nothing is measured afterwards. Terms that are not `used` have weight 0.
    """
    chosen = [getattr(terms, name) for name in used]
    scales = np.array([max(float(np.std(term)), 1e-12) for term in chosen])
    columns = np.stack(chosen, -1) / scales

    def loss(log_weights: np.ndarray) -> float:
        log_probs = log_softmax(-columns @ np.exp(log_weights), axis=-1)
        return -float(np.take_along_axis(log_probs, answers[..., None], -1).mean())

    start, limits = np.zeros(len(chosen)), [_LOG_WEIGHT_RANGE] * len(chosen)
    found = np.exp(minimize(loss, start, method="L-BFGS-B", bounds=limits).x) / scales
    weights = dict(zip(used, found.tolist(), strict=True))
    return EnergyTerms(*(weights.get(name, 0.0) for name in EnergyTerms._fields))
