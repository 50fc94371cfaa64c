"""Drawings of random strokes, rendered on the device, with the flaws of hand, paper and scanner.

What hand, paper and scanner do to a drawing, for images that no pen model can match to the last pixel.

Ink runs thick and thin over the page, the page is bent a little, and half of the images pass through
28 x 28 pixels and back, as the images of most datasets have.

Endless pen drawings with their truth, rendered on the device by our own brush.

Strokes wander like writing: each keeps a direction that turns smoothly, hardly or all the way round; some
begin where the last one ended; one pen and one size a drawing. The images are then made as imperfect as
real ones (`data.imperfection`): a model that could match them to the last pixel would learn to be sure of
pixels that it cannot know.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

from dood_jax import geometry
from dood_jax.rendering import brushes, compositing
from dood_jax.rendering.source_grid import bilinear, through
from dood_jax.types import Array

_KNOTS = 6  # of a smooth field, along either side
_MAX_UNEVENNESS = 0.5  # standard deviation of the logarithm of ink, for the worst pen
_MAX_BEND = 0.016  # standard deviation of displacements, as a share of the image, for the worst page
_NATIVE_SIZE = 28


def scan_of(ink: Array, key: Array) -> Array:
    """[H, H] ink, which may exceed 1, -> [H, H] image in 0..1; consumes the key."""
    key_ink, key_page, key_resample = jax.random.split(key, 3)
    image = _bend(_uneven(ink, key_ink), key_page)
    soften = _through_native_size(len(ink))
    soft = jnp.clip(through(image, [soften, soften]), 0, 1)
    return jnp.where(jax.random.bernoulli(key_resample), soft, image)


def _uneven(ink: Array, key: Array) -> Array:
    """The ink of a pen that gives more in some places than in others, at most black."""
    key_level, key_worst, key_field = jax.random.split(key, 3)
    level = jax.random.uniform(key_level, minval=0.9, maxval=1.4)
    unevenness = _MAX_UNEVENNESS * jax.random.uniform(key_worst)
    return jnp.clip(level * jnp.exp(unevenness * _smooth(key_field, len(ink))) * ink, 0, 1)


def _bend(image: Array, key: Array) -> Array:
    """The image on a page that is not flat; blank outside."""
    key_worst, *key_fields = jax.random.split(key, 3)
    size = len(image)
    reach = _MAX_BEND * size * jax.random.uniform(key_worst)
    places = [
        place + reach * _smooth(key, size)
        for place, key in zip(jnp.indices((size, size)), key_fields, strict=True)
    ]
    return map_coordinates(image, places, order=1, mode="constant")


def _smooth(key: Array, size: int) -> Array:
    """[H, H] smooth field, at its knots standard normal."""
    spread = bilinear(_KNOTS, size)
    return through(jax.random.normal(key, (_KNOTS, _KNOTS)), [spread, spread])


def _through_native_size(size: int) -> np.ndarray:
    """[size, size] map of a line of pixels to 28 and back, bilinear and antialiased."""
    return bilinear(size, _NATIVE_SIZE) @ bilinear(_NATIVE_SIZE, size)


MAX_STROKES = 6
NUM_POINTS = 5
_CURVE_SAMPLES = 64  # of a stroke's image
_FRAMED_SAMPLES = 12  # of a stroke, to find how far a drawing reaches
_COUNT_ODDS = np.array([0.12, 0.20, 0.22, 0.18, 0.15, 0.13], np.float32)  # of 1..6 strokes
_KIND_ODDS = np.array([0.4, 0.4, 0.2], np.float32)  # of strokes that go straight on, curve, close


class SyntheticDrawing(NamedTuple):
    """An image and how it was drawn."""

    image: Array  # [H, W] 0..1
    presence: Array  # [T] bits
    control_points: Array  # [T, P, 2] on the canvas, unit square
    ink_width: Array  # []
    ink_slope: Array  # []


def random_drawing(key: Array, image_size: int) -> SyntheticDrawing:
    """One drawing of 1 to 6 strokes; consumes the key."""
    keys = jax.random.split(key, 5)
    key_count, key_strokes, key_frame, key_pen, key_image = keys
    count = jax.random.choice(key_count, jnp.arange(1, MAX_STROKES + 1), p=_COUNT_ODDS)
    presence = (jnp.arange(MAX_STROKES) < count).astype(jnp.float32)
    points = _frame(_wander(key_strokes), presence, key_frame)
    key_width, key_slope = jax.random.split(key_pen)
    ink_width = jax.random.uniform(key_width, minval=0.009, maxval=0.028)
    ink_slope = jax.random.uniform(key_slope, minval=0.12, maxval=0.6)
    drawn = ink_of(points, presence, ink_width, ink_slope, image_size)
    image = scan_of(drawn, key_image)
    return SyntheticDrawing(image, presence, points, ink_width, ink_slope)


def _wander(key: Array) -> Array:
    """[T, P, 2] control points of strokes that turn smoothly, some starting at the end of the last."""
    keys = iter(jax.random.split(key, 9))
    shape = (MAX_STROKES, NUM_POINTS - 1)
    one_each = (MAX_STROKES, 1)
    kind = jax.random.choice(next(keys), len(_KIND_ODDS), one_each, p=_KIND_ODDS)
    bend = jax.random.normal(next(keys), one_each)
    bend = jnp.choose(kind, [0.15 * bend, bend, jnp.sign(bend) * (1.4 + 0.2 * jnp.abs(bend))], mode="clip")
    turns = bend + jnp.where(kind == 2, 0.15, 0.25) * jax.random.normal(next(keys), shape)
    angle = jax.random.uniform(next(keys), one_each, maxval=2 * jnp.pi) + jnp.cumsum(turns, axis=1)
    size = jax.random.normal(next(keys), one_each)
    length = jnp.exp(-1.4 + 0.6 * size + 0.2 * jax.random.normal(next(keys), shape))
    steps = length[..., None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    start = jax.random.uniform(next(keys), (MAX_STROKES, 1, 2), minval=0.12, maxval=0.88)
    points = jnp.concatenate([start, start + jnp.cumsum(steps, axis=1)], axis=1)
    joined = jax.random.bernoulli(next(keys), 0.4, (MAX_STROKES,))
    shifts = [jnp.zeros((1, 2))]
    for t in range(1, MAX_STROKES):
        to_last_end = points[t - 1, -1:] + shifts[-1] - points[t, :1]
        shifts.append(jnp.where(joined[t], to_last_end, 0))
    return points + jnp.stack(shifts)


def _frame(points: Array, presence: Array, key: Array) -> Array:
    """Scales a drawing to a random share of the image, at most threefold, and puts it near the middle."""
    key_extent, key_place = jax.random.split(key)
    drawn = presence[:, None, None] > 0
    curves = jax.vmap(lambda stroke: geometry.bezier_curve(stroke, _FRAMED_SAMPLES))(points)
    low = jnp.where(drawn, curves, jnp.inf).min((0, 1))
    high = jnp.where(drawn, curves, -jnp.inf).max((0, 1))
    extent = jax.random.uniform(key_extent, minval=0.45, maxval=1.0)
    scale = jnp.minimum(3, extent / (high - low).max())
    middle = 0.49 + 0.1 * jax.random.uniform(key_place, (2,), minval=-0.5, maxval=0.5)
    return (points - ((low + high) / 2)[None, None]) * scale + middle[None, None]


def ink_of(points: Array, presence: Array, ink_width: Array, ink_slope: Array, image_size: int) -> Array:
    """[H, W] ink of the [T, P, 2] strokes that are there, each at most 1, added up."""

    def ink(stroke):
        curve = geometry.bezier_curve(stroke, _CURVE_SAMPLES)
        near = brushes.soft_distance(curve, ink_width, (image_size, image_size))
        return compositing.squash_to_one(near, ink_slope)

    return (jax.vmap(ink)(points) * presence[:, None, None]).sum(0)
