"""What the networks see of target and canvas, as a whole and through a glimpse ("execution guidance")."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from dood_jax.model.networks import Networks
from dood_jax.networks.encoders import patches
from dood_jax.rendering import spatial_transformer
from dood_jax.types import Array


class Target(NamedTuple):
    """A picture to be drawn, with all that does not change between strokes."""

    image: Array  # [H, W]
    embedding: Array  # [h, w, 24] its patches in the image encoder
    total: Array  # [] sum of its pixels


class Observation(NamedTuple):
    """What is seen before a stroke."""

    image_features: Array  # [F] of target and canvas
    canvas_features: Array  # [F] of the canvas alone
    residual_ratio: Array  # [1] share of the target still to be drawn, Σ|residual| / Σ target


class Glimpse(NamedTuple):
    """What is seen in the window of a layout."""

    features: Array  # [F] of target and canvas
    canvas_patches: Array  # [h, w, 25] of the canvas alone, for the prior


def prepare(nets: Networks, image: Array) -> Target:
    """Encodes what does not depend on the canvas of a [H, W] picture."""
    return Target(image, nets.image_encoder.embed(0, patches(image)), image.sum())


def observe_canvas(nets: Networks, canvas: Array) -> Array:
    """[F] features of the [H, W] canvas alone, for the prior and both recurrent networks."""
    return nets.canvas_encoder.encode(nets.canvas_encoder.embed(0, patches(canvas)))


def observe(nets: Networks, target: Target, canvas: Array) -> Observation:
    """Features of target and canvas; the canvas carries no gradient (method.md 5)."""
    embedding = target.embedding + nets.image_encoder.embed(1, patches(canvas))
    residual = jnp.abs(target.image - canvas).sum()
    ratio = residual / jnp.maximum(target.total, 1e-6)
    return Observation(
        image_features=nets.image_encoder.encode(embedding),
        canvas_features=observe_canvas(nets, canvas),
        residual_ratio=lax.stop_gradient(ratio)[None],
    )


def look(nets: Networks, target: Target, canvas: Array, layout: Array) -> Glimpse:
    """Features of both pictures in the window of a [4] layout, with gradient to the layout."""
    size = nets.config.glimpse_size
    windows = spatial_transformer.glimpse(jnp.stack([target.image, canvas]), layout, (size, size))
    target_patches, canvas_patches = patches(windows[0]), patches(windows[1])
    encoder = nets.glimpse_encoder
    features = encoder.encode(encoder.embed(0, target_patches) + encoder.embed(1, canvas_patches))
    return Glimpse(features, canvas_patches)


def look_at_canvas(nets: Networks, canvas: Array, layout: Array) -> Array:
    """[h, w, 25] patches of the canvas alone in the window of a [4] layout, for the prior."""
    size = nets.config.glimpse_size
    window = spatial_transformer.glimpse(canvas[None], layout, (size, size))[0]
    return patches(window)
