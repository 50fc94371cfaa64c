"""What is paper: which of dark and bright is the ink, and how bright the paper would be without it.

The paper is looked for in a small copy of the picture. Said for dark ink (for bright ink the picture is
turned into its negative):

1. Every dark thing that is too narrow to hold a square is filled with the brightness around it (a grey
   closing). The picture counts as going on for ever beyond its edges, so that a dark table, a frame, the edge
   of a scanner or a vignette is as wide as can be and stays as it is, however narrow the part in the picture.
   What disappears are lines.
2. The same is done with a square as large as the picture. Now thick marks disappear too. Two things are not
   marks, and stay: a shadow, which is soft at its edge, and a sheet, which has lines on it.
3. What still differs a little from the picture is noise, and the paper is lowered by its mean.

Whether ink is dark or bright is decided by what is filled: thin things count more than thick ones, and what
is left should be even.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from dood_jax.vectorize.pixels import depths, extremes, steepness

_COARSE_SIDE = 480  # pixels of the longer side of the small picture
TINY = 48  # pixels: a smaller picture has neither frame nor table
_LINE = 1 / 8  # of the shorter side: what is narrower is a line
_MOST = 0.85  # of the lines
_LEAST_DEPTH = 0.05  # of a thick mark below the paper around it
_FAINT = 0.35  # of the contrast of clear lines: thick things that are fainter are no marks
_SOFT_EDGE = 0.15  # of a mark's width, and in pixels: a shadow fades over more than that
_SOFT_PIXELS = 6.0
_SHEET = 0.25  # of the shorter side: a sheet that holds lines is wider than this
_EMPTY = 0.5  # of the contrast of clear lines: fainter ones beside the sheet are the table's
_STEP = 0.018  # brightness steeper than this, from pixel to pixel, is the edge of a sheet


class Paper(NamedTuple):
    """The paper of a picture."""

    level: np.ndarray  # float32 [H, W] brightness without ink, 0..1
    ink_is_dark: bool
    is_table: np.ndarray  # bool [H, W]: beside the sheet
    line_width: float  # pixels that hold the thickest lines


class _Lines(NamedTuple):
    """The dark lines of a picture."""

    likeness: float  # how well dark lines on paper describe the picture
    width: float  # pixels; most of them are not wider


def find_paper(dark: np.ndarray, bright: np.ndarray) -> Paper:
    """Finds the paper of a picture.

    Args:
      dark: float32 [H, W], 0..1, all finite: the brightness in which dark ink is looked for.
      bright: the same for bright ink; `dark` itself unless the picture has colours.
    """
    if max(dark.shape) <= TINY:
        return _of_tiny(dark, bright)
    small = [_coarse(dark), _coarse(1 - bright)]
    found = [_lines(*one) for one in small]
    ink_is_dark = found[0].likeness >= found[1].likeness
    (positive, noise), lines = (small[0], found[0]) if ink_is_dark else (small[1], found[1])
    level = _level(positive, noise, lines.width)
    is_table = _table(positive, level)
    level = extremes(level, 3, np.minimum)  # beside a table's edge are mixtures of both
    fine = _enlarge(level, dark.shape)
    is_table = np.asarray(Image.fromarray(is_table).resize(dark.shape[::-1], Image.Resampling.NEAREST))
    width = lines.width * max(dark.shape) / max(level.shape)
    return Paper(fine if ink_is_dark else 1 - fine, ink_is_dark, is_table, width)


def _of_tiny(dark: np.ndarray, bright: np.ndarray) -> Paper:
    """Paper of a picture of few pixels, such as those of MNIST: as even as the median of its edge."""
    border = np.concatenate([dark[0], dark[-1], dark[1:-1, 0], dark[1:-1, -1]])
    level = float(np.median(border))
    ink_is_dark = float(((dark - level).astype(np.float64) ** 3).sum()) <= 0  # strong marks decide
    if not ink_is_dark:
        border = np.concatenate([bright[0], bright[-1], bright[1:-1, 0], bright[1:-1, -1]])
        level = float(np.median(border))
    even = np.full(dark.shape, level, np.float32)
    return Paper(even, ink_is_dark, np.zeros(dark.shape, bool), max(3.0, _LINE * 2 * min(dark.shape)))


def shrink(grey: np.ndarray, side: int) -> np.ndarray:
    """A copy whose longer side is at most `side`; its outermost pixels are those of the picture's edge."""
    height, width = grey.shape
    factor = side / max(height, width)
    if factor >= 1:
        return grey
    size = (max(3, round(width * factor)), max(3, round(height * factor)))
    resized = lambda part, size: np.asarray(Image.fromarray(part).resize(size, Image.Resampling.BOX))
    small = resized(grey, size).copy()
    for k in (0, -1):
        small[k] = resized(grey[[k]], (size[0], 1))[0]
        small[:, k] = resized(grey[:, [k]], (1, size[1]))[:, 0]
    return small


def _coarse(fine: np.ndarray) -> tuple[np.ndarray, float]:
    """A small copy of a picture without its noise, and the noise that is left.

    Lines that fill the picture look like noise in a small copy. Noise is never stronger there than in the
    picture itself.
    """
    most, small = noise_of(fine), shrink(fine, _COARSE_SIDE)
    smooth = _denoised(small, min(noise_of(small), most))
    return smooth, min(noise_of(smooth), most)


def _denoised(grey: np.ndarray, noise: float) -> np.ndarray:
    """Smooths noise, if there is much, but leaves a frame of one pixel apart from what it frames."""
    if noise <= 0.01:
        return grey
    width = 0.8 if noise < 0.04 else 1.2
    smooth = ndimage.gaussian_filter(grey, width, mode="nearest")
    for k in (0, -1):
        smooth[k] = ndimage.gaussian_filter1d(grey[k], width, mode="nearest")
        smooth[:, k] = ndimage.gaussian_filter1d(grey[:, k], width, mode="nearest")
    return smooth


