"""Ink is told from paper, whatever the light, the noise and the polarity."""

import numpy as np
import pytest

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
