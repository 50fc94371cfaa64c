"""Fixed priors, which know nothing of the drawing: an ablation's, AIR's, a VAE's (method.md 9.4 to 9.7)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.distributions import gaussian, presence
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.model.guidance import Guidance, PriorContext
from dood_jax.model.networks import Networks
from dood_jax.model.spread import Spread
from dood_jax.model.vae import CERTAIN, WHOLE_CANVAS
from dood_jax.networks.heads import Family
from dood_jax.types import Array, StrokeLatents, StrokeLogProbs

_LAYOUT_MEAN, _LAYOUT_SCALE = np.array([0, 0, 0.8, 0]), np.array([0.2, 0.2, 0.2, 0.4])


class FixedPrior(NamedTuple):
    """Odds for a stroke, one Gaussian for its layout, one for every number that describes it."""

    mean: float
    scale: float
    log_odds: float = 0.0  # that there is a next stroke
    is_placed: bool = True  # else every layout is the whole canvas, and weighs nothing

    def presence_log_probs(
        self, guidance: Guidance, family: Family, nets: Networks, situation: PriorContext
    ) -> tuple[Array, Array]:
        """[] log-probabilities that there is a next stroke, and that there is none."""
        del guidance, family, nets
        return presence.log_probs(jnp.full((), self.log_odds, situation.layout_hidden.dtype))

    def log_probs(
        self,
        guidance: Guidance,
        family: Family,
        nets: Networks,
        situation: PriorContext,
        stroke: StrokeLatents,
    ) -> StrokeLogProbs:
        """Log-probabilities of one given stroke."""
        on, off = self.presence_log_probs(guidance, family, nets, situation)
        layouts, strokes = self._gaussians(situation.layout_hidden.dtype, stroke.control_points.shape)
        layout = gaussian.log_prob(layouts, stroke.layout) if self.is_placed else jnp.zeros_like(on)
        return StrokeLogProbs(on, off, layout, gaussian.log_prob(strokes, stroke.control_points))

    def sample(
        self,
        guidance: Guidance,
        family: Family,
        nets: Networks,
        situation: PriorContext,
        canvas: Array,
        spread: Spread,
        key: Array,
    ) -> StrokeLatents:
        """Samples one stroke, presence unmasked; consumes the key."""
        del canvas
        key_presence, key_layout, key_stroke = jax.random.split(key, 3)
        layouts, strokes = self._gaussians(situation.layout_hidden.dtype, (nets.config.num_points, 2))
        noise = lambda one, key: one.scale * jax.random.normal(key, one.mean.shape, one.mean.dtype)
        draw = lambda one, factor, key: one.mean + factor * noise(one, key)
        on, _ = self.presence_log_probs(guidance, family, nets, situation)
        bit = jax.random.bernoulli(key_presence, jnp.exp(on)).astype(jnp.float32)
        layout = draw(layouts, spread.of_layout, key_layout) if self.is_placed else jnp.asarray(WHOLE_CANVAS)
        return StrokeLatents(bit, layout, draw(strokes, spread.of_point, key_stroke))

    def _gaussians(self, dtype: jnp.dtype, shape: tuple[int, ...]) -> tuple[Gaussian, Gaussian]:
        """Over layouts, and over the [P, 2] numbers of a stroke."""
        layouts = Gaussian(jnp.asarray(_LAYOUT_MEAN, dtype), jnp.asarray(_LAYOUT_SCALE, dtype))
        return layouts, Gaussian(jnp.full(shape, self.mean, dtype), jnp.full(shape, self.scale, dtype))


OVER_POINTS = FixedPrior(mean=0.5, scale=0.2)  # control points in their frame (method.md 9.4)
OVER_CODES = FixedPrior(mean=0.0, scale=1.0)  # AIR's numbers (method.md 9.5)
OVER_IMAGES = OVER_CODES._replace(log_odds=CERTAIN, is_placed=False)  # a VAE's (method.md 9.7)
