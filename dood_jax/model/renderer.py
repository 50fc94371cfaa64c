"""From a stroke's latents and brush to ink, and from the ink of all strokes to the canvas."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.geometry import taper_basis
from dood_jax.model.published import DenseStack
from dood_jax.rendering import brushes, compositing, spatial_transformer
from dood_jax.types import Array, BrushParams, StrokeLatents


class Brush(NamedTuple):
    """A brush: marks along a curve, and how they become ink."""

    # [S, 2] curve, [] or [S] width, (H, W) -> [H, W] marks
    mark: Callable[[Array, Array, tuple[int, int]], Array]
    finish: Callable[[Array, Array], Array]  # [H, W] marks, [] slope -> [H, W] ink in 0..1


def finish_splat(marks: Array, ink_slope: Array) -> Array:
    """[H, W] ink of a splat, whose marks grow with the density of samples and are divided by their peak."""
    return compositing.squash(compositing.max_normalise(marks), ink_slope)


BRUSHES = {  # marks of the distance brushes are 1 on the curve and fall to 0 away from it
    "splat": Brush(brushes.splat, finish_splat),
    "soft_distance": Brush(brushes.soft_distance, compositing.squash_to_one),
    "distance": Brush(brushes.distance, compositing.squash_to_one),
}


class Renderer(nn.Module):
    """Renders strokes at any image size: marks along a curve, then ink (method.md 3.9 to 3.11, 9.1).

    A new brush is a function in `rendering.brushes`, named in `BRUSHES` and in `config.model.CHOICES`. Other
    renderers override `mark` and `finish`.
    """

    config: ModelConfig

    def mark(self, control_points: Array, ink_width: Array, size: tuple[int, int]) -> Array:
        """[P, 2] control points and [] or [S] width -> [H, W] marks along their Bézier curve."""
        curve = geometry.bezier_curve(control_points, self.config.curve_samples)
        return BRUSHES[self.config.brush].mark(curve, ink_width, size)

    def finish(self, marks: Array, ink_slope: Array) -> Array:
        """[H, W] marks and [] slope -> [H, W] ink in 0..1."""
        return BRUSHES[self.config.brush].finish(marks, ink_slope)

    @jax.named_scope("ink")
    def stroke_ink(self, stroke: StrokeLatents, brush: BrushParams, image_size: int | None = None) -> Array:
        """[H, W] ink of one stroke, its presence left aside; `image_size` is the model's own if None."""
        size = (image_size or self.config.image_size,) * 2
        ink_width, ink_slope = brush.ink_width, brush.ink_slope
        if brush.taper is not None:
            ink_width = ink_width * jnp.exp((taper_basis(self.config.curve_samples) * brush.taper).sum(-1))
        matrix = geometry.layout_to_matrix(stroke.layout)
        if self.config.placement == "points":  # the layout moves the control points (method.md 9.1)
            placed = geometry.place_points(matrix, stroke.control_points)
            return self.finish(self.mark(placed, ink_width, size), ink_slope)
        # Otherwise the stroke is drawn in its own frame, and the layout moves the image (method.md 3.10).
        marks = self.mark(stroke.control_points, ink_width, size)
        placed = spatial_transformer.warp(marks[None], geometry.invert(matrix), size)[0]
        return self.finish(placed, ink_slope)

    def ink(self, strokes: StrokeLatents, brush: BrushParams, image_size: int | None = None) -> Array:
        """[T, H, W] ink of each stroke of one drawing; a `brush` of scalars is one brush for all."""
        of_strokes = for_each_stroke(brush, len(strokes.presence))._replace(canvas_slope=None)
        render = lambda stroke, own: self.stroke_ink(stroke, own, image_size)
        return jax.vmap(render)(strokes, of_strokes) * strokes.presence[:, None, None]

    def finished_canvas(self, strokes: StrokeLatents, brush: BrushParams) -> Array:
        """[H, W] canvas after the last stroke of one drawing."""
        return canvas_of(self.config, self.ink(strokes, brush).sum(0), brush.canvas_slope)


class NeuralRenderer(Renderer):
    """Marks by a network, always as large as the model's images (method.md 9.3)."""

    def setup(self) -> None:
        """Declares the network."""
        features = self.config.features
        self.stroke_decoder = DenseStack((features, features), self.config.image_size**2)

    def mark(self, control_points: Array, ink_width: Array, size: tuple[int, int]) -> Array:
        """[P, 2] numbers -> [H, W] marks, whatever the brush and the size asked for."""
        own = (self.config.image_size, self.config.image_size)
        return jax.nn.softplus(self.stroke_decoder([control_points.reshape(-1)]) - 2).reshape(own)

    def finish(self, marks: Array, ink_slope: Array) -> Array:
        """[H, W] marks and [] slope -> [H, W] ink, as of a splat."""
        return finish_splat(marks, ink_slope)


class PieceRenderer(NeuralRenderer):
    """Pieces of an image by a network, not normalised or squashed: AIR's and the VAE's (method.md 9.5)."""

    def finish(self, marks: Array, ink_slope: Array) -> Array:
        """The marks themselves."""
        return marks


def for_each_stroke(brush: BrushParams, num_strokes: int) -> BrushParams:
    """The brush of each of T strokes, given those or one brush for all; the canvas has one slope."""
    spread = lambda value, rank: jnp.broadcast_to(
        value, (num_strokes, *jnp.shape(value)[jnp.ndim(value) - rank :])
    )
    taper = None if brush.taper is None else spread(brush.taper, 1)
    return BrushParams(spread(brush.ink_width, 0), spread(brush.ink_slope, 0), brush.canvas_slope, taper)


def canvas_of(config: ModelConfig, ink_sum: Array, canvas_slope: Array) -> Array:
    """The canvas [..., H, W] of summed ink: squashed (method.md 3.11), or of AIR the sum itself (9.5)."""
    return ink_sum if config.decoder == "image" else compositing.composite(ink_sum, canvas_slope)


def canvases_of(config: ModelConfig, ink: Array, canvas_slope: Array) -> Array:
    """[T, H, W] canvas after each stroke, given [T, H, W] ink of each."""
    return canvas_of(config, compositing.running_sum(ink), canvas_slope)
