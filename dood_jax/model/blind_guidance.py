"""Sight without the canvas: the ablation of execution guidance (method.md 9.2).

The networks see the target alone, and strokes are told apart by the recurrent states. The canvas has the
slope of the last stroke. The prior's presence follows the layout's recurrent state.
"""

from typing import NamedTuple

from jax import lax

from dood_jax.model.guidance import CanvasView, Glimpse, Observation, PriorContext
from dood_jax.model.networks import Networks
from dood_jax.rendering import spatial_transformer
from dood_jax.types import Array

SLOPE_IS_OF_FIRST_STROKE = False


class Target(NamedTuple):
    """An image to be drawn."""

    image: Array  # [H, W]
    features: Array  # [F]


def prepare(nets: Networks, image: Array) -> Target:
    """Encodes a [H, W] image."""
    return Target(image, nets.target_encoder(image))


def observe_canvas(nets: Networks, canvas: Array) -> CanvasView:
    """Nothing."""
    del nets, canvas
    return CanvasView((), ())


def observe(nets: Networks, target: Target, canvas: Array) -> Observation:
    """Features of the target, which learn nothing from the presence head."""
    features = target.features
    return Observation((lax.stop_gradient(features),), (features,), observe_canvas(nets, canvas), features)


def for_canvas_slope(observation: Observation, layout_hidden: Array) -> tuple[Array, ...]:
    """What the layout's head takes."""
    return (layout_hidden, *observation.layout)


def look(nets: Networks, target: Target, canvas: Array, layout: Array) -> Glimpse:
    """Features of the target in the window of a [4] layout."""
    del canvas
    return Glimpse((nets.window_encoder(window(nets, target.image, layout)),), ())


def window(nets: Networks, image: Array, layout: Array) -> Array:
    """[h, w] what is in the window of a [4] layout, with gradient to it."""
    size = nets.config.glimpse_size
    return spatial_transformer.glimpse(image[None], layout, (size, size))[0]


def look_at_canvas(nets: Networks, canvas: Array, layout: Array) -> tuple:
    """Nothing."""
    del nets, canvas, layout
    return ()


def for_prior_presence(nets: Networks, situation: PriorContext) -> tuple[Array, ...]:
    """The layout's recurrent state."""
    del nets
    return (situation.layout_hidden,)


def for_prior_stroke(nets: Networks, situation: PriorContext) -> tuple[Array, ...]:
    """Nothing beside recurrent state and layout."""
    del nets, situation
    return ()
