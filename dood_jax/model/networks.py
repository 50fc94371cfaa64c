"""All networks of DooD, under the names of the parameter tree's top keys."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.model.likelihood import ObservationScale
from dood_jax.networks import air_heads, heads, published_heads
from dood_jax.networks.conv_encoder import ConvEncoder
from dood_jax.networks.corrector import Corrector
from dood_jax.networks.encoders import PatchEncoder
from dood_jax.networks.published_heads import DenseStack
from dood_jax.networks.recurrence import GRUCell, published_cell
from dood_jax.types import Array

Params = dict  # of one network's parameters under each name below
PRIOR_NETWORKS = ("prior_presence", "prior_layout", "prior_stroke", "canvas_glimpse_encoder")  # its own alone

Modules = dict[str, nn.Module]


class Networks(nn.Module):
    """The networks that a config asks for; parameters appear at their first call.

    Heads are `posterior_presence, posterior_layout, posterior_stroke, canvas_slope, brush, prior_presence,
    prior_layout, prior_stroke`; features and recurrent states have F numbers. A model that looks again has a
    `corrector`. Of AIR they are `posterior_presence_layout` and `posterior_stroke`.
    """

    config: ModelConfig

    def setup(self) -> None:
        """Declares every network."""
        config = self.config
        heads_of, air_heads_of, cell = _FAMILIES[config.latents]
        self._declare(_ENCODERS[config.encoder](config))
        self._declare(_DECODERS[config.decoder](config))
        if config.recognition != "dood":
            self._declare(air_heads_of(config.features, config.num_points))
        else:
            self._declare(heads_of(config.features, config.num_points, config.components, config.start))
        self.layout_rnn = cell(config.features)
        self.stroke_rnn = cell(config.features)
        if config.iterations:
            self.corrector = Corrector(config.num_points)
        self.likelihood = ObservationScale(config.image_size, config.likelihood)

    def _declare(self, modules: Modules) -> None:
        for name, module in modules.items():
            setattr(self, name, module)


def _patch_encoders(config: ModelConfig) -> Modules:
    features = config.features
    if config.guidance != "canvas":
        names = ("target_encoder", "window_encoder", "residual_encoder", "residual_window_encoder")
        return {name: PatchEncoder(num_images=1, features=features) for name in names}
    return {
        "image_encoder": PatchEncoder(num_images=2, features=features),
        "canvas_encoder": PatchEncoder(num_images=1, features=features),
        "glimpse_encoder": PatchEncoder(num_images=2, features=features),
        "canvas_glimpse_encoder": PatchEncoder(num_images=1, features=max(features // 2, 1)),
    }


def _conv_encoders(config: ModelConfig) -> Modules:
    target, residual = (ConvEncoder(config.features, config.dropout) for _ in range(2))
    return {
        "target_encoder": target,
        "residual_encoder": residual,
        "window_encoder": target,
        "residual_window_encoder": residual,
    }


def _stroke_decoder(config: ModelConfig) -> Modules:
    return {"stroke_decoder": DenseStack((config.features, config.features), config.image_size**2)}


_ENCODERS: dict[str, Callable[[ModelConfig], Modules]] = {"patch": _patch_encoders, "conv": _conv_encoders}
_DECODERS: dict[str, Callable[[ModelConfig], Modules]] = {
    "curve": lambda _: {},
    "neural": _stroke_decoder,
    "image": _stroke_decoder,
}
_FAMILIES: dict[str, tuple[Callable[..., Modules], Callable[..., Modules], Callable[[int], GRUCell]]] = {
    "diagonal": (heads.make_heads, air_heads.make_heads, GRUCell),
    "correlated": (published_heads.make_heads, air_heads.make_published_heads, published_cell),
}


def bind(config: ModelConfig, params: Params, dropout_key: Array | None = None) -> Networks:
    """The networks with their parameters in place; call it anew inside each `scan` body.

    With a key encoders drop units as in training.
    """
    rngs = None if dropout_key is None else {"dropout": dropout_key}
    return Networks(config).bind({"params": params}, rngs=rngs)


def where_prior_learns(
    learns: Array | bool, function: Callable[[Params, Any], Any], params: Params, known: Any
) -> Any:
    """function(params, known), whose gradient reaches the prior only where `learns` is 1.

    Elsewhere neither the prior's own networks get any, nor what it knows of the drawing so far. Both sides of
    the choice have the same values, which the compiler computes once.
    """
    if learns is True:
        return function(params, known)
    fixed = {**params, **{name: lax.stop_gradient(params[name]) for name in PRIOR_NETWORKS if name in params}}
    choose = functools.partial(jnp.where, learns)
    return jax.tree_util.tree_map(choose, function(params, known), function(fixed, lax.stop_gradient(known)))


def count(params: Params) -> int:
    """Number of parameters."""
    return sum(leaf.size for leaf in jax.tree_util.tree_leaves(params))
