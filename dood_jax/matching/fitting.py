"""Bending one drawing onto another, coarse to fine (method.md 10.9).

Segments find their counterparts softly, within a reach that shrinks; the displacement is the most likely one
given these, which is a ridge regression. There is no step size, and no picture is drawn.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from dood_jax.types import Array


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
