"""A stroke's latents and pen to ink on the canvas."""

import functools
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.model.networks import Networks
from dood_jax.networks import heads
from dood_jax.rendering import brushes, compositing, spatial_transformer
from dood_jax.types import Array, BrushParams, StrokeLatents

Mark = Callable[[Array, Array, tuple[int, int]], Array]  # [P, 2] points, [] pen width, size -> [h, w] marks
Finish = Callable[[Array, Array], Array]  # [H, W] marks, [] slope -> [H, W] ink


class Renderer(Protocol):
    """Renders one stroke."""

    def __call__(self, layout: Array, control_points: Array, ink_width: Array, ink_slope: Array) -> Array:
        """[4] layout, [P, 2] control points, [] pen width, [] slope -> [H, W] ink."""


def make_renderer(nets: Networks, image_size: int | None = None) -> Renderer:
    """The renderer of a model, at its own or at another image size."""
    config, size = nets.config, image_size or nets.config.image_size
    mark, finish = _DECODERS[config.decoder](nets)
    return functools.partial(_PLACEMENTS[config.placement], mark, finish, (size, size))


def ink_width_limits(config: ModelConfig) -> tuple[float, float]:
    """Range of pens, which where an image is placed shrink with its window (method.md 5, 9.1)."""
    return heads.INK_WIDTH_IN_WINDOW if config.placement == "glimpse" else heads.INK_WIDTH


def brush_limits(config: ModelConfig) -> BrushParams:
    """(low, high) of every part of a pen."""
    return BrushParams(ink_width_limits(config), heads.INK_SLOPE, heads.CANVAS_SLOPE)


def ink_of(
    nets: Networks, strokes: StrokeLatents, brush: BrushParams, image_size: int | None = None
) -> Array:
    """[T, H, W] ink of each stroke of one drawing; a `brush` of scalars is one pen for all."""
    ink_width = jnp.broadcast_to(brush.ink_width, strokes.presence.shape)
    ink_slope = jnp.broadcast_to(brush.ink_slope, strokes.presence.shape)
    renderer = make_renderer(nets, image_size)
    ink = jax.vmap(renderer)(strokes.layout, strokes.control_points, ink_width, ink_slope)
    return ink * strokes.presence[:, None, None]


def finished_canvas(nets: Networks, strokes: StrokeLatents, brush: BrushParams) -> Array:
    """[H, W] canvas after the last stroke of one drawing."""
    return canvas_of(nets.config, ink_of(nets, strokes, brush).sum(0), brush.canvas_slope)


def canvas_of(config: ModelConfig, ink_sum: Array, canvas_slope: Array) -> Array:
    """The canvas [..., H, W] of summed ink: squashed (method.md 3.11), or of AIR the sum itself (9.5)."""
    return ink_sum if config.decoder == "image" else compositing.composite(ink_sum, canvas_slope)


def canvases_of(config: ModelConfig, ink: Array, canvas_slope: Array) -> Array:
    """[T, H, W] canvas after each stroke, of its ink."""
    return canvas_of(config, compositing.running_sum(ink), canvas_slope)


def _curve_decoder(nets: Networks) -> tuple[Mark, Finish]:
    """Control points to marks along their curve, with the brush of the config (method.md 3.9)."""
    brush, finish = _BRUSHES[nets.config.brush]

    def mark(control_points, ink_width, size):
        return brush(geometry.bezier_curve(control_points, nets.config.curve_samples), ink_width, size)

    return mark, finish


def _neural_decoder(nets: Networks) -> tuple[Mark, Finish]:
    """Control points to marks by a network, always as large as the model's images (method.md 9.3)."""
    return _image_decoder(nets)[0], _finish_splat


def _image_decoder(nets: Networks) -> tuple[Mark, Finish]:
    """Ten numbers to a piece of an image, which is neither normalised nor squashed (method.md 9.5)."""
    own = (nets.config.image_size, nets.config.image_size)

    def mark(control_points, ink_width, size):
        del ink_width, size
        return jax.nn.softplus(nets.stroke_decoder([control_points.reshape(-1)]) - 2).reshape(own)

    return mark, lambda marks, ink_slope: marks


@jax.named_scope("ink")
def _place_points(mark, finish, size, layout, control_points, ink_width, ink_slope) -> Array:
    """Control points moved by the layout, then drawn on the canvas (method.md 9.1)."""
    placed = geometry.place_points(geometry.layout_to_matrix(layout), control_points)
    return finish(mark(placed, ink_width, size), ink_slope)


@jax.named_scope("ink")
def _place_image(mark, finish, size, layout, control_points, ink_width, ink_slope) -> Array:
    """Control points drawn in the stroke's own frame, the image moved by the layout (method.md 3.10)."""
    marks = mark(control_points, ink_width, size)
    placing = geometry.invert(geometry.layout_to_matrix(layout))
    return finish(spatial_transformer.warp(marks[None], placing, size)[0], ink_slope)


def _finish_splat(marks: Array, ink_slope: Array) -> Array:
    return compositing.squash(compositing.max_normalise(marks), ink_slope)


_BRUSHES = {
    "splat": (brushes.splat, _finish_splat),
    "soft_distance": (brushes.soft_distance, compositing.squash_to_one),
    "distance": (brushes.distance, compositing.squash_to_one),
}
_DECODERS = {"curve": _curve_decoder, "neural": _neural_decoder, "image": _image_decoder}
_PLACEMENTS = {"points": _place_points, "glimpse": _place_image}
