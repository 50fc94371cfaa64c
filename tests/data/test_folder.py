"""Images of one's own: whatever file, the same drawing; splits and classes from the folders."""

import numpy as np
import pytest
from PIL import Image

from dood_jax.data import folder, load
from dood_jax.errors import BadInput

INK = np.zeros((40, 40), np.uint8)
INK[10:30, 12:16] = 255


def save(path, pixels=INK, mode="L", **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16", "CMYK"])
@pytest.mark.parametrize("paper", ["black", "white"])
def test_ink_is_white_whatever_the_colours(tmp_path, mode, paper):
    pixels = INK if paper == "black" else 255 - INK
    if mode == "I;16":
        Image.fromarray(pixels.astype(np.uint16) * 257).save(tmp_path / "x.png")
    else:
        save(tmp_path / "x.tif", pixels, mode)
    found = folder.read_image(next(tmp_path.iterdir()), 40)
    np.testing.assert_allclose(found, INK, atol=2)


@pytest.mark.parametrize("level", [0, 255])
def test_what_is_transparent_is_paper(tmp_path, level):
    Image.merge("LA", [Image.new("L", (40, 40), level), Image.fromarray(INK)]).save(tmp_path / "x.png")
    np.testing.assert_array_equal(folder.read_image(tmp_path / "x.png", 40), INK)


def test_a_wide_image_is_padded_with_paper_and_a_turned_one_turned_back(tmp_path):
    save(tmp_path / "wide.png", 255 - INK[10:30])
    np.testing.assert_array_equal(folder.read_image(tmp_path / "wide.png", 40), INK)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    save(tmp_path / "turned.png", np.rot90(INK), exif=exif)
    np.testing.assert_array_equal(folder.read_image(tmp_path / "turned.png", 40), INK)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_a_damaged_image_is_refused_by_name(tmp_path, content):
    for number in range(3):
        save(tmp_path / f"{number}.png")
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(BadInput, match=r"bad\.png cannot be read as an image") as refused:
        for split in ("train", "test"):
            load("folder", split, str(tmp_path), 20)
    assert "\n" not in str(refused.value)


def test_a_truncated_image_is_refused(tmp_path):
    whole = save(tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"x\.png cannot be read"):
        folder.read_image(tmp_path / "x.png", 20)


def test_a_heap_is_split_and_nothing_is_in_both(tmp_path):
    for number in range(10):
        save(tmp_path / f"{number}.png", INK // 255 * np.uint8(100 + 10 * number))
    brightest = {
        split: load("folder", split, str(tmp_path), 40).images.max((1, 2)) for split in ("train", "test")
    }
    assert (len(brightest["train"]), len(brightest["test"])) == (8, 2)
    assert sorted(np.concatenate(list(brightest.values()))) == list(range(100, 200, 10))


def test_classes_are_folders_and_mean_the_same_in_both_splits(tmp_path):
    for place in ("train/b/1.png", "train/a/2.png", "train/a/3.JPG", "test/c/4.png", "train/a/.hidden.png"):
        save(tmp_path / place)
    (tmp_path / "train" / "notes.txt").write_text("no image")
    train, test = (load("folder", split, str(tmp_path), 20) for split in ("train", "test"))
    assert train.metadata["classes"] == test.metadata["classes"] == ("a", "b", "c")
    assert (train.labels.tolist(), test.labels.tolist()) == ([0, 0, 1], [2])
    assert train.images.shape == (3, 20, 20)


def test_a_folder_named_train_alone_is_a_class(tmp_path):
    for index in range(5):
        save(tmp_path / "train" / f"{index}.png")
    found = load("folder", "train", tmp_path, 20), load("folder", "test", tmp_path, 20)
    assert sum(len(part.images) for part in found) == 5
    assert found[0].metadata["classes"] == ("train",)


def test_a_new_class_of_the_other_split_changes_the_labels_of_this_one(tmp_path):
    for split in ("train", "test"):
        for name in ("a", "c"):
            save(tmp_path / split / name / "0.png")
    assert load("folder", "train", tmp_path, 20).labels.tolist() == [0, 1]
    save(tmp_path / "test" / "b" / "0.png")
    assert load("folder", "train", tmp_path, 20).labels.tolist() == [0, 2]


def test_a_changed_image_is_read_anew(tmp_path):
    for number in range(2):
        save(tmp_path / f"{number}.png")
    before = load("folder", "train", str(tmp_path), 20).images.copy()
    for number in range(2):
        save(tmp_path / f"{number}.png", INK.T)
    assert (load("folder", "train", str(tmp_path), 20).images != before).any()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ((), "no images in "),
        (("1.png",), "give at least 2"),
        (("train/1.png", "test/x.txt"), "test: looked there for .png"),
    ],
)
def test_an_empty_folder_is_refused_saying_what_was_looked_for(tmp_path, made, said):
    for place in made:
        path = tmp_path / place
        path.parent.mkdir(exist_ok=True)
        path.write_text("") if path.suffix == ".txt" else save(path)
    with pytest.raises(BadInput) as refused:
        load("folder", "test", str(tmp_path), 20)
    assert said in str(refused.value) and ".png" in str(refused.value) and str(tmp_path) in str(refused.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(BadInput, match="nowhere' is not a folder"):
        load("folder", "train", str(tmp_path / "nowhere"), 20)
