"""A fixed prior that knows nothing of the drawing: the ablation of the sequential one (method.md 9.4)."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.distributions import gaussian
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.model.guidance import Guidance, Situation
from dood_jax.model.networks import Networks
from dood_jax.model.spread import Spread
from dood_jax.networks.heads import Family
from dood_jax.types import Array, StrokeLatents, StrokeLogProbs

_ON = 0.5
_LAYOUT_MEAN, _LAYOUT_SCALE = np.array([0, 0, 0.8, 0]), np.array([0.2, 0.2, 0.2, 0.4])
_POINT_MEAN, _POINT_SCALE = 0.5, 0.2


def presence_log_probs(
    guidance: Guidance, family: Family, nets: Networks, situation: Situation
) -> tuple[Array, Array]:
    """[] log-probabilities that there is a next stroke, and that there is none: the same."""
    del guidance, family, nets
    even = jnp.full((), math.log(_ON), situation.layout_hidden.dtype)
    return even, even


def log_probs(
    guidance: Guidance, family: Family, nets: Networks, situation: Situation, stroke: StrokeLatents
) -> StrokeLogProbs:
    """Log-probabilities of one given stroke."""
    on, off = presence_log_probs(guidance, family, nets, situation)
    layouts, strokes = _gaussians(situation.layout_hidden.dtype, stroke.control_points.shape)
    layout = gaussian.log_prob(layouts, stroke.layout)
    return StrokeLogProbs(on, off, layout, gaussian.log_prob(strokes, stroke.control_points))


def sample(
    guidance: Guidance,
    family: Family,
    nets: Networks,
    situation: Situation,
    canvas: Array,
    spread: Spread,
    key: Array,
) -> StrokeLatents:
    """Samples one stroke, presence unmasked; consumes the key."""
    del guidance, family, canvas
    key_presence, key_layout, key_stroke = jax.random.split(key, 3)
    layouts, strokes = _gaussians(situation.layout_hidden.dtype, (nets.config.num_points, 2))
    noise = lambda one, key: one.scale * jax.random.normal(key, one.mean.shape, one.mean.dtype)
    draw = lambda one, factor, key: one.mean + factor * noise(one, key)
    bit = jax.random.bernoulli(key_presence, _ON).astype(jnp.float32)
    layout = draw(layouts, spread.of_layout, key_layout)
    return StrokeLatents(bit, layout, draw(strokes, spread.of_point, key_stroke))


def _gaussians(dtype: jnp.dtype, shape: tuple[int, ...]) -> tuple[Gaussian, Gaussian]:
    """Over layouts, and over control points [P, 2]."""
    layouts = Gaussian(jnp.asarray(_LAYOUT_MEAN, dtype), jnp.asarray(_LAYOUT_SCALE, dtype))
    return layouts, Gaussian(jnp.full(shape, _POINT_MEAN, dtype), jnp.full(shape, _POINT_SCALE, dtype))
