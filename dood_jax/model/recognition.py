"""How a stroke is decided on: the interface of recognition models, and what a decision holds.

`posterior` is DooD's, `air` that of Attend, Infer, Repeat, `vae` that of a variational autoencoder;
`model.parts` chooses.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

from dood_jax.model.guidance import Glimpse, Guidance, Observation
from dood_jax.model.networks import Networks
from dood_jax.model.state import StrokeState
from dood_jax.networks.heads import Family
from dood_jax.types import Array, BrushParams, StrokeLatents, StrokeLogProbs


class StrokeNoise(NamedTuple):
    """The randomness of one stroke."""

    presence: Array  # [] uniform in 0..1
    layout: Array  # [4] standard normal
    control_points: Array  # [P, 2] standard normal


def stroke_noise(key: Array, num_points: int) -> StrokeNoise:
    """Draws the randomness of one stroke; consumes the key."""
    key_presence, key_latents = jax.random.split(key)
    latents = jax.random.normal(key_latents, (4 + 2 * num_points,))
    presence = jax.random.uniform(key_presence)
    return StrokeNoise(presence, latents[:4], latents[4:].reshape(num_points, 2))


class PosteriorStep(NamedTuple):
    """A stroke sampled from the posterior."""

    stroke: StrokeLatents  # of one stroke: no T axis
    brush: BrushParams  # of one stroke; its canvas slope is used at one step only
    log_probs: StrokeLogProbs
    gaussians: tuple[Any, Any]  # the posteriors of layout and control points
    glimpse: Any  # of the canvas in the window, for the prior


class StepInputs(NamedTuple):
    """What one stroke is decided from."""

    observation: Observation  # of target and canvas
    look: Callable[[Array], Glimpse]  # sees the window of a [4] layout
    state: StrokeState  # advanced to this stroke
    noise: StrokeNoise
    hold_presence: bool  # the bit stays on, for objectives that sum over stopping times


class Recognition(Protocol):
    """A kind of recognition model."""

    def advance(self, nets: Networks, state: StrokeState, seen: tuple[Array, ...]) -> StrokeState:
        """Moves the recurrent states that the prior shares to the next stroke, by what the canvas shows."""

    def decide(
        self, guidance: Guidance, family: Family, nets: Networks, turn: StepInputs
    ) -> tuple[StrokeState, PosteriorStep]:
        """Samples one stroke: whether there is one, where, which, and with what pen."""
