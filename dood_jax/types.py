"""The axis alphabet and the named arrays that the layers hand to each other.

Axes: B batch, K particles, T strokes, P control points, S curve samples, H W pixels, M mixture
components, D features. A field written `[..., T]` may carry leading batch axes.

Our names and the paper's: presence is o, layout is l, control points are s (a stroke), the canvas is
x_<t, the residual is the target less the canvas, ink width is the brush's standard deviation.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import numpy as np
from jax import export

from dood_jax.errors import BadInput

Array = jax.Array  # of JAX; a NumPy array is an np.ndarray
Leaf = TypeVar("Leaf")  # what a record holds: arrays of JAX, of NumPy, or plain numbers


class StrokeLatents(NamedTuple):
    """The latent variables of a drawing."""

    presence: Array  # [..., T] on/off bits, 1 = the stroke is drawn; once 0, always 0
    layout: Array  # [..., T, 4] shift x, shift y, scale, angle (radians), in the signed square
    control_points: Array  # [..., T, P, 2] (x, y) in the unit square of the stroke's own frame


class BrushParams(NamedTuple, Generic[Leaf]):
    """How a drawing marks the canvas: latent variables of an autoregressive model, free numbers of others."""

    ink_width: Leaf  # [..., T] standard deviation of the brush, as a fraction of the image's side
    ink_slope: Leaf  # [..., T] slope of one stroke's ink squash
    canvas_slope: Leaf  # [...] slope of the canvas squash
    # [..., T, 2] logarithm of the width at the first and at the last control point over that in the middle of
    # the curve, which is `ink_width`; None: strokes are of even width.
    taper: Leaf | None = None


class StrokeLogProbs(NamedTuple):
    """Log-probabilities of every stroke under one distribution, not yet masked by presence."""

    on: Array  # [..., T] log-probability that the stroke is drawn, given all before were
    off: Array  # [..., T] log-probability that the drawing stops before the stroke
    layout: Array  # [..., T] log-density of the layout
    control_points: Array  # [..., T] log-density of the control points
    brush: Array | None = None  # [..., T] log-density of the brush, where it is latent

    @property
    def of_stroke(self) -> Array:
        """[..., T] log-density of all that is decided on once a stroke is drawn."""
        return self.layout + self.control_points + (0 if self.brush is None else self.brush)


class Drawing(NamedTuple):
    """What the recognition model makes of an image."""

    strokes: StrokeLatents
    brush: BrushParams
    ink: Array  # [..., T, H, W] the ink of each stroke, blank where presence is 0
    posterior: StrokeLogProbs
    prior: StrokeLogProbs
    seen: "BaselineInputs | None" = None
    final_stop: Array | float = 0.0  # [...] prior log-probability that no stroke follows, if counted


class Start(NamedTuple):
    """What iterations begin with: the drawing of a first pass."""

    strokes: StrokeLatents
    brush: BrushParams
    log_probs: StrokeLogProbs  # under the posterior; those of presence bits hold after the iterations too

    def first(self, count: int | None) -> tuple[StrokeLatents, BrushParams]:
        """The first strokes and their brush; all if None."""
        firsts = lambda tree: jax.tree_util.tree_map(lambda leaf: leaf[:count], tree)
        of_strokes = firsts(self.brush._replace(canvas_slope=None))
        return firsts(self.strokes), of_strokes._replace(canvas_slope=self.brush.canvas_slope)


class BaselineInputs(NamedTuple):
    """Features that a baseline may look at, before each stroke."""

    target: Array  # [..., T, D] of the target, where the encoder tells it from the canvas
    canvas: Array  # [..., T, D] of the canvas; no numbers for a model that does not see it


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Sketch:
    """Finished drawings, inferred or generated.

    A batch of them has a length, and is indexed as an array is: `sketch[2:5]`, `sketch[mask]`. A number takes
    one drawing out, as a batch of one, so that whatever takes a sketch takes it too.
    """

    strokes: StrokeLatents
    brush: BrushParams
    canvases: Array  # [..., T, H, W] after each stroke

    def __len__(self) -> int:
        """Drawings in a batch."""
        return len(self.canvases)

    def __getitem__(self, which: Any) -> "Sketch":
        """Some of a batch, by number, slice, mask or list of numbers."""
        if isinstance(which, slice):
            return jax.tree_util.tree_map(lambda leaf: leaf[which], self)
        rows = np.atleast_1d(np.asarray(which, None if np.size(which) else int))
        if rows.ndim > 1 or isinstance(which, tuple):
            raise IndexError(f"sketch[{which}]: drawings have one index; give a number, slice, mask or list")
        return jax.tree_util.tree_map(lambda leaf: leaf[rows], self)

    def __iter__(self) -> Iterator["Sketch"]:
        """One drawing after the other, each a batch of one."""
        return (self[i] for i in range(len(self)))

    @staticmethod
    def join(sketches: Iterable["Sketch"]) -> "Sketch":
        """One batch of several, of equally many strokes; raises BadInput where they are not."""
        sketches = list(sketches)
        counts = sorted({sketch.strokes.presence.shape[1] for sketch in sketches})
        if len(counts) != 1:
            raise BadInput(f"sketches of {counts} strokes cannot be joined; give some, all of one number")
        return jax.tree_util.tree_map(lambda *leaves: np.concatenate(leaves), *sketches)


# By these names programs that are kept on disk know what they return.
for _kind in (StrokeLatents, BrushParams, StrokeLogProbs, Start):
    export.register_namedtuple_serialization(_kind, serialized_name=f"dood_jax.{_kind.__name__}")
export.register_pytree_node_serialization(
    Sketch,
    serialized_name="dood_jax.Sketch",
    serialize_auxdata=lambda _: b"",  # it has none
    deserialize_auxdata=lambda _: (),
)
