"""Random pen drawings with their strokes, rendered on the device with the flaws of hand, paper and scanner.

Strokes wander as in writing. Each keeps a direction that turns smoothly, hardly at all or all the way round;
some begin where the last one ended; a drawing has one brush and one size.

The images are then made as imperfect as real ones: ink runs thick and thin over the page, the page is bent a
little, and half of the images pass through 28 x 28 pixels and back, as the images of most datasets have. A
model that could match them to the last pixel would learn to be sure of pixels that it cannot know.
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

MAX_STROKES = 6
NUM_POINTS = 5  # control points of a stroke
_COUNT_PROBS = np.array([0.12, 0.20, 0.22, 0.18, 0.15, 0.13], np.float32)  # of 1..6 strokes
_KIND_PROBS = np.array([0.4, 0.4, 0.2], np.float32)  # of strokes that go straight on, curve, or close
_CLOSING = 2  # the kind of strokes that turn all the way round
_CURVE_SAMPLES = 64  # of a stroke whose ink is drawn
_FRAMING_SAMPLES = 12  # of a stroke whose extent is measured

_SOURCE_SIZE = 28  # pixels a side through which half of the images pass
_KNOTS = 6  # of a smooth random field, along either side
_MAX_UNEVENNESS = 0.5  # standard deviation of the logarithm of ink, for the worst brush
_MAX_BEND = 0.016  # standard deviation of displacements, as a fraction of the image, for the worst page


class SyntheticDrawing(NamedTuple):
    """An image and how it was drawn."""

    image: Array  # [H, W] 0..1
    presence: Array  # [T] bits
    control_points: Array  # [T, P, 2] on the canvas, unit square
    ink_width: Array  # []
    ink_slope: Array  # []


def random_drawing(key: Array, image_size: int) -> SyntheticDrawing:
    """One drawing of 1 to 6 strokes; consumes the key."""
    key_count, key_strokes, key_frame, key_brush, key_image = jax.random.split(key, 5)
    count = jax.random.choice(key_count, jnp.arange(1, MAX_STROKES + 1), p=_COUNT_PROBS)
    presence = (jnp.arange(MAX_STROKES) < count).astype(jnp.float32)
    points = _framed(_wandering_strokes(key_strokes), presence, key_frame)
    key_width, key_slope = jax.random.split(key_brush)
    ink_width = jax.random.uniform(key_width, minval=0.009, maxval=0.028)
    ink_slope = jax.random.uniform(key_slope, minval=0.12, maxval=0.6)
    ink = ink_of(points, presence, ink_width, ink_slope, image_size)
    return SyntheticDrawing(scanned(ink, key_image), presence, points, ink_width, ink_slope)


def _wandering_strokes(key: Array) -> Array:
    """[T, P, 2] control points of strokes that turn smoothly, some starting at the end of the last.

    A stroke is a chain of P - 1 steps. `bend` is by how much it turns at each of them on average.
    """
    keys = iter(jax.random.split(key, 9))
    shape = (MAX_STROKES, NUM_POINTS - 1)
    one_each = (MAX_STROKES, 1)
    kind = jax.random.choice(next(keys), len(_KIND_PROBS), one_each, p=_KIND_PROBS)
    bend = jax.random.normal(next(keys), one_each)
    bend = jnp.choose(kind, [0.15 * bend, bend, jnp.sign(bend) * (1.4 + 0.2 * jnp.abs(bend))], mode="clip")
    turns = bend + jnp.where(kind == _CLOSING, 0.15, 0.25) * jax.random.normal(next(keys), shape)
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


def _framed(points: Array, presence: Array, key: Array) -> Array:
    """Scales a drawing to a random fraction of the image, at most threefold, and puts it near the middle."""
    key_extent, key_place = jax.random.split(key)
    drawn = presence[:, None, None] > 0
    curves = jax.vmap(lambda stroke: geometry.bezier_curve(stroke, _FRAMING_SAMPLES))(points)
    low = jnp.where(drawn, curves, jnp.inf).min((0, 1))
    high = jnp.where(drawn, curves, -jnp.inf).max((0, 1))
    extent = jax.random.uniform(key_extent, minval=0.45, maxval=1.0)
    scale = jnp.minimum(3, extent / (high - low).max())
    middle = 0.49 + 0.1 * jax.random.uniform(key_place, (2,), minval=-0.5, maxval=0.5)
    return (points - ((low + high) / 2)[None, None]) * scale + middle[None, None]


def ink_of(points: Array, presence: Array, ink_width: Array, ink_slope: Array, image_size: int) -> Array:
    """[H, W] ink of the [T, P, 2] strokes that are present, each about 1 on its curve, added up."""

    def ink(stroke):
        curve = geometry.bezier_curve(stroke, _CURVE_SAMPLES)
        near = brushes.soft_distance(curve, ink_width, (image_size, image_size))
        return compositing.squash_to_one(near, ink_slope)

    return (jax.vmap(ink)(points) * presence[:, None, None]).sum(0)


def scanned(ink: Array, key: Array) -> Array:
    """[H, H] ink, which may exceed 1 -> [H, H] image in 0..1 as of a scanned page; consumes the key."""
    key_ink, key_page, key_resample = jax.random.split(key, 3)
    image = _bent(_uneven(ink, key_ink), key_page)
    soften = _through_source_size(len(ink))
    soft = jnp.clip(through(image, [soften, soften]), 0, 1)
    return jnp.where(jax.random.bernoulli(key_resample), soft, image)


def _uneven(ink: Array, key: Array) -> Array:
    """The ink of a brush that gives more in some places than in others, at most black."""
    key_level, key_worst, key_field = jax.random.split(key, 3)
    level = jax.random.uniform(key_level, minval=0.9, maxval=1.4)
    unevenness = _MAX_UNEVENNESS * jax.random.uniform(key_worst)
    return jnp.clip(level * jnp.exp(unevenness * _smooth_field(key_field, len(ink))) * ink, 0, 1)


def _bent(image: Array, key: Array) -> Array:
    """The image on a page that is not flat; blank outside."""
    key_worst, *key_fields = jax.random.split(key, 3)
    size = len(image)
    reach = _MAX_BEND * size * jax.random.uniform(key_worst)
    places = [
        place + reach * _smooth_field(key, size)
        for place, key in zip(jnp.indices((size, size)), key_fields, strict=True)
    ]
    return map_coordinates(image, places, order=1, mode="constant")


def _smooth_field(key: Array, size: int) -> Array:
    """[size, size] random field, standard normal at its knots and bilinear in between."""
    spread = bilinear(_KNOTS, size)
    return through(jax.random.normal(key, (_KNOTS, _KNOTS)), [spread, spread])


def _through_source_size(size: int) -> np.ndarray:
    """[size, size] map of a line of pixels to the source size and back, bilinear and antialiased."""
    return bilinear(size, _SOURCE_SIZE) @ bilinear(_SOURCE_SIZE, size)
