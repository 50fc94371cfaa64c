"""The rivals of DooD, in the same frame: Attend, Infer, Repeat (method.md 9.5), and a VAE (9.6).

Ten numbers, which stand where control points do, say what a piece of the image is. There is no brush. With
`model.guidance=residual` the networks see what is still to be drawn (Difference-AIR), with `none` the image.
"""

from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn

from dood_jax.config.model import ModelConfig
from dood_jax.distributions import presence
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.geometry import IDENTITY_LAYOUT
from dood_jax.model.guidance import Glimpse, Observation
from dood_jax.model.networks import GRUCell, Head, bounded
from dood_jax.model.prior import CERTAIN
from dood_jax.model.published import DenseStack, published_cell
from dood_jax.model.recognition import Placement, PosteriorStep, Recognition, StrokeNoise
from dood_jax.model.stroke import StrokeState
from dood_jax.types import Array, BrushParams, StrokeLatents, StrokeLogProbs

_LEAST = 1e-6
_SHIFT = 0.8  # largest


def layout_gaussian(raw: Array) -> Gaussian:
    """[8] raw numbers, means and scales -> AIR's posterior of a layout; its angle has no limits."""
    shift = bounded(raw[:2], -_SHIFT, _SHIFT)
    mean = jnp.concatenate([shift, jax.nn.softplus(raw[2:3]) + _LEAST, raw[3:4]])
    return Gaussian(mean, jax.nn.softplus(raw[4:]))


def code_gaussian(raw: Array) -> Gaussian:
    """[4 P] raw numbers, means and scales -> the posterior of the [P, 2] numbers that describe a piece."""
    mean, scale = raw.reshape(2, -1, 2)
    return Gaussian(jnp.tanh(mean), jax.nn.softplus(scale) + _LEAST)


def _presence_layout_head(config: ModelConfig) -> nn.Module:
    """The head of presence and layout, as fast as DooD's fast ones or as published."""
    if config.latents == "correlated":
        return DenseStack((config.features, config.features), 9)
    return Head(256, 9, output_scale=0, output_bias=(2, 0, 0, 0.5, 0, *(-2,) * 4))


def _code_head(config: ModelConfig) -> nn.Module:
    """The head of the numbers that describe a piece."""
    count = 2 * config.num_points
    if config.latents == "correlated":
        return DenseStack((config.features, config.features), 2 * count)
    return Head(256, 2 * count, output_scale=0.3, output_bias=(*(0,) * count, *(-2,) * count))


def _cell(config: ModelConfig) -> GRUCell:
    return published_cell(config.features) if config.latents == "correlated" else GRUCell(config.features)


class AirRecognition(Recognition):
    """AIR's: where a piece is, then what it is, with a recurrent network for either.

    The prior is fixed and shares no recurrent state, so `advance` moves none.
    """

    def setup(self) -> None:
        """Declares both recurrent networks and both heads."""
        self.posterior_presence_layout = _presence_layout_head(self.config)
        self.posterior_stroke = _code_head(self.config)
        self.layout_rnn = _cell(self.config)
        self.stroke_rnn = _cell(self.config)

    def advance(self, state: StrokeState, canvas_features: tuple[Array, ...]) -> StrokeState:
        """The state as it is."""
        return state

    def place(
        self, state: StrokeState, observation: Observation, noise: StrokeNoise, hold_presence: bool
    ) -> tuple[StrokeState, Placement]:
        """Moves the first recurrent state by the last piece, and samples presence and layout."""
        last = [state.presence[None], state.layout, state.control_points.reshape(-1)]
        inputs = jnp.concatenate([*last, *observation.layout])
        layout_hidden = self.layout_rnn(state.layout_hidden, inputs)
        raw = self.posterior_presence_layout([layout_hidden])
        on, off = presence.log_probs(raw[0])
        bit = jnp.ones(()) if hold_presence else presence.toss(on, noise.presence)
        posterior = layout_gaussian(raw[1:])
        layout, log_prob = posterior.sample_and_log_prob(noise.layout)
        state = state._replace(layout_hidden=layout_hidden)
        return state, Placement(bit, on, off, layout, log_prob, posterior)

    def shape(
        self,
        state: StrokeState,
        placement: Placement,
        observation: Observation,
        glimpse: Glimpse,
        noise: StrokeNoise,
    ) -> tuple[StrokeState, PosteriorStep]:
        """Moves the second recurrent state by the glimpse, and samples the numbers of the piece."""
        stroke_hidden = self.stroke_rnn(state.stroke_hidden, jnp.concatenate(glimpse.features))
        posterior = code_gaussian(self.posterior_stroke([stroke_hidden]))
        code, log_prob = posterior.sample_and_log_prob(noise.control_points)
        one = jnp.ones_like(placement.on)
        return state._replace(stroke_hidden=stroke_hidden), PosteriorStep(
            StrokeLatents(placement.presence * state.presence, placement.layout, code),
            BrushParams(one, one, one),
            StrokeLogProbs(placement.on, placement.off, placement.layout_log_prob, log_prob),
            None,
            (placement.layout_posterior, posterior),
        )


class VaeRecognition(Recognition):
    """A variational autoencoder as a drawing of one piece that fills the canvas and is always there."""

    needs_glimpse: ClassVar[bool] = False

    def setup(self) -> None:
        """Declares the head of the ten numbers."""
        self.posterior_stroke = _code_head(self.config)

    def advance(self, state: StrokeState, canvas_features: tuple[Array, ...]) -> StrokeState:
        """The state as it is."""
        return state

    def place(
        self, state: StrokeState, observation: Observation, noise: StrokeNoise, hold_presence: bool
    ) -> tuple[StrokeState, Placement]:
        """There is nothing to decide."""
        one = jnp.ones((), state.presence.dtype)
        on, off = presence.log_probs(CERTAIN * one)
        layout = jnp.asarray(IDENTITY_LAYOUT, state.presence.dtype)
        return state, Placement(one, on, off, layout, 0 * one, None)

    def shape(
        self,
        state: StrokeState,
        placement: Placement,
        observation: Observation,
        glimpse: Glimpse,
        noise: StrokeNoise,
    ) -> tuple[StrokeState, PosteriorStep]:
        """Samples the numbers that describe the image from its features."""
        posterior = code_gaussian(self.posterior_stroke([*observation.layout]))
        code, log_prob = posterior.sample_and_log_prob(noise.control_points)
        one = jnp.ones_like(log_prob)
        return state, PosteriorStep(
            StrokeLatents(state.presence, placement.layout, code),
            BrushParams(one, one, one),
            StrokeLogProbs(placement.on, placement.off, placement.layout_log_prob, log_prob),
            None,
            (None, posterior),
        )
