"""Ink is told from paper, whatever the light, the noise and the polarity."""

import contextlib

import numpy as np
import pytest
from known_strokes import arc, ink_of
from PIL import Image
from scipy import ndimage

from dood_jax.errors import BadInput
from dood_jax.vectorize import page


def error(grey, ink) -> float:
    return float(np.abs(page.remove_background(grey.astype(np.float32)).ink - ink).mean())


def test_dark_on_light_and_light_on_dark(ink):
    assert error(1 - ink, ink) < 0.002
    assert error(ink, ink) < 0.002


def test_faint_pencil_is_full_ink(ink):
    assert error(0.95 - 0.15 * ink, ink) < 0.01


def test_a_shadow_across_the_paper(ink):
    light = np.linspace(0.4, 1, ink.shape[1])[None] * np.linspace(1, 0.8, ink.shape[0])[:, None]
    assert error(light * (1 - 0.85 * ink), ink) < 0.03


@pytest.mark.parametrize("bright", [False, True])
def test_a_page_full_of_slanted_lines(bright):
    """In a small copy they are as fine as noise."""
    rows, columns = np.indices((1600, 1600))
    lines = ((rows + columns) % 22 < 6).astype(np.float32)
    assert error(lines if bright else 1 - lines, lines) < 0.02


@pytest.mark.parametrize("bright", [False, True])
def test_noise(ink, bright):
    noise = np.random.default_rng(0).normal(0, 0.1, ink.shape)
    grey = np.clip(0.1 + 0.8 * (ink if bright else 1 - ink) + noise, 0, 1)
    found = page.remove_background(grey.astype(np.float32))
    assert np.abs(found.ink - ink).mean() < 0.06
    assert found.noise == pytest.approx(0.125, rel=0.4)


@pytest.mark.parametrize("grey", [np.ones((40, 40)), np.zeros((40, 40)), np.full((40, 40), np.nan)])
def test_a_blank_page_is_refused(grey):
    with pytest.raises(BadInput, match="nothing is drawn"):
        page.remove_background(grey.astype(np.float32))


def test_noise_alone_is_refused():
    grey = np.random.default_rng(1).normal(0.8, 0.02, (80, 80)).astype(np.float32)
    with pytest.raises(BadInput, match="nothing is drawn"):
        page.remove_background(grey)


PEN, WIDE, HIGH = 3.0, 300, 220
STROKES = [
    np.array([[90.0, 70.0], [200.0, 150.0]]),
    np.array([[90.0, 150.0], [200.0, 70.0]]),
    arc((220, 120), 22, 0, 360),
    np.array([[80.0, 110.0], [80.0, 111.0]]),
]


@pytest.fixture(scope="module")
def lines() -> np.ndarray:
    """[220, 300] two strokes that cross, a ring and a dot, all in the middle."""
    return ink_of(STROKES, PEN, (HIGH, WIDE))


def require(found: page.Page, lines: np.ndarray, least: float = 0.9) -> None:
    """The ink above a half is that of the lines."""
    ink, true = found.ink > 0.5, lines > 0.5
    assert (ink & true).sum() >= least * (ink | true).sum()


def seen(grey: np.ndarray, seed: int, noise: float = 0.01) -> page.Page:
    """The page of a noisy picture."""
    grey = grey + np.random.default_rng(seed).normal(0, noise, grey.shape)
    return page.remove_background(np.clip(grey, 0, 1).astype(np.float32))


@pytest.mark.parametrize("thickness", [1, 2, 5, 12])
@pytest.mark.parametrize("frame", [0.0, 0.6])
@pytest.mark.parametrize("sides", [(0, 1, 2, 3), (0, 1), (2,)])
def test_frames_and_the_edges_of_scanners(lines, thickness, frame, sides):
    grey = 0.95 - 0.8 * lines
    for side in sides:
        np.rot90(grey, side)[:thickness] = frame
    require(seen(grey, thickness), lines)


def test_a_vignette(lines):
    y, x = np.mgrid[:HIGH, :WIDE]
    inset = np.minimum(np.minimum(x, WIDE - 1 - x), np.minimum(y, HIGH - 1 - y))
    require(seen((0.98 - 0.85 * lines) * (1 - 0.7 * np.clip(1 - inset / 30, 0, 1) ** 1.5), 0), lines)


def on_table(lines, angle, sheet, table, ink):
    """A sheet of 190 x 130 pixels with the lines, turned, on a table."""
    image = Image.new("F", (WIDE, HIGH))
    image.paste(1.0, (60, 50, 250, 175))
    turned = lambda a: np.asarray(a.rotate(angle, Image.Resampling.BICUBIC)).clip(0, 1)
    inside, turned_lines = turned(image), turned(Image.fromarray(lines))
    return table + inside * (sheet + (ink - sheet) * turned_lines - table), turned_lines


@pytest.mark.parametrize("angle", [0, 7, -33])
@pytest.mark.parametrize(("sheet", "table"), [(0.95, 0.2), (0.9, 0.8), (0.75, 0.9)])
@pytest.mark.parametrize("has_shadow", [False, True])
def test_a_sheet_on_a_table(lines, angle, sheet, table, has_shadow):
    grey, turned = on_table(lines, angle, sheet, table, 0.1)
    if has_shadow:
        y, x = np.mgrid[:HIGH, :WIDE]
        grey = grey * (0.6 + 0.4 / (1 + np.exp((x + y - 260) / 12)))
    require(seen(grey, 1), turned, 0.85)


