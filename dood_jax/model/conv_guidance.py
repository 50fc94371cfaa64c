"""Sight as published: one encoder for target and canvas, one for the residual, and for windows of each.

Every look draws its own dropout mask, but the target's, whose features are computed once an image; the prior
looks at the canvas with a mask of its own (method.md 3.3, 4, 5).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from dood_jax.model.guidance import CanvasView, Glimpse, Observation, PriorContext
from dood_jax.model.networks import Networks
from dood_jax.rendering import spatial_transformer
from dood_jax.types import Array

SLOPE_IS_OF_FIRST_STROKE = True


class Target(NamedTuple):
    """An image to be drawn, with all that does not change between strokes."""

    image: Array  # [H, W]
    features: Array  # [F]
    total: Array  # [] sum of its pixels


def prepare(nets: Networks, image: Array) -> Target:
    """Encodes a [H, W] image."""
    return Target(image, nets.target_encoder(image), image.sum())


def observe_canvas(nets: Networks, canvas: Array) -> CanvasView:
    """Features [F] of the [H, W] canvas alone, once for the recurrent networks and once for the prior."""
    features, for_prior = nets.target_encoder.twice(canvas)
    return CanvasView((features,), for_prior)


def observe(nets: Networks, target: Target, canvas: Array) -> Observation:
    """Features of target, canvas and residual, and the share Σ residual / Σ target still to be drawn."""
    residual = target.image - canvas
    features, ratio = nets.residual_encoder(residual), residual_ratio(residual, target.total)
    return Observation(
        presence=(features, ratio),
        layout=(target.features, features, ratio),
        canvas=observe_canvas(nets, canvas),
        target_features=target.features,
    )


def residual_ratio(residual: Array, total: Array) -> Array:
    """[1] Σ residual / Σ target, which may be negative; 0 for a blank target (method.md 5)."""
    return lax.stop_gradient(jnp.where(total == 0, 0, residual.sum() / jnp.where(total == 0, 1, total)))[None]


def for_canvas_slope(observation: Observation, layout_hidden: Array) -> tuple[Array, ...]:
    """What the layout's head takes."""
    return (layout_hidden, *observation.layout)


def look(nets: Networks, target: Target, canvas: Array, layout: Array) -> Glimpse:
    """Features of target, residual and canvas in the window of a [4] layout."""
    images = jnp.stack([target.image, target.image - canvas, canvas])
    windows = _windows(nets, images, layout)
    target, canvas_features = nets.target_encoder(windows[::2])
    return Glimpse((target, nets.residual_encoder(windows[1])), canvas_features)


def look_at_canvas(nets: Networks, canvas: Array, layout: Array) -> Array:
    """Features [F] of the canvas in the window of a [4] layout."""
    return nets.target_encoder(_windows(nets, canvas[None], layout)[0])


def _windows(nets: Networks, images: Array, layout: Array) -> Array:
    size = nets.config.glimpse_size
    return spatial_transformer.glimpse(images, layout, (size, size))


def for_prior_presence(nets: Networks, situation: PriorContext) -> tuple[Array, ...]:
    """Features of the canvas."""
    del nets
    return (situation.canvas,)


def for_prior_stroke(nets: Networks, situation: PriorContext) -> tuple[Array, ...]:
    """Features of the canvas in the stroke's window."""
    del nets
    return (situation.glimpse,)
