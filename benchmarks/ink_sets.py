"""Images of lines with their truth: known strokes, human pen strokes, sketches.

Known strokes come from the package's generator and from the single-stroke fonts of `hershey-fonts`; they are
rendered by Pillow, not by our brush, at 3 sizes and 3 pen widths, a quarter each clean, noisy, shaded and
inverted. What is measured was not used to choose rules and constants: for that, known strokes were drawn with
other seeds (`choosing`), and the first `CHOSEN_BY` human characters were looked at. Strokes whose ends meet
where no other passes count as one: no image can show that the pen was lifted there.
"""

import dataclasses
import itertools
import os
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from PIL import Image, ImageDraw

from dood_jax.data import omniglot, pack, sources
from dood_jax.data.synthetic import random_drawing

SIZES, WIDTHS = (64, 128, 256), (0.02, 0.035, 0.05)  # pixels; fraction of the size
CONDITIONS = ("clean", "noise", "shading", "inversion")
FONTS = ("futural", "rowmans", "scripts", "cursive", "greek")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_OVERSAMPLING = 8
CHOSEN_BY = 192  # human characters that rules were chosen by; they are not measured


@dataclasses.dataclass
class Known:
    """An image and how it was drawn."""

    grey: np.ndarray  # float32 [H, W] as a tool is given it
    ink: np.ndarray  # float32 [H, W] without noise, shading or inversion
    strokes: list[np.ndarray]  # [n, 2] each, in drawing order; none if they are not known
    width: float  # pixels; NaN if unknown
    source: str
    condition: str


def known_set(count: int, choosing: bool = False) -> list[Known]:
    """`count` drawings of each source, size and width: those to measure, or those to choose rules by."""
    makers = (("generator", generator_strokes), ("font", font_strokes))
    return [
        known
        for source, size, width in itertools.product(makers, SIZES, WIDTHS)
        for known in _rendered(*source, size, width, count, choosing)
    ]


def omniglot_set(count: int) -> list[Known]:
    """Human pen strokes beside the images made of them; for measuring only."""
    folder = sources.data_directory(None)
    human = omniglot.human_strokes(folder)
    shuffled = np.random.default_rng(0).permutation(len(human.train_row))
    chosen = np.sort(shuffled[CHOSEN_BY : CHOSEN_BY + count])
    path = pack.path_of(folder, "omniglot", "train")
    bits = pack.read_arrays(path, ("image",))["image"][human.train_row[chosen]]
    inks = pack.unpack_bits(path, bits, (omniglot.SIZE, omniglot.SIZE)).astype(np.float32) / 255
    strokes = [[points.astype(float) + 0.5 for points in human.strokes_of(index)] for index in chosen]
    return [
        Known(1 - ink, ink, of_image, float("nan"), "omniglot", "clean")
        for ink, of_image in zip(inks, strokes, strict=True)
    ]


def quickdraw_set(count: int) -> list[Known]:
    """Sketches at 28 x 28 pixels, of which the strokes are not known."""
    file = Path(os.environ["DOOD_DATA_DIR"]) / "quickdraw_test.npz"
    images = np.load(file, allow_pickle=False)["image"]
    chosen = np.sort(np.random.default_rng(0).permutation(len(images))[:count])
    inks = images[chosen].astype(np.float32) / 255
    return [Known(ink, ink, [], float("nan"), "quickdraw", "inversion") for ink in inks]


def _rendered(
    name: str, source: Callable, size: int, width: float, count: int, choosing: bool
) -> list[Known]:
    random = np.random.default_rng([size, int(1000 * width), len(name), *([] if choosing else [1])])
    found = []
    for i in range(count):
        strokes = [size * stroke for stroke in visible(source(random, i))]
        ink = draw(strokes, [size * width] * len(strokes), (size, size))
        condition = CONDITIONS[i % len(CONDITIONS)]
        grey = as_seen(ink, condition, random)
        found.append(Known(grey, ink, strokes, size * width, name, condition))
    return found


def generator_strokes(random: np.random.Generator, _: int) -> list[np.ndarray]:
    """Strokes of the training generator, in the unit square."""
    drawing = jax.device_get(_generate(int(random.integers(2**31))))
    return [_bezier(points) for points in drawing.control_points[: int(drawing.presence.sum())]]


@jax.jit
def _generate(seed):
    return random_drawing(jax.random.key(seed), 50)


def _bezier(points: np.ndarray, samples: int = 60) -> np.ndarray:
    """De Casteljau's construction."""
    u = np.linspace(0, 1, samples)[:, None]
    level = [np.broadcast_to(point, (samples, 2)) for point in points.astype(float)]
    while len(level) > 1:
        level = [(1 - u) * one + u * other for one, other in itertools.pairwise(level)]
    return level[0]


