"""Every kind of file that is promised, written here by Pillow and NumPy, gives the same ink."""

import struct
import sys
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
    (scan,) = scans_of(path)
    assert (scan.ident, scan.source, scan.size) == (path.stem, path.name, None)
    return page.remove_background(scan.grey, scan.colour).ink


def scans_of(path) -> list[reading.Scan]:
    with reading.opened(path) as contents:
        return [sheet.load() for sheet in contents.sheets]


def notes_of(path) -> str:
    with reading.opened(path) as contents:
        return " ".join(contents.notes)


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


def test_what_is_nan_in_a_float_stays_nan(ink):
    grey = np.where(ink > 0, 1 - ink, np.nan).astype(np.float32)
    np.testing.assert_array_equal(reading.scan_of(grey).grey, grey)
    np.testing.assert_allclose(reading.scan_of(255 * grey).grey, grey, atol=1e-6)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (250, 220, 40), (20, 60, 220)])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_half_transparent_edges_of_ink_are_half_as_far_from_its_paper(tmp_path, ink, colour, mode):
    """The paper below ink is white or black, whichever differs more."""
    pixels = np.broadcast_to(np.uint8(colour), (*ink.shape, 3))
    image = Image.fromarray(np.dstack([pixels, np.round(255 * ink).astype(np.uint8)]))
    (image.quantize(200) if mode == "P" else image.convert(mode)).save(tmp_path / "clear.png")
    (scan,) = scans_of(tmp_path / "clear.png")
    grey = np.array([0.299, 0.587, 0.114]) @ np.array(colour) / 255
    paper = 0 if grey > 0.5 else 1
    assert np.abs(scan.grey - (paper + (grey - paper) * ink)).mean() < (0.02 if mode == "P" else 0.004)


def test_around_a_card_there_is_nothing_and_its_rim_is_as_bright_as_the_card(tmp_path, ink):
    card = Image.new("RGBA", (140, 140))
    card.paste(Image.fromarray(paper(ink)).convert("RGBA"), (20, 20))
    card = card.rotate(10, Image.Resampling.BICUBIC)
    card.save(tmp_path / "card.png")
    (scan,) = scans_of(tmp_path / "card.png")
    alpha = np.asarray(card)[..., 3]
    np.testing.assert_array_equal(np.isnan(scan.grey), alpha == 0)
    assert scan.grey[(alpha > 0) & (alpha < 255)].min() > 0.9


def test_colours_are_kept_and_grey_pictures_have_none(tmp_path, ink):
    colour = np.round(255 - ink[..., None] * (255 - np.array([200, 30, 10]))).astype(np.uint8)
    Image.fromarray(colour).save(tmp_path / "red.png")
    (scan,) = scans_of(tmp_path / "red.png")
    np.testing.assert_array_equal(scan.colour, colour)
    Image.fromarray(paper(ink)).convert("RGB").save(tmp_path / "grey.jpg")
    assert scans_of(tmp_path / "grey.jpg")[0].colour is None


def test_an_archive_holds_many_images_each_with_a_name(tmp_path, ink):
    np.savez(tmp_path / "many.npz", train=np.stack([ink] * 12), label=np.arange(12), one=ink)
    scans = scans_of(tmp_path / "many.npz")
    assert [scan.ident for scan in scans][::11] == ["many-train-00", "many-train-11"]
    assert [scan.source for scan in scans][::11] == ["many.npz, train[0]", "many.npz, train[11]"]
    assert scans[-1].ident == "many-one" and len(scans) == 13


def rolled(ink, count: int) -> list[Image.Image]:
    """So many pages, on each of which the drawing lies three pixels further right."""
    return [Image.fromarray(paper(np.roll(ink, 3 * i, 1))).convert("RGB") for i in range(count)]


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png", "pdf"])
def test_every_page_and_frame_is_an_image(tmp_path, ink, suffix):
    first, *others = rolled(ink, 3)
    path = tmp_path / f"many.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {"quality": 95} if suffix == "pdf" else {}
    first.save(path, save_all=True, append_images=others, **options)
    scans = scans_of(path)
    assert [scan.ident for scan in scans] == ["many-1", "many-2", "many-3"]
    word = "page" if suffix in ("tif", "pdf") else "frame"
    assert [scan.source for scan in scans] == [f"{path.name}, {word} {i} of 3" for i in (1, 2, 3)]
    for scan, image in zip(scans, [first, *others], strict=True):
        true = np.asarray(image.convert("L").resize(scan.grey.shape[::-1]), np.float32) / 255
        assert np.abs(scan.grey - true).mean() < 0.02
    assert "2 more images" in reading.read(path).notes[0] and reading.read(path).ident == "many-1"


