"""A stroke's latents and pen to ink on the canvas."""

import functools
from typing import Protocol

import jax

from dood_jax.geometry import affine, bezier
from dood_jax.model.config import ModelConfig
from dood_jax.rendering import brushes, compositing
from dood_jax.types import Array


class Renderer(Protocol):
    """Renders one stroke."""

    def __call__(self, layout: Array, control_points: Array, ink_width: Array, ink_slope: Array) -> Array:
        """[4] layout, [P, 2] control points, [] pen width, [] slope -> [H, W] ink."""


def make_renderer(config: ModelConfig, image_size: int | None = None) -> Renderer:
    """The renderer of a model, at its own or at another picture size."""
    size = image_size or config.image_size
    return functools.partial(_render_points, _INKS[config.brush], config.curve_samples, (size, size))


@jax.named_scope("ink")
def _render_points(ink, num_samples, size, layout, control_points, ink_width, ink_slope) -> Array:
    """Control points moved by the layout, then drawn on the canvas (method.md 9.1)."""
    placed = affine.place_points(affine.layout_to_matrix(layout), control_points)
    return ink(bezier.curve(placed, num_samples), ink_width, ink_slope, size)


def _splat_ink(curve: Array, ink_width: Array, ink_slope: Array, size: tuple[int, int]) -> Array:
    splat = brushes.splat(curve, ink_width, size)
    return compositing.squash(compositing.max_normalise(splat), ink_slope)


def _distance_ink(brush, curve: Array, ink_width: Array, ink_slope: Array, size: tuple[int, int]) -> Array:
    return compositing.squash_to_one(brush(curve, ink_width, size), ink_slope)


_INKS = {
    "splat": _splat_ink,
    "soft_distance": functools.partial(_distance_ink, brushes.soft_distance),
    "distance": functools.partial(_distance_ink, brushes.distance),
}