@pytest.mark.parametrize("frame", [0.05, 0.6, 0.9])
def test_a_framed_chalkboard(lines, frame):
    grey = 0.2 + 0.7 * lines
    grey[:9] = grey[-9:] = grey[:, :9] = grey[:, -9:] = frame
    require(seen(grey, 2), lines)


@pytest.mark.parametrize("ink", [0.0, 1.0])
def test_strokes_on_nothing(lines, ink):
    grey = np.where(lines > 0, (1 - ink) + (2 * ink - 1) * lines, np.nan).astype(np.float32)
    require(page.remove_background(grey), lines)


def test_a_card_with_a_transparent_border(lines):
    grey = (1 - lines).astype(np.float32)
    grey[:12] = grey[:, -20:] = np.nan
    require(page.remove_background(grey), lines)


@pytest.mark.parametrize("slope", [0.0, 0.03])
@pytest.mark.parametrize("colour", [(0.6, 0.6, 0.6), (0.45, 0.62, 0.9)])
def test_squared_paper(lines, slope, colour):
    y, x = np.mgrid[:HIGH, :WIDE] + 0.5
    rule = np.maximum(
        *(np.clip(1.2 - np.abs((a + 9) % 18 - 9), 0, 1) for a in (y - slope * x, x + slope * y))
    )
    rgb = 1 + (np.array(colour) - 1) * rule[..., None]
    rgb = np.minimum(rgb, 1 - 0.85 * lines[..., None])
    grey = (rgb @ [0.299, 0.587, 0.114]).astype(np.float32)
    require(page.remove_background(grey, np.round(255 * rgb).astype(np.uint8)), lines, 0.7)


def test_faint_beside_dark():
    places = (40, 80, 120)
    inks = [ink_of([np.array([[30.0, y], [200.0, y]])], 4, (160, 230)) for y in places]
    rgb = np.ones((160, 230, 3))
    for ink, colour in zip(inks, [(1, 0.93, 0.33), (0, 0, 0), (0.73, 0.73, 0.73)], strict=True):
        rgb += ink[..., None] * (np.array(colour) - 1)
    grey = (rgb @ [0.299, 0.587, 0.114]).astype(np.float32)
    found = page.remove_background(grey, np.round(255 * rgb).astype(np.uint8))
    require(found, sum(inks))
    assert found.ink[list(places), 100] == pytest.approx(1, abs=0.1)


def test_many_marks_that_are_very_faint_are_named(lines):
    grey = 1 - lines
    grey[4:50:6, 10:290:14] -= 0.15
    for column in range(11, 17):
        grey[4:50:6, column:290:14] -= 0.15
    grey[5:51:6] = np.minimum(grey[5:51:6], grey[4:50:6])
    found = page.remove_background(grey.astype(np.float32))
    require(found, lines)
    assert "fainter" in found.notes[0]


def test_the_grain_of_a_pencil_leaves_no_pinholes(lines):
    grain = ndimage.gaussian_filter(np.random.default_rng(3).normal(0, 2, lines.shape), 0.6)
    wide = ink_of(STROKES, 6, (HIGH, WIDE))
    found = page.remove_background((0.9 - 0.6 * wide * np.clip(0.75 + 0.3 * grain, 0, 1)).astype(np.float32))
    assert (found.ink > 0.5)[wide > 0.9].mean() > 0.93


def test_a_photograph_is_named():
    rng = np.random.default_rng(4)
    small = [Image.fromarray(rng.uniform(0, 1, (n, n)).astype(np.float32)) for n in (5, 12, 40)]
    grey = sum(np.asarray(one.resize((300, 300), Image.Resampling.BICUBIC)) for one in small) / 3
    with pytest.raises(BadInput, match="photograph"):
        page.remove_background(grey.clip(0, 1).astype(np.float32))


def test_a_solid_shape_is_named():
    y, x = np.mgrid[:200, :240]
    with pytest.raises(BadInput, match="solid shape"):
        page.remove_background((np.hypot(x - 120, y - 100) > 60).astype(np.float32))


def test_thick_pens_and_tight_zigzags_are_lines():
    letter = ink_of(
        [np.array([[20.0, 22.0], [80.0, 22.0]]), np.array([[50.0, 22.0], [50.0, 80.0]])], 36, (100, 100)
    )
    require(page.remove_background(1 - letter), letter)
    corners = np.array([[12.0 + 6 * i, 20.0 + 60 * (i % 2)] for i in range(24)])
    zigzag = ink_of([corners], 5, (100, 170))
    require(page.remove_background(1 - zigzag), zigzag)


def test_random_pixels_are_drawn_or_refused():
    rng = np.random.default_rng(6)
    for side in (15, 18, 32):
        for _ in range(20):
            colour = rng.integers(0, 256, (side, side + 3, 3), np.uint8)
            with contextlib.suppress(BadInput):
                page.remove_background(colour.mean(axis=2).astype(np.float32) / 255, colour)
