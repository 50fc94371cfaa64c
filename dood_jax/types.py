"""The axis alphabet and the named arrays that the layers hand to each other.

Axes: B batch, K particles, T strokes, P control points, S curve samples, H W pixels, M mixture
components, D features. A field written `[..., T]` may carry leading batch axes.

Our names and the paper's: presence is o, layout is l, control points are s (a stroke), the canvas is
x_<t, the residual is the target less the canvas, ink width is the pen's standard deviation.
"""

from typing import NamedTuple

import jax

Array = jax.Array


class StrokeLatents(NamedTuple):
    """The latent variables of a drawing."""

    presence: Array  # [..., T] on/off bits, 1 = the stroke is drawn; once 0, always 0
    layout: Array  # [..., T, 4] shift x, shift y, scale, angle (radians), in the signed square
    control_points: Array  # [..., T, P, 2] (x, y) in the unit square of the stroke's own frame


class BrushParams(NamedTuple):
    """How the pen of a drawing marks the canvas; none of it has a prior."""

    ink_width: Array  # [..., T] standard deviation of the pen, as a share of the picture
    ink_slope: Array  # [..., T] slope of one stroke's ink squash
    canvas_slope: Array  # [...] slope of the canvas squash


class StrokeLogProbs(NamedTuple):
    """Log-probabilities of every stroke under one distribution, not yet masked by presence."""

    on: Array  # [..., T] log-probability that the stroke is drawn, given all before were
    off: Array  # [..., T] log-probability that the drawing stops before the stroke
    layout: Array  # [..., T] log-density of the layout
    control_points: Array  # [..., T] log-density of the control points


class Drawing(NamedTuple):
    """What the recognition model makes of a picture."""

    strokes: StrokeLatents
    brush: BrushParams
    ink: Array  # [..., T, H, W] the ink of each stroke, blank where presence is 0
    posterior: StrokeLogProbs
    prior: StrokeLogProbs
    seen: "Seen | None" = None
    final_stop: Array | float = 0.0  # [...] prior log-probability that no stroke follows the last, if weighed


class Seen(NamedTuple):
    """Features that a baseline may look at, before each stroke."""

    target: Array  # [..., T, F] of the target, where the encoder tells it from the canvas
    canvas: Array  # [..., T, F] of the canvas; no numbers for a model that does not see it


class Sketch(NamedTuple):
    """Finished drawings, inferred or invented."""

    strokes: StrokeLatents
    brush: BrushParams
    canvases: Array  # [..., T, H, W] after each stroke
