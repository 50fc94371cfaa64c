"""Execution guidance: what the networks see of the target and of the canvas drawn so far.

Each kind of guidance is a Flax module that owns its encoders. `PatchGuidance` is that of the fast model,
`ConvGuidance` the published one, the others are ablations (method.md 9.2, 9.5). Canvases carry no gradient;
glimpses carry it to the layout (method.md 5). Vectors stand in tuples, to be joined with the others that a
network takes.
"""

from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput
from dood_jax.model.networks import PatchEncoder, patches
from dood_jax.model.published import ConvEncoder
from dood_jax.rendering import spatial_transformer
from dood_jax.types import Array

_NO_RATIO = 1e-6  # least sum of a target's pixels that a residual is divided by


class CanvasView(NamedTuple):
    """What is seen of the canvas alone."""

    features: tuple[Array, ...]  # by both recurrent networks
    for_prior: Any  # kept for the prior, which takes all strokes together after the last


class Observation(NamedTuple):
    """What is seen before a stroke, by who sees it."""

    presence: tuple[Array, ...]  # by the posterior's presence head
    layout: tuple[Array, ...]  # by the posterior's layout head, beside its recurrent state
    canvas: CanvasView  # by both recurrent networks and the prior
    target_features: Array  # [D] by NVIL's baseline
    canvas_slope: tuple[Array, ...] = ()  # by the canvas slope's head; empty: what the layout's head takes


class Glimpse(NamedTuple):
    """What is seen in the window of a layout."""

    features: tuple[Array, ...]  # by the posterior's stroke head and the brush
    for_prior: Any  # of the canvas alone, kept for the prior


class PriorContext(NamedTuple):
    """What the prior knows before a stroke, and of the canvas where the stroke is to be."""

    layout_hidden: Array  # [D] recurrent states, advanced to this stroke
    stroke_hidden: Array  # [D]
    canvas: Any  # `CanvasView.for_prior` of the canvas before the stroke
    glimpse: Any  # `Glimpse.for_prior` in the stroke's window


class PriorView(NamedTuple):
    """What the prior sees of the drawing so far, for its networks to take."""

    canvas: tuple[Array, ...]
    window: tuple[Array, ...]  # of the canvas where the stroke is to be; empty while it has no place


class Guidance(nn.Module):
    """A kind of guidance. A new one implements these methods and is named in `dood._GUIDANCES`."""

    config: ModelConfig

    canvas_slope_is_of_first_stroke: ClassVar[bool] = True  # or else of the last
    prior_networks: ClassVar[tuple[str, ...]] = ()  # names of encoders that only the prior uses

    def encode_target(self, image: Array) -> Any:
        """What does not depend on the canvas, of a [H, W] image that is to be drawn: the target."""
        raise NotImplementedError

    def observe(self, target: Any, canvas: Array) -> Observation:
        """Sees a target and the [H, W] canvas."""
        raise NotImplementedError

    def observe_canvas(self, canvas: Array) -> CanvasView:
        """Sees the [H, W] canvas alone, to generate a stroke."""
        raise NotImplementedError

    def glimpse(self, target: Any, canvas: Array, layout: Array) -> Glimpse:
        """Sees target and canvas in the window of a [4] layout.

        What `observe` has computed may be computed again: the compiler does it once.
        """
        raise NotImplementedError

    def glimpse_canvas(self, canvas: Array, layout: Array) -> Any:
        """`Glimpse.for_prior` without a target."""
        raise NotImplementedError

    def for_prior_presence(self, context: PriorContext) -> tuple[Array, ...]:
        """What the prior's presence head takes."""
        raise NotImplementedError

    def for_prior_stroke(self, context: PriorContext) -> tuple[Array, ...]:
        """What the prior's stroke head takes beside recurrent state and layout."""
        raise NotImplementedError

    def windows(self, images: Array, layout: Array) -> Array:
        """[C, h, w] the window of a [4] layout on [C, H, W] images, with gradient to the layout."""
        size = self.config.glimpse_size
        return spatial_transformer.glimpse(images, layout, (size, size))


class PatchTarget(NamedTuple):
    """An image to be drawn, with all that does not change between strokes."""

    image: Array  # [H, W]
    embedding: Array  # [h, w, 24] its patches in the image encoder
    total: Array  # [] sum of its pixels


