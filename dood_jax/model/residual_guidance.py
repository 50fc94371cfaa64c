"""Sight of what is still to be drawn alone: Difference-AIR (method.md 9.5)."""

from dood_jax.model import blind_guidance
from dood_jax.model.blind_guidance import (
    Target,
    for_canvas_slope,
    for_prior_presence,
    for_prior_stroke,
    look_at_canvas,
    observe_canvas,
    prepare,
)
from dood_jax.model.guidance import Glimpse, Observation
from dood_jax.model.networks import Networks
from dood_jax.types import Array

__all__ = [
    "for_canvas_slope",
    "for_prior_presence",
    "for_prior_stroke",
    "look_at_canvas",
    "observe_canvas",
    "prepare",
]

SLOPE_IS_OF_FIRST_STROKE = True


def observe(nets: Networks, target: Target, canvas: Array) -> Observation:
    """Features of the residual; those of the target are for a baseline alone."""
    features = nets.residual_encoder(target.image - canvas)
    return Observation((features,), (features,), observe_canvas(nets, canvas), target.features)


def look(nets: Networks, target: Target, canvas: Array, layout: Array) -> Glimpse:
    """Features of the residual in the window of a [4] layout."""
    window = blind_guidance.window(nets, target.image - canvas, layout)
    return Glimpse((nets.residual_window_encoder(window),), ())
