"""A stroke's latents and pen to ink on the canvas."""

import functools
from typing import Protocol

import jax

from dood_jax.geometry import affine, bezier
from dood_jax.model.config import ModelConfig
from dood_jax.networks import heads
from dood_jax.rendering import brushes, compositing, spatial_transformer
from dood_jax.types import Array, BrushParams


class Renderer(Protocol):
    """Renders one stroke."""

    def __call__(self, layout: Array, control_points: Array, ink_width: Array, ink_slope: Array) -> Array:
        """[4] layout, [P, 2] control points, [] pen width, [] slope -> [H, W] ink."""


def make_renderer(config: ModelConfig, image_size: int | None = None) -> Renderer:
    """The renderer of a model, at its own or at another picture size."""
    size = image_size or config.image_size
    brush, finish = _BRUSHES[config.brush]
    mark = functools.partial(_mark_curve, brush, config.curve_samples, (size, size))
    return functools.partial(_PLACEMENTS[config.placement], mark, finish)


def ink_width_limits(config: ModelConfig) -> tuple[float, float]:
    """Range of pens, which where a picture is placed shrink with its window (method.md 5, 9.1)."""
    return heads.INK_WIDTH_IN_WINDOW if config.placement == "glimpse" else heads.INK_WIDTH


def pen_limits(config: ModelConfig) -> BrushParams:
    """(low, high) of every part of a pen."""
    return BrushParams(ink_width_limits(config), heads.INK_SLOPE, heads.CANVAS_SLOPE)


def _mark_curve(brush, num_samples, size, control_points, ink_width) -> Array:
    """Draws the curve of control points with a brush (method.md 3.9)."""
    return brush(bezier.curve(control_points, num_samples), ink_width, size)


@jax.named_scope("ink")
def _place_points(mark, finish, layout, control_points, ink_width, ink_slope) -> Array:
    """Control points moved by the layout, then drawn on the canvas (method.md 9.1)."""
    placed = affine.place_points(affine.layout_to_matrix(layout), control_points)
    return finish(mark(placed, ink_width), ink_slope)


@jax.named_scope("ink")
def _place_picture(mark, finish, layout, control_points, ink_width, ink_slope) -> Array:
    """Control points drawn in the stroke's own frame, the picture moved by the layout (method.md 3.10)."""
    marks = mark(control_points, ink_width)
    placing = affine.invert(affine.layout_to_matrix(layout))
    return finish(spatial_transformer.warp(marks[None], placing, marks.shape)[0], ink_slope)


def _finish_splat(marks: Array, ink_slope: Array) -> Array:
    return compositing.squash(compositing.max_normalise(marks), ink_slope)


_BRUSHES = {
    "splat": (brushes.splat, _finish_splat),
    "soft_distance": (brushes.soft_distance, compositing.squash_to_one),
    "distance": (brushes.distance, compositing.squash_to_one),
}
_PLACEMENTS = {"points": _place_points, "glimpse": _place_picture}