class PatchGuidance(Guidance):
    """Target and canvas together in one encoder of patches, windows of half the size in another."""

    prior_networks: ClassVar[tuple[str, ...]] = ("canvas_glimpse_encoder",)

    def setup(self) -> None:
        """Declares the encoders of target and canvas, of the canvas alone, and of both in a window."""
        features = self.config.features
        self.image_encoder = PatchEncoder(num_images=2, features=features)
        self.canvas_encoder = PatchEncoder(num_images=1, features=features)
        self.glimpse_encoder = PatchEncoder(num_images=2, features=features)
        self.canvas_glimpse_encoder = PatchEncoder(num_images=1, features=max(features // 2, 1))

    def encode_target(self, image: Array) -> PatchTarget:
        """Embeds the patches of a [H, W] image."""
        return PatchTarget(image, self.image_encoder.embed(0, patches(image)), image.sum())

    def observe(self, target: PatchTarget, canvas: Array) -> Observation:
        """Features of target and canvas together, and Σ|residual| / Σ target, what is still to be drawn."""
        embedding = target.embedding + self.image_encoder.embed(1, patches(canvas))
        residual = jnp.abs(target.image - canvas).sum()
        ratio = lax.stop_gradient(residual / jnp.maximum(target.total, _NO_RATIO))[None]
        features = self.image_encoder.encode(embedding)
        both = (features, ratio)
        return Observation(both, both, self.observe_canvas(canvas), features, canvas_slope=(features,))

    def observe_canvas(self, canvas: Array) -> CanvasView:
        """Features [D] of the [H, W] canvas alone."""
        features = self.canvas_encoder(canvas)
        return CanvasView((features,), features)

    def glimpse(self, target: PatchTarget, canvas: Array, layout: Array) -> Glimpse:
        """Features of both images in the window; for the prior, the patches of the canvas in it."""
        target_window, canvas_window = self.windows(jnp.stack([target.image, canvas]), layout)
        target_patches, canvas_patches = patches(target_window), patches(canvas_window)
        encoder = self.glimpse_encoder
        features = encoder.encode(encoder.embed(0, target_patches) + encoder.embed(1, canvas_patches))
        return Glimpse((features,), canvas_patches)

    def glimpse_canvas(self, canvas: Array, layout: Array) -> Any:
        """[h, w, 25] patches of the canvas alone in the window of a [4] layout."""
        return patches(self.windows(canvas[None], layout)[0])

    def for_prior_presence(self, context: PriorContext) -> tuple[Array, ...]:
        """Features of the canvas."""
        return (context.canvas,)

    def for_prior_stroke(self, context: PriorContext) -> tuple[Array, ...]:
        """Features of the canvas in the stroke's window."""
        encoder = self.canvas_glimpse_encoder
        return (encoder.encode(encoder.embed(0, context.glimpse)),)


class EncodedTarget(NamedTuple):
    """An image to be drawn, and its features."""

    image: Array  # [H, W]
    features: Array  # [D]


def published_residual_ratio(residual: Array, total: Array) -> Array:
    """[1] Σ residual / Σ target, as published: it may be negative; 0 for a blank target (method.md 5)."""
    return lax.stop_gradient(jnp.where(total == 0, 0, residual.sum() / jnp.where(total == 0, 1, total)))[None]


class ConvGuidance(Guidance):
    """As published: one encoder for target and canvas, one for the residual, and both for their windows.

    Every call draws a dropout mask of its own, but for the target, whose features are computed once an image;
    the prior sees the canvas under a mask of its own (method.md 3.3, 4, 5).
    """

    def setup(self) -> None:
        """Declares both encoders."""
        self.target_encoder = ConvEncoder(self.config.features, self.config.dropout)
        self.residual_encoder = ConvEncoder(self.config.features, self.config.dropout)

    def encode_target(self, image: Array) -> EncodedTarget:
        """Features of a [H, W] image."""
        return EncodedTarget(image, self.target_encoder(image))

    def observe(self, target: EncodedTarget, canvas: Array) -> Observation:
        """Features of target, canvas and residual, and the fraction of ink still to be drawn."""
        residual = target.image - canvas
        features = self.residual_encoder(residual)
        ratio = published_residual_ratio(residual, target.image.sum())
        return Observation(
            presence=(features, ratio),
            layout=(target.features, features, ratio),
            canvas=self.observe_canvas(canvas),
            target_features=target.features,
        )

    def observe_canvas(self, canvas: Array) -> CanvasView:
        """Features [D] of the canvas, once for the recurrent networks and once for the prior."""
        features, for_prior = self.target_encoder.twice(canvas)
        return CanvasView((features,), for_prior)

    def glimpse(self, target: EncodedTarget, canvas: Array, layout: Array) -> Glimpse:
        """Features of target, residual and canvas in the window of a [4] layout."""
        windows = self.windows(jnp.stack([target.image, target.image - canvas, canvas]), layout)
        of_target, of_canvas = self.target_encoder(windows[::2])
        return Glimpse((of_target, self.residual_encoder(windows[1])), of_canvas)

    def glimpse_canvas(self, canvas: Array, layout: Array) -> Any:
        """Features [D] of the canvas in the window of a [4] layout."""
        return self.target_encoder(self.windows(canvas[None], layout)[0])

    def for_prior_presence(self, context: PriorContext) -> tuple[Array, ...]:
        """Features of the canvas."""
        return (context.canvas,)

    def for_prior_stroke(self, context: PriorContext) -> tuple[Array, ...]:
        """Features of the canvas in the stroke's window."""
        return (context.glimpse,)


class BlindGuidance(Guidance):
    """The ablation: the networks see the target alone, never the canvas (method.md 9.2).

    Strokes are told apart by the recurrent states. The canvas has the slope of the last stroke. The prior's
    presence follows the layout's recurrent state.
    """

    canvas_slope_is_of_first_stroke: ClassVar[bool] = False

    def setup(self) -> None:
        """Declares the encoders of whole images and of windows."""
        self.target_encoder = self._encoder()
        self.window_encoder = self._window_encoder(self.target_encoder)

    def _encoder(self) -> ConvEncoder | PatchEncoder:
        """An encoder of one image."""
        if self.config.encoder == "conv":
            return ConvEncoder(self.config.features, self.config.dropout)
        return PatchEncoder(num_images=1, features=self.config.features)

    def _window_encoder(self, encoder: ConvEncoder | PatchEncoder) -> ConvEncoder | PatchEncoder:
        """The encoder of windows; convolutions take them as large as images, and one serves both."""
        return encoder if self.config.encoder == "conv" else self._encoder()

    def encode_target(self, image: Array) -> EncodedTarget:
        """Features of a [H, W] image."""
        return EncodedTarget(image, self.target_encoder(image))

    def observe(self, target: EncodedTarget, canvas: Array) -> Observation:
        """Features of the target, which learn nothing from the presence head."""
        features = target.features
        return Observation((lax.stop_gradient(features),), (features,), self.observe_canvas(canvas), features)

    def observe_canvas(self, canvas: Array) -> CanvasView:
        """The canvas is not seen."""
        return CanvasView((), ())

    def glimpse(self, target: EncodedTarget, canvas: Array, layout: Array) -> Glimpse:
        """Features of the target in the window of a [4] layout."""
        return Glimpse((self.window_encoder(self.windows(target.image[None], layout)[0]),), ())

    def glimpse_canvas(self, canvas: Array, layout: Array) -> Any:
        """The canvas is not seen."""
        return ()

    def for_prior_presence(self, context: PriorContext) -> tuple[Array, ...]:
        """The layout's recurrent state."""
        return (context.layout_hidden,)

    def for_prior_stroke(self, context: PriorContext) -> tuple[Array, ...]:
        """The prior's stroke head takes recurrent state and layout alone."""
        return ()


class LeakyGuidance(BlindGuidance):
    """Blind guidance as it was published: the prior's presence head sees the target (method.md 9.2).

    Such a prior cannot generate drawings.
    """

    def observe(self, target: EncodedTarget, canvas: Array) -> Observation:
        """Features of the target, for the prior too."""
        features = target.features
        return Observation((lax.stop_gradient(features),), (features,), CanvasView((), features), features)

    def observe_canvas(self, canvas: Array) -> CanvasView:
        """Raises BadInput: without a target there is nothing to see."""
        raise BadInput(
            "model.guidance='none_leaky' cannot sample: its prior sees the target; train with 'none'"
        )

    def for_prior_presence(self, context: PriorContext) -> tuple[Array, ...]:
        """Features of the target."""
        return (context.canvas,)


class ResidualGuidance(BlindGuidance):
    """The networks see what is still to be drawn, the residual, alone: Difference-AIR (method.md 9.5)."""

    canvas_slope_is_of_first_stroke: ClassVar[bool] = True

    def setup(self) -> None:
        """Declares the encoders of residuals besides."""
        super().setup()
        self.residual_encoder = self._encoder()
        self.residual_window_encoder = self._window_encoder(self.residual_encoder)

    def observe(self, target: EncodedTarget, canvas: Array) -> Observation:
        """Features of the residual; those of the target are for a baseline alone."""
        features = self.residual_encoder(target.image - canvas)
        return Observation((features,), (features,), self.observe_canvas(canvas), target.features)

    def glimpse(self, target: EncodedTarget, canvas: Array, layout: Array) -> Glimpse:
        """Features of the residual in the window of a [4] layout."""
        window = self.windows((target.image - canvas)[None], layout)[0]
        return Glimpse((self.residual_window_encoder(window),), ())
