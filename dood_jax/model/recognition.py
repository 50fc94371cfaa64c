"""The recognition model: is there a stroke, where, which, and with what brush (method.md 5).

A stroke is decided on in two steps, since what is seen in its window depends on where it is: first `place`,
then `shape`. `StrokeRecognition` is DooD's; those of AIR and of a variational autoencoder are in `rivals`.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from dood_jax.config.model import ModelConfig
from dood_jax.distributions import presence
from dood_jax.distributions.gaussian import AnyGaussian
from dood_jax.model import brush_latents
from dood_jax.model.brush_latents import STROKE_NUMBERS
from dood_jax.model.families import Family, brush_of
from dood_jax.model.guidance import Glimpse, Observation
from dood_jax.model.stroke import StrokeState
from dood_jax.types import Array, BrushParams, StrokeLatents, StrokeLogProbs


class StrokeNoise(NamedTuple):
    """The randomness of one stroke."""

    presence: Array  # [] uniform in 0..1
    layout: Array  # [4] standard normal
    control_points: Array  # [P, 2] standard normal
    brush: Array | None = None  # [5] standard normal, where the brush is latent


def stroke_noise(key: Array, num_points: int, has_brush: bool = False) -> StrokeNoise:
    """Draws the randomness of one stroke, of its brush too if that is latent; consumes the key."""
    key_presence, key_latents = jax.random.split(key)
    last = 4 + 2 * num_points
    latents = jax.random.normal(key_latents, (last + (STROKE_NUMBERS + 1) * has_brush,))
    presence = jax.random.uniform(key_presence)
    of_brush = latents[last:] if has_brush else None
    return StrokeNoise(presence, latents[:4], latents[4:last].reshape(num_points, 2), of_brush)


class Placement(NamedTuple):
    """Whether there is a stroke, and where."""

    presence: Array  # [] the bit, given that all before were on
    on: Array  # [] log-probability of a stroke, given that all before were drawn
    off: Array  # [] log-probability of none
    layout: Array  # [4]
    layout_log_prob: Array  # []
    layout_posterior: AnyGaussian | None  # that the layout was sampled from


class PosteriorStep(NamedTuple):
    """A stroke sampled from the posterior."""

    stroke: StrokeLatents  # of one stroke: no T axis
    brush: BrushParams  # of one stroke; its canvas slope is used at one step only
    log_probs: StrokeLogProbs
    canvas_slope_log_prob: Array | None  # [] where the brush is latent
    posteriors: tuple[AnyGaussian | None, AnyGaussian]  # of layout and control points


class Recognition(nn.Module):
    """A kind of recognition model. A new one implements these methods and is named in `dood.build`."""

    config: ModelConfig

    needs_glimpse: ClassVar[bool] = True  # otherwise `shape` is given an empty one

    def advance(self, state: StrokeState, canvas_features: tuple[Array, ...]) -> StrokeState:
        """Moves the recurrent states that the prior shares to the next stroke, by what the canvas shows."""
        raise NotImplementedError

    def place(
        self, state: StrokeState, observation: Observation, noise: StrokeNoise, hold_presence: bool
    ) -> tuple[StrokeState, Placement]:
        """Samples whether there is a stroke, and where; with `hold_presence` there is one."""
        raise NotImplementedError

    def shape(
        self,
        state: StrokeState,
        placement: Placement,
        observation: Observation,
        glimpse: Glimpse,
        noise: StrokeNoise,
    ) -> tuple[StrokeState, PosteriorStep]:
        """Samples the control points of a placed stroke from a glimpse of its window, and its brush."""
        raise NotImplementedError


class StrokeRecognition(Recognition):
    """DooD's: two recurrent networks over strokes, shared with the prior, and a head for every decision."""

    family: Family

    def setup(self) -> None:
        """Declares both recurrent networks and the heads."""
        heads = self.family.posterior_heads(self.config)
        self.posterior_presence = heads.presence
        self.posterior_layout = heads.layout
        self.posterior_stroke = heads.stroke
        self.canvas_slope = heads.canvas_slope
        self.brush = heads.brush
        self.layout_rnn = self.family.cell(self.config.features)
        self.stroke_rnn = self.family.cell(self.config.features)

    def advance(self, state: StrokeState, canvas_features: tuple[Array, ...]) -> StrokeState:
        """One step of both recurrent networks on the last stroke and the canvas (method.md 4)."""
        layout_input = jnp.concatenate([state.layout, *canvas_features])
        stroke_input = jnp.concatenate([state.control_points.reshape(-1), state.brush, *canvas_features])
        return state._replace(
            layout_hidden=self.layout_rnn(state.layout_hidden, layout_input),
            stroke_hidden=self.stroke_rnn(state.stroke_hidden, stroke_input),
        )

    def place(
        self, state: StrokeState, observation: Observation, noise: StrokeNoise, hold_presence: bool
    ) -> tuple[StrokeState, Placement]:
        """Samples presence and layout from target, canvas and the recurrent state, which stays."""
        on, off = self.family.presence(self.posterior_presence(observation.presence)[0])
        bit = jnp.ones(()) if hold_presence else presence.toss(on, noise.presence)
        raw = self.posterior_layout([state.layout_hidden, *observation.layout])
        posterior = self.family.layout_posterior(raw)
        layout, log_prob = posterior.sample_and_log_prob(noise.layout)
        return state, Placement(bit, on, off, layout, log_prob, posterior)

    def shape(
        self,
        state: StrokeState,
        placement: Placement,
        observation: Observation,
        glimpse: Glimpse,
        noise: StrokeNoise,
    ) -> tuple[StrokeState, PosteriorStep]:
        """Samples control points and decides on the brush; the recurrent state stays."""
        inputs = [state.stroke_hidden, *glimpse.features]
        posterior = self.family.stroke_posterior(self.posterior_stroke(inputs))
        control_points, log_prob = posterior.sample_and_log_prob(noise.control_points)
        by_layout_head = [state.layout_hidden, *observation.layout]
        raw = self.brush([*inputs, placement.layout])
        raw_canvas = self.canvas_slope(observation.canvas_slope or by_layout_head)
        brush, log_brush, log_canvas_slope = self._sample_brush(raw, raw_canvas, noise)
        return state, PosteriorStep(
            StrokeLatents(placement.presence * state.presence, placement.layout, control_points),
            brush,
            StrokeLogProbs(placement.on, placement.off, placement.layout_log_prob, log_prob, log_brush),
            log_canvas_slope,
            (placement.layout_posterior, posterior),
        )

    def _sample_brush(
        self, raw: Array, raw_canvas: Array, noise: StrokeNoise
    ) -> tuple[BrushParams, Array | None, Array | None]:
        """The brush of raw numbers, and the [] log-densities of what is sampled: nothing if it is free."""
        taper = raw[2:4] if self.config.has_latent_brush else None
        brush = brush_of(self.config, BrushParams(raw[0], raw[1], raw_canvas[0], taper))
        if noise.brush is None:
            return brush, None, None
        posterior = brush_latents.around(brush, raw[STROKE_NUMBERS:], raw_canvas[1])
        return brush_latents.sample(posterior, noise.brush)
