"""What the networks see of target and canvas ("execution guidance"): the interface, and what it returns.

One module for each kind of sight implements `Guidance`; `model.parts` chooses. Vectors stand in tuples, to be
joined with the others that a network takes.
"""

from typing import Any, NamedTuple, Protocol

from dood_jax.model.networks import Networks
from dood_jax.types import Array


class Observation(NamedTuple):
    """What is seen before a stroke, by who sees it."""

    presence: tuple[Array, ...]  # by the posterior's presence head
    layout: tuple[Array, ...]  # by the posterior's layout head, beside its recurrent state
    canvas: "CanvasView"  # by both recurrent networks and the prior
    target_features: Array  # [F] by NVIL's baseline


class CanvasView(NamedTuple):
    """What is seen of the canvas alone."""

    features: tuple[Array, ...]  # by both recurrent networks
    for_prior: Any  # kept for the prior, which weighs all strokes together after the last


class Glimpse(NamedTuple):
    """What is seen in the window of a layout."""

    features: tuple[Array, ...]  # by the posterior's stroke head and the pen
    for_prior: Any  # of the canvas alone, kept for the prior


class PriorContext(NamedTuple):
    """What the prior knows before a stroke, and of the canvas where the stroke is to be."""

    layout_hidden: Array  # [F] recurrent states, advanced to this stroke
    stroke_hidden: Array  # [F]
    canvas: Any  # `CanvasView.for_prior` of the canvas before the stroke
    glimpse: Any  # `Glimpse.for_prior` in the stroke's window


class Guidance(Protocol):
    """A kind of sight; canvases carry no gradient, glimpses carry it to the layout (method.md 5)."""

    SLOPE_IS_OF_FIRST_STROKE: bool  # whether the canvas has its slope from the first stroke, or the last

    def prepare(self, nets: Networks, image: Array) -> Any:
        """Encodes what does not depend on the canvas of a [H, W] image: the target."""

    def observe(self, nets: Networks, target: Any, canvas: Array) -> Observation:
        """Sees a target and the [H, W] canvas."""

    def observe_canvas(self, nets: Networks, canvas: Array) -> CanvasView:
        """Sees the [H, W] canvas alone, to invent a stroke."""

    def for_canvas_slope(self, observation: Observation, layout_hidden: Array) -> tuple[Array, ...]:
        """What the head of the canvas slope takes."""

    def look(self, nets: Networks, target: Any, canvas: Array, layout: Array) -> Glimpse:
        """Sees the window of a [4] layout."""

    def look_at_canvas(self, nets: Networks, canvas: Array, layout: Array) -> Any:
        """`Glimpse.for_prior` without a target."""

    def for_prior_presence(self, nets: Networks, situation: PriorContext) -> tuple[Array, ...]:
        """What the prior's presence head takes."""

    def for_prior_stroke(self, nets: Networks, situation: PriorContext) -> tuple[Array, ...]:
        """What the prior's stroke head takes beside recurrent state and layout."""
