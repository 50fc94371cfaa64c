"""A variational autoencoder as a drawing of one piece that fills the canvas (method.md 9.7).

Its ten numbers stand where control points do; there is no decision on where, or how many, and no pen.
"""

import jax.numpy as jnp
import numpy as np

from dood_jax.distributions import gaussian, presence
from dood_jax.model.air import advance
from dood_jax.model.guidance import Guidance
from dood_jax.model.networks import Networks
from dood_jax.model.recognition import PosteriorStep, StepInputs
from dood_jax.model.state import StrokeState
from dood_jax.networks import air_heads
from dood_jax.networks.heads import Family
from dood_jax.types import BrushParams, StrokeLatents, StrokeLogProbs

__all__ = ["CERTAIN", "WHOLE_CANVAS", "advance", "decide"]

CERTAIN = 20.0  # log-odds that there is a piece, under posterior and prior alike
WHOLE_CANVAS = np.array([0, 0, 1, 0], np.float32)  # the layout


def decide(
    guidance: Guidance, family: Family, nets: Networks, turn: StepInputs
) -> tuple[StrokeState, PosteriorStep]:
    """Samples the numbers that describe the image (`Recognition.decide`)."""
    del guidance, family
    codes = air_heads.code_gaussian(nets.posterior_stroke([*turn.observation.layout]))
    code, log_q_code = gaussian.sample_and_log_prob(codes, turn.noise.control_points)
    one = jnp.ones_like(log_q_code)
    on, off = presence.log_probs(CERTAIN * one)
    layout = jnp.asarray(WHOLE_CANVAS, code.dtype)
    return turn.state, PosteriorStep(
        StrokeLatents(turn.state.presence, layout, code),
        BrushParams(one, one, one),
        StrokeLogProbs(on, off, 0 * one, log_q_code),
        (None, codes),
        (),
    )
