"""The colour of each stroke's ink, looked up in the image."""

import numpy as np

from dood_jax.vectorize.curves import InkStroke

_CORE = 0.67  # of the pixels along a stroke, the fraction that is left out because paper shines through
_SAME_PEN = 24  # of 255: the largest difference of two channels between strokes of one pen
_WHITE, _BLACK = 160, 96  # of 255: all channels of white ink are above, the paper of a blackboard is below


def coloured(strokes: list[InkStroke], colour: np.ndarray, ink: np.ndarray) -> list[InkStroke]:
    """Gives every stroke the colour of its pen.

    Its own colour is the median of those of its pixels that hold most ink. Strokes whose colours hardly
    differ are of one pen, and get the colour of the longest of them.

    White ink on dark paper gets none, and so becomes black ink: drawings are written without their paper, and
    white strokes would not be seen.

    Args:
      strokes: of the image.
      colour: uint8 [H, W, 3] of the image.
      ink: float32 [H, W], 0..1.
    """
    paper = np.median(colour[ink < 0.1], axis=0) if (ink < 0.1).any() else np.full(3, 255.0)
    found = list(strokes)
    pens: list[np.ndarray] = []
    for index in sorted(range(len(strokes)), key=lambda i: -len(strokes[i].points())):
        own = _own_colour(strokes[index], colour, ink)
        pen = next((one for one in pens if np.abs(one - own).max() <= _SAME_PEN), own)
        if pen is own:
            pens.append(own)
        if not (pen.min() > _WHITE and paper.max() < _BLACK):
            red, green, blue = (round(float(channel)) for channel in pen)
            found[index] = found[index]._replace(colour=(red, green, blue))
    return found


def _own_colour(stroke: InkStroke, colour: np.ndarray, ink: np.ndarray) -> np.ndarray:
    """[3] the median colour of the pixels in the core of a stroke."""
    rows, columns = _pixels(stroke, ink.shape)
    amount = ink[rows, columns]
    core = amount >= np.quantile(amount, _CORE)
    return np.median(colour[rows[core], columns[core]], axis=0)


def _pixels(stroke: InkStroke, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels on a stroke's path, or in the area that it goes round."""
    points = stroke.points()
    if stroke.is_filled and len(points) > 2:
        from skimage.draw import polygon  # noqa: PLC0415 - takes long, and few strokes are filled

        rows, columns = polygon(points[:, 1] - 0.5, points[:, 0] - 0.5, shape)
        if len(rows):
            return rows, columns
    columns, rows = np.floor(points).astype(int).T
    return rows.clip(0, shape[0] - 1), columns.clip(0, shape[1] - 1)
