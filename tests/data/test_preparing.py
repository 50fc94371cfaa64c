"""Images of any kind become what models take; what should not be given is warned of."""

import warnings

import numpy as np
import pytest
from PIL import Image

import dood_jax
from dood_jax.data import preprocessing
from dood_jax.data.dataset import resize
from dood_jax.errors import BadInput


@pytest.fixture(scope="module")
def digit() -> np.ndarray:
    """uint8 [28, 28]: a bright bar with soft edges on black."""
    image = np.zeros((28, 28), np.uint8)
    image[6:22, 11:15] = 200
    image[6:22, 15] = 90
    return image


@pytest.fixture(scope="module")
def wanted(digit) -> np.ndarray:
    """float32 [1, 50, 50] as the sets are made."""
    return resize(digit[None], 50).astype(np.float32) / 255


def on_paper(digit) -> Image.Image:
    """Dark ink, on paper that is nothing but transparent."""
    return Image.fromarray(np.stack([*3 * [0 * digit], digit], -1), "RGBA")


KINDS = {
    "uint8": lambda digit: digit,
    "batch": lambda digit: digit[None],
    "list": lambda digit: [digit],
    "unit": lambda digit: digit / 255,
    "float": lambda digit: digit.astype(np.float32),
    "16 bits": lambda digit: digit.astype(np.uint16) * 257,
    "inverted": lambda digit: 255 - digit,
    "inverted unit": lambda digit: 1 - digit / 255,
    "grey channel": lambda digit: digit[..., None],
    "colour": lambda digit: np.stack(3 * [digit], -1),
    "colours": lambda digit: np.stack(3 * [digit], -1)[None],
    "pillow": Image.fromarray,
    "pillow, inverted": lambda digit: Image.fromarray(255 - digit),
    "transparent": on_paper,
}


@pytest.mark.parametrize("kind", KINDS)
def test_images_of_any_kind_are_made_alike(digit, wanted, kind):
    prepared = dood_jax.prepare(KINDS[kind](digit))
    assert prepared.dtype == np.float32
    np.testing.assert_allclose(prepared, wanted, atol=1.5 / 255)


def test_files_are_images_too_and_several_make_a_batch(digit, wanted, tmp_path):
    Image.fromarray(255 - digit).save(tmp_path / "digit.png")
    prepared = dood_jax.prepare([tmp_path / "digit.png", str(tmp_path / "digit.png"), digit])
    np.testing.assert_array_equal(prepared, np.repeat(wanted, 3, 0))
    assert dood_jax.prepare(digit, size=20).shape == (1, 20, 20)


def test_images_are_padded_to_squares(digit):
    prepared = dood_jax.prepare(digit[:, 8:20])
    assert prepared.shape == (1, 50, 50)
    assert np.abs(prepared.sum() - dood_jax.prepare(digit).sum()) < 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "no images"),
        (np.zeros(4), r"shape \[4\] is no image"),
        (np.zeros((0, 4)), "no pixels"),
        (np.full((4, 4), -1.0), r"-1\.\.-1; scale"),
        (np.full((4, 4), np.nan), r"nan\.\.nan; scale"),
        (np.zeros((4, 4), complex), "complex128 are no grey levels"),
        ("nowhere.png", "nowhere.png cannot be read"),
    ],
)
def test_what_is_no_image_is_refused(given, said):
    with pytest.raises(BadInput, match=said):
        dood_jax.prepare(given)


def resized(digit, way) -> np.ndarray:
    return np.asarray(Image.fromarray(digit).resize((50, 50), way), np.float32)[None] / 255


@pytest.mark.parametrize("way", ["BICUBIC", "LANCZOS", "NEAREST"])
def test_images_enlarged_otherwise_are_warned_of(digit, way):
    """Of thin lines: of thick ones all filters make nearly the same."""
    digit = digit.copy()
    digit[4:24:3, 18] = digit[14, 3:25] = 255
    with pytest.warns(UserWarning, match=r"may be enlarged from 28 x 28.*dood_jax\.prepare"):
        preprocessing.warn_of_odd(resized(digit, Image.Resampling[way]), 28)


def test_images_as_sets_have_them_and_sharp_ones_are_not_warned_of(digit, wanted):
    sharp = np.zeros((1, 50, 50), np.float32)
    sharp[:, 10:40, 20:23] = 1
    sharp[:, 12:15, 8:30] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for images in (wanted, sharp, 0 * wanted):
            preprocessing.warn_of_odd(images, 28)
        preprocessing.warn_of_odd(resized(digit, Image.Resampling.LANCZOS), 0)
