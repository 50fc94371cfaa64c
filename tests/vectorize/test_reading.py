"""Every kind of file that is promised, written here by Pillow and NumPy, gives the same ink."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dood_jax.errors import BadInput
from dood_jax.vectorize import page, reading

IMAGE_KINDS = {
    "grey.png": Image.fromarray,
    "colour.png": lambda grey: Image.fromarray(grey).convert("RGB"),
    "palette.png": lambda grey: Image.fromarray(grey).convert("P", palette=Image.Palette.ADAPTIVE),
    "sixteen.png": lambda grey: Image.fromarray(grey.astype(np.uint16) * 257),
    "sixteen.tif": lambda grey: Image.fromarray(grey.astype(np.uint16) * 257),
    "float.tiff": lambda grey: Image.fromarray(grey.astype(np.float32) / 255),
    "photo.jpg": lambda grey: Image.fromarray(grey).convert("RGB"),
    "cmyk.jpeg": lambda grey: Image.fromarray(grey).convert("CMYK"),
    "web.webp": lambda grey: Image.fromarray(grey).convert("RGB"),
    "window.bmp": Image.fromarray,
    "film.gif": Image.fromarray,
    "clear.png": lambda grey: Image.merge(
        "LA", [Image.new("L", grey.shape[::-1]), Image.fromarray(255 - grey)]
    ),
    "clear.webp": lambda grey: Image.merge(
        "RGBA", [*[Image.new("L", grey.shape[::-1], 255)] * 3, Image.fromarray(255 - grey)]
    ),
}


def paper(ink) -> np.ndarray:
    return np.round(255 * (1 - ink)).astype(np.uint8)


def ink_in(path) -> np.ndarray:
    (scan,) = reading.read(path)
    assert scan.ident == path.stem
    return page.remove_background(scan.grey).ink


@pytest.mark.parametrize("name", IMAGE_KINDS)
def test_images_of_every_kind_hold_the_same_ink(tmp_path, ink, name):
    options = {"quality": 95} if name.endswith(("jpg", "jpeg", "webp")) else {}
    IMAGE_KINDS[name](paper(ink)).save(tmp_path / name, **options)
    found = ink_in(tmp_path / name)
    assert found.shape == ink.shape
    assert np.abs(found - ink).mean() < 0.01


def test_one_bit(tmp_path, ink):
    Image.fromarray(paper(ink) > 127).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(ink_in(tmp_path / "bits.png"), ink >= 0.5)


@pytest.mark.parametrize("turn", range(1, 9))
def test_the_turn_that_a_camera_notes_is_taken(tmp_path, ink, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transpose that the viewer will take back
    turned = Image.fromarray(paper(ink))
    turned = turned if turn == 1 else turned.transpose(Image.Transpose(undo[turn]))
    turned.save(tmp_path / "camera.png", exif=exif)
    assert np.abs(ink_in(tmp_path / "camera.png") - ink).mean() < 1e-2


@pytest.mark.parametrize(
    "array",
    [
        lambda ink: ink,
        lambda ink: 255 * ink,
        lambda ink: np.round(255 * (1 - ink)).astype(np.int64),
        lambda ink: np.stack([paper(ink)] * 3, axis=-1),
        lambda ink: ink > 0.5,
        lambda ink: (ink > 0.5).astype(np.uint8),
    ],
)
def test_arrays(tmp_path, ink, array):
    np.save(tmp_path / "array.npy", array(ink))
    assert np.abs(ink_in(tmp_path / "array.npy") - ink).mean() < 0.03


def test_a_float_is_nan_where_nothing_was_painted(ink):
    grey = np.where(ink > 0, 1 - ink, np.nan).astype(np.float32)
    np.testing.assert_array_equal(reading.grey_of(grey), grey)
    found = page.remove_background(reading.grey_of(255 * grey)).ink
    assert np.abs(found - ink).mean() < 1e-3


def test_an_archive_holds_many_images_each_with_a_name(tmp_path, ink):
    np.savez(tmp_path / "many.npz", train=np.stack([ink] * 12), label=np.arange(12), one=ink)
    scans = reading.read(tmp_path / "many.npz")
    assert [scan.ident for scan in scans][::11] == ["many-train-00", "many-train-11"]
    assert scans[-1].ident == "many-one" and len(scans) == 13


def bomb(path) -> None:
    """A PNG of 60,000 x 60,000 pixels in its header and a few bytes in its body."""
    chunk = lambda kind, body: (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    )
    header = struct.pack(">IIBBBBB", 60000, 60000, 1, 0, 0, 0, 0)
    body = zlib.compress(bytes(1000))
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", body), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (bomb, "3600000000"),
        (lambda path: path.write_text("no image"), "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: Image.new("L", (2, 2)).save(path), "holds no drawing"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, make, said):
    path = tmp_path / "odd.png"
    make(path)
    with pytest.raises(BadInput, match=said) as refused:
        reading.read(path)
    assert "odd.png" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "array",
    [np.zeros(5), np.zeros((2, 9, 9, 9, 3)), np.full((9, 9), np.nan), np.full((9, 9), "x"), -np.eye(9)],
)
def test_arrays_that_are_no_images_are_refused(tmp_path, array):
    np.save(tmp_path / "odd.npy", array)
    with pytest.raises(BadInput, match=r"odd\.npy"):
        reading.read(tmp_path / "odd.npy")


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "odd.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(BadInput, match="allow_pickle"):
        reading.read(tmp_path / "odd.npy")