def test_a_long_film_is_cut_and_says_so(tmp_path, ink, monkeypatch):
    monkeypatch.setattr(reading, "MOST_FRAMES", 4)
    first, *others = rolled(ink, 6)
    first.save(tmp_path / "film.gif", save_all=True, append_images=others)
    assert len(scans_of(tmp_path / "film.gif")) == 4
    assert notes_of(tmp_path / "film.gif") == "only the first 4 of 6 frames are drawn"


def test_smaller_copies_in_a_tiff_are_left_out(tmp_path, ink):
    whole = Image.fromarray(paper(ink))
    copy = whole.reduce(2)
    copy.encoderinfo = {"tiffinfo": {254: 1}}
    whole.save(tmp_path / "scan.tif", save_all=True, append_images=[copy])
    assert [scan.ident for scan in scans_of(tmp_path / "scan.tif")] == ["scan"]
    assert "1 of 2 pages" in notes_of(tmp_path / "scan.tif")


@pytest.mark.parametrize("suffix", ["png", "jpg", "npy"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_large_image_is_traced_smaller_and_keeps_its_size(tmp_path, ink, monkeypatch, suffix, mode):
    if suffix == "jpg" and mode in ("RGBA", "P"):
        return
    monkeypatch.setattr(reading, "TRACED_PIXELS", 2500)
    image = Image.fromarray(paper(ink)).convert(mode)
    path = tmp_path / f"large.{suffix}"
    if suffix == "npy":
        np.save(path, np.asarray(image.convert("L")))
    else:
        image.save(path)
    (scan,) = scans_of(path)
    assert scan.size == image.size and scan.grey.size == pytest.approx(2500, rel=0.05)
    assert "100 x 96" in scan.notes[0]
    small = image.convert("L").resize(scan.grey.shape[::-1], Image.Resampling.BOX)
    assert np.abs(scan.grey - np.asarray(small, np.float32) / 255).mean() < 0.01


def test_nan_stays_nan_where_an_array_is_made_smaller(ink, monkeypatch):
    monkeypatch.setattr(reading, "TRACED_PIXELS", 2500)
    grey = (1 - ink).astype(np.float32)
    grey[:48] = np.nan
    scan = reading.scan_of(grey)
    assert np.isnan(scan.grey[:23]).all() and np.isfinite(scan.grey[25:]).all()


def test_an_svg_is_drawn(tmp_path):
    line = '<path d="M 10 30 H 90" stroke="#c00" stroke-width="4"/>'
    text = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 60">{line}</svg>'
    (tmp_path / "line.svg").write_text(text)
    (scan,) = scans_of(tmp_path / "line.svg")
    assert scan.grey.shape == (960, 1600) and scan.grey[480, 800] < 0.3 and scan.grey[300, 800] == 1
    assert tuple(scan.colour[480, 800]) == (204, 0, 0)


@pytest.mark.parametrize(("name", "library"), [("a.pdf", "pypdfium2"), ("a.svg", "resvg_py")])
def test_without_the_extra_documents_are_refused_with_the_remedy(tmp_path, monkeypatch, name, library):
    monkeypatch.setitem(sys.modules, library, None)
    (tmp_path / name).write_text("")
    with pytest.raises(BadInput, match=r"pip install 'dood_jax\[documents\]'"):
        scans_of(tmp_path / name)


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
        (bomb, "more than 100,000,000 pixels"),
        (lambda path: path.write_text("no image"), "is no image; give a PNG"),
        (lambda path: path.write_bytes(b""), "is no image; give a PNG"),
        (lambda path: Image.new("L", (2, 2)).save(path), "holds no drawing"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, make, said):
    path = tmp_path / "odd.png"
    make(path)
    with pytest.raises(BadInput, match=said) as refused:
        reading.read(path)
    assert "odd.png" in str(refused.value) and "\n" not in str(refused.value)


def test_the_library_below_is_not_heard(tmp_path, ink, capfd):
    """libtiff would write lines of its own to stderr."""
    path = tmp_path / "cut.tif"
    Image.fromarray(paper(ink)).save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    content[100:400] = b"x" * 300
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"cut\.tif"):
        reading.read(path)
    assert capfd.readouterr().err == ""


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
