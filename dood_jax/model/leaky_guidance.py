"""Sight without the canvas as it was published: the prior's presence head sees the target (method.md 9.2).

Such a prior cannot invent drawings.
"""

from dood_jax.errors import BadInput
from dood_jax.model import blind_guidance
from dood_jax.model.blind_guidance import Target, for_canvas_slope, for_prior_stroke, look, prepare
from dood_jax.model.guidance import CanvasView, Observation, PriorContext
from dood_jax.model.networks import Networks
from dood_jax.types import Array

__all__ = ["for_canvas_slope", "for_prior_stroke", "look", "prepare"]

SLOPE_IS_OF_FIRST_STROKE = False


def observe(nets: Networks, target: Target, canvas: Array) -> Observation:
    """Features of the target, for the prior too."""
    seen = blind_guidance.observe(nets, target, canvas)
    return seen._replace(canvas=CanvasView((), target.features))


def observe_canvas(nets: Networks, canvas: Array) -> CanvasView:
    """Raises BadInput: without a target there is nothing to see."""
    raise BadInput("model.guidance='none_leaky' cannot sample: its prior sees the target; train with 'none'")


def look_at_canvas(nets: Networks, canvas: Array, layout: Array) -> tuple:
    """Nothing."""
    return blind_guidance.look_at_canvas(nets, canvas, layout)


def for_prior_presence(nets: Networks, situation: PriorContext) -> tuple[Array, ...]:
    """Features of the target."""
    del nets
    return (situation.canvas,)
