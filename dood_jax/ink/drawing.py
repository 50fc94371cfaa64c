"""A vectorised picture, and the formats that it can be had in."""

import dataclasses

import numpy as np

from dood_jax.ink.formats import gif, inkml, plain, sketches, svg
from dood_jax.ink.strokes import Strokes


@dataclasses.dataclass(frozen=True)
class InkDrawing(Strokes):
    """The strokes of one picture, with their formats."""

    def to_svg(self, animated: bool = False) -> str:
        """An SVG with a path a stroke; animated, the strokes appear as they are drawn."""
        return svg.animated(self) if animated else svg.still(self)

    def to_gif(self) -> bytes:
        """A GIF of the strokes being drawn."""
        return gif.encode(self)

    def to_inkml(self) -> str:
        """InkML (W3C 2011), a trace a stroke."""
        return inkml.encode(self)

    def to_stroke3(self) -> np.ndarray:
        """float32 [N, 3] (step x, step y, pen lifted afterwards), in pixels from the origin."""
        return sketches.stroke3(self)

    def to_ndjson(self) -> str:
        """One line in the simplified form of Quick, Draw!: integers 0..255 from the drawing's corner."""
        return sketches.quickdraw(self)

    def to_json(self) -> str:
        """All that is known of every stroke."""
        return plain.encode(self)