def noise_of(grey: np.ndarray) -> float:
    """Standard deviation of the noise, from the median difference between neighbouring pixels."""
    return float(np.median(np.abs(np.diff(grey, axis=1)))) / 0.954  # of two normal variables of deviation 1


def closing(grey: np.ndarray, side: int) -> np.ndarray:
    """Fills what is dark and holds no square of `side` pixels with the brightness around it."""
    reach = side // 2
    large = np.pad(grey, reach, mode="edge")
    large = extremes(extremes(large, side), side, np.minimum)
    return large[reach:-reach, reach:-reach]


def _lines(grey: np.ndarray, noise: float) -> _Lines:
    """Measures the dark lines of [H, W] by what squares of growing sides fill, in ever smaller copies.

    Lines describe a picture well if much of it is thin and strong, and if what is left without is even.
    """
    floor = 3 * noise
    sides: list[float] = []
    masses: list[float] = []
    factor, filled = 1.0, grey
    while not sides or sides[-1] <= max(grey.shape) / 2:
        for side in (3, 5, 7) if factor == 1 else (5, 7):
            more = closing(filled, side)
            depth = np.maximum(more - filled - floor, 0).astype(np.float64)
            masses.append(factor**2 * float(np.vdot(depth * depth, depth)))
            sides.append(side * factor)
            filled = more
        filled = shrink(filled, max(filled.shape) // 2)
        factor = max(grey.shape) / max(filled.shape)
    are_lines = np.array(sides) <= max(3, _LINE * min(grey.shape))
    mass = np.cumsum(np.where(are_lines, masses, 0))
    width = sides[int(np.searchsorted(mass, _MOST * mass[-1]))]
    amount = sum(mass / side**2 for mass, side in zip(masses, sides, strict=True))
    without = closing(grey, max(3, round(_LINE * min(grey.shape)) | 1))
    roughness = sum(float(np.abs(np.diff(without, axis=axis)).sum()) for axis in (0, 1))
    return _Lines(amount / (1 + roughness), width)


def _level(grey: np.ndarray, noise: float, line_width: float) -> np.ndarray:
    """[H, W] the brightness of the paper below dark ink."""
    lines_gone = closing(grey, round(1.5 * line_width) | 1)
    level = _without_thick_marks(lines_gone, lines_gone - grey)
    rest = grey - level
    is_paper = rest > -max(0.03, 4 * noise)
    return level + local_mean(rest, is_paper)


def local_mean(values: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """[H, W] smooth mean of the chosen pixels of the neighbourhood."""
    mean = lambda a: ndimage.gaussian_filter(shrink(a.astype(np.float32), 120), 120 / 16, mode="nearest")
    smooth = mean(np.where(chosen, values, 0)) / np.maximum(mean(chosen), 0.03)
    return _enlarge(smooth, values.shape)


def _enlarge(grey: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(Image.fromarray(grey).resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def _without_thick_marks(grey: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Fills thick dark marks with the brightness around them; `lines` [H, W] is the depth of the lines."""
    small = shrink(grey, 160)
    filled = closing(small, max(small.shape) | 1)
    filled = np.maximum(grey, _enlarge(extremes(filled, 3, np.minimum), grey.shape))
    depth = filled - grey
    slopes = extremes(steepness(grey), 3)
    level = grey.copy()
    clearest = float(np.quantile(lines, 1 - min(0.3, 12 / lines.size)))
    labels, count = ndimage.label(depth > max(_LEAST_DEPTH, 4 * noise_of(grey), _FAINT * clearest))
    for index, box in enumerate(ndimage.find_objects(labels, count), start=1):
        window = tuple(slice(max(part.start - 3, 0), part.stop + 3) for part in box)
        inside = np.where(labels[window] == index, depth[window], 0)
        core = inside > 0.5 * inside.max()
        if _is_mark(core, inside.max(), slopes[window], lines[window], min(grey.shape)):
            mark = ndimage.binary_dilation(core, np.ones((3, 3)), 3)
            level[window] = np.where(mark, filled[window], level[window])
    return level


def _is_mark(core: np.ndarray, depth: float, slopes: np.ndarray, lines: np.ndarray, side: int) -> bool:
    """Whether a thick dark region, bool [h, w], is a mark, and neither a shadow nor a sheet with lines."""
    distance = depths(np.pad(core, 1))[1:-1, 1:-1]
    width = 2 * float(distance.max())
    fade = 2 * depth / max(float(np.median(slopes[core & (distance <= 1)])), 1e-6)
    if fade > max(_SOFT_PIXELS, _SOFT_EDGE * width):
        return False
    inner = distance > 3
    has_lines = (lines[inner] > max(0.05, 0.4 * depth)).mean() > 0.003 if inner.any() else False
    return not (width > _SHEET * side and has_lines)


def _table(grey: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Bool [H, W]: parts of the paper at the border, apart from the rest by an edge, without clear lines."""
    lines = np.maximum(level - grey, 0)
    smooth = ndimage.uniform_filter(level, 3, mode="nearest")
    labels, count = ndimage.label(steepness(smooth) / 2 < _STEP)
    if count < 2:
        return np.zeros(grey.shape, bool)
    nearest = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
    labels = labels[tuple(nearest)]
    strongest = ndimage.maximum(lines, labels, np.arange(count + 1))
    limit = _EMPTY * np.quantile(lines, 1 - min(0.3, 12 / lines.size))
    border = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    is_table = np.zeros(count + 1, bool)
    is_table[border] = strongest[border] < limit
    return is_table[labels]
