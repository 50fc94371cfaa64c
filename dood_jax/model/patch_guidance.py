"""Sight by patches: target and canvas together in one encoder, windows of half the size in another."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from dood_jax.model.guidance import CanvasView, Glimpse, Observation, PriorContext
from dood_jax.model.networks import Networks
from dood_jax.networks.encoders import patches
from dood_jax.rendering import spatial_transformer
from dood_jax.types import Array

SLOPE_IS_OF_FIRST_STROKE = True


class Target(NamedTuple):
    """An image to be drawn, with all that does not change between strokes."""

    image: Array  # [H, W]
    embedding: Array  # [h, w, 24] its patches in the image encoder
    total: Array  # [] sum of its pixels


def prepare(nets: Networks, image: Array) -> Target:
    """Embeds the patches of a [H, W] image."""
    return Target(image, nets.image_encoder.embed(0, patches(image)), image.sum())


def observe_canvas(nets: Networks, canvas: Array) -> CanvasView:
    """Features [F] of the [H, W] canvas alone."""
    features = nets.canvas_encoder.encode(nets.canvas_encoder.embed(0, patches(canvas)))
    return CanvasView((features,), features)


def observe(nets: Networks, target: Target, canvas: Array) -> Observation:
    """Features of target and canvas together, and the share Σ|residual| / Σ target still to be drawn."""
    embedding = target.embedding + nets.image_encoder.embed(1, patches(canvas))
    residual = jnp.abs(target.image - canvas).sum()
    ratio = lax.stop_gradient(residual / jnp.maximum(target.total, 1e-6))[None]
    features = nets.image_encoder.encode(embedding)
    return Observation((features, ratio), (features, ratio), observe_canvas(nets, canvas), features)


def for_canvas_slope(observation: Observation, layout_hidden: Array) -> tuple[Array, ...]:
    """Features of target and canvas."""
    del layout_hidden
    return observation.layout[:1]


def look(nets: Networks, target: Target, canvas: Array, layout: Array) -> Glimpse:
    """Features of both images in the window of a [4] layout, with gradient to the layout."""
    size = nets.config.glimpse_size
    windows = spatial_transformer.glimpse(jnp.stack([target.image, canvas]), layout, (size, size))
    target_patches, canvas_patches = patches(windows[0]), patches(windows[1])
    encoder = nets.glimpse_encoder
    features = encoder.encode(encoder.embed(0, target_patches) + encoder.embed(1, canvas_patches))
    return Glimpse((features,), canvas_patches)


def look_at_canvas(nets: Networks, canvas: Array, layout: Array) -> Array:
    """[h, w, 25] patches of the canvas alone in the window of a [4] layout."""
    size = nets.config.glimpse_size
    window = spatial_transformer.glimpse(canvas[None], layout, (size, size))[0]
    return patches(window)


def for_prior_presence(nets: Networks, situation: PriorContext) -> tuple[Array, ...]:
    """Features of the canvas."""
    del nets
    return (situation.canvas,)


def for_prior_stroke(nets: Networks, situation: PriorContext) -> tuple[Array, ...]:
    """Features of the canvas in the stroke's window."""
    encoder = nets.canvas_glimpse_encoder
    return (encoder.encode(encoder.embed(0, situation.glimpse)),)