def font_strokes(random: np.random.Generator, index: int) -> list[np.ndarray]:
    """One to four letters of a single-stroke font, in the unit square."""
    from HersheyFonts import HersheyFonts  # noqa: PLC0415 (of the extra `benchmarks`)

    font = HersheyFonts()
    font.load_default_font(FONTS[index % len(FONTS)])
    letters = "".join(random.choice(list(_LETTERS), 1 + index % 4))
    strokes = [np.array(line, float) for line in font.strokes_for_text(letters)]
    everything = np.concatenate(strokes)
    low, high = everything.min(0), everything.max(0)
    scale = random.uniform(0.7, 0.85) / (high - low).max()
    return [(stroke - (low + high) / 2) * scale + 0.5 for stroke in strokes]


def visible(strokes: list[np.ndarray]) -> list[np.ndarray]:
    """Strokes of the unit square as far as an image can tell them: what meets end to end is one."""
    strokes = list(strokes)
    while True:
        pairs = itertools.combinations(range(len(strokes)), 2)
        found = next(((a, b, one) for a, b in pairs if (one := _joined(strokes, a, b)) is not None), None)
        if found is None:
            return strokes
        strokes[found[0]] = found[2]
        del strokes[found[1]]


def _joined(strokes: list[np.ndarray], one: int, other: int) -> np.ndarray | None:
    """Two strokes as one, in the direction of the first where possible; None where their ends do not meet."""
    first, second = strokes[one], strokes[other]
    for a, b in (
        (first, second),
        (second, first),
        (first, second[::-1]),
        (second[::-1], first),
    ):
        if np.allclose(a[-1], b[0], atol=1e-4) and not _others_there(strokes, one, other, a[-1]):
            return np.concatenate([a, b[1:]])
    return None


def _others_there(strokes: list[np.ndarray], one: int, other: int, place: np.ndarray) -> bool:
    """Whether more than one end of each of two strokes lies at a place."""
    for index, stroke in enumerate(strokes):
        near = np.linalg.norm(dense(stroke, 0.002) - place, axis=1) < 0.004
        visits = int(near[0]) + int((np.diff(near.astype(int)) == 1).sum())
        if visits > (index in (one, other)):
            return True
    return False


def draw(strokes: list[np.ndarray], widths: list, size: tuple[int, int]) -> np.ndarray:
    """float32 [H, W] ink of round pens, by Pillow at eight times the size.

    A width is that of a stroke, or [n], those at its points.
    """
    high, wide = size
    image = Image.new("L", (wide * _OVERSAMPLING, high * _OVERSAMPLING), 0)
    pen = ImageDraw.Draw(image)
    for stroke, width in zip(strokes, widths, strict=True):
        at_points = np.column_stack([stroke, np.broadcast_to(width, len(stroke))])
        for x, y, across in dense(at_points, 0.25) * _OVERSAMPLING:
            radius = across / 2 - 0.5  # Pillow's ellipses include their last pixel
            pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=255)
    return np.asarray(image.resize((wide, high), Image.Resampling.BOX), np.float32) / 255


def fill(paths: list[list[np.ndarray]], size: tuple[int, int]) -> np.ndarray:
    """float32 [H, W] even-odd filling of each path's outlines, by Pillow at eight times the size."""
    high, wide = size
    total = np.zeros((high * _OVERSAMPLING, wide * _OVERSAMPLING), bool)
    for lines in paths:
        inside = np.zeros_like(total)
        for line in lines:
            if len(line) > 2:
                image = Image.new("1", (wide * _OVERSAMPLING, high * _OVERSAMPLING))
                ImageDraw.Draw(image).polygon([tuple(p) for p in line * _OVERSAMPLING], fill=1)
                inside ^= np.asarray(image)
        total |= inside
    small = Image.fromarray(total.astype(np.uint8) * 255).resize((wide, high), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def as_seen(ink: np.ndarray, condition: str, random: np.random.Generator) -> np.ndarray:
    """Dark ink on white paper, spoiled; 8 bits."""
    grey = 1 - ink
    if condition == "noise":
        grey = 0.9 * grey + 0.05 + random.normal(0, 0.1, ink.shape)
    if condition == "shading":
        y, x = (np.linspace(0, 1, side) for side in ink.shape)
        light = 0.55 + 0.4 * x[None] - 0.15 * y[:, None] + 0.1 * np.sin(5 * x[None] + 3 * y[:, None])
        grey = light * (0.15 + 0.85 * grey)
    if condition == "inversion":
        grey = ink
    return (np.round(255 * np.clip(grey, 0, 1)) / 255).astype(np.float32)


def dense(stroke: np.ndarray, step: float) -> np.ndarray:
    """[m, 2] points at most `step` apart along a polyline [n, 2]; further columns go along."""
    stroke = np.asarray(stroke, float)
    far = np.concatenate([[0], np.linalg.norm(np.diff(stroke[:, :2], axis=0), axis=1).cumsum()])
    at = np.linspace(0, far[-1], max(int(far[-1] / step) + 1, 2))
    return np.stack([np.interp(at, far, stroke[:, axis]) for axis in range(stroke.shape[1])], axis=1)
