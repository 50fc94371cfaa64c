"""Kept images: the same again, made anew where damaged, one copy whoever writes, nothing half-written."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dood_jax.data import cache, load, sources
from dood_jax.data.dataset import Dataset

ROOT = Path(__file__).parent.parent.parent
IMAGES = Dataset(
    np.random.default_rng(0).integers(0, 256, (50, 20, 20)).astype(np.uint8),
    np.arange(50, dtype=np.int32),
    {"name": "toy", "classes": ("a", "b")},
    {"drawer": np.arange(50) % 7},
)


def refuse_to_build() -> Dataset:
    raise AssertionError("built although it was kept")


def assert_same(found: Dataset) -> None:
    np.testing.assert_array_equal(found.images, IMAGES.images)
    np.testing.assert_array_equal(found.labels, IMAGES.labels)
    np.testing.assert_array_equal(found.attributes["drawer"], IMAGES.attributes["drawer"])
    assert found.metadata == IMAGES.metadata


def test_what_is_kept_comes_back_memory_mapped_and_read_only():
    for build in (lambda: IMAGES, refuse_to_build):
        found = cache.fetch("entry", build)
        assert_same(found)
        assert isinstance(found.images, np.memmap) and not found.images.flags.writeable


def test_every_part_of_the_key_matters():
    parts = {"content": "x", "size": 50, "transpose": False, "categories": ("a", "b")}
    changes = {"content": "y", "size": 28, "transpose": True, "categories": ("a,b",)}
    keys = {cache.key(**parts)} | {cache.key(**{**parts, name: value}) for name, value in changes.items()}
    assert len(keys) == 5


@pytest.mark.parametrize("file", ["images.npy", "labels.npy", "attribute-drawer.npy", "metadata.json"])
@pytest.mark.parametrize("fraction", [None, 0, 0.5, 0.99])
def test_a_damaged_entry_is_made_anew(file, fraction):
    cache.fetch("entry", lambda: IMAGES)
    path = cache.folder() / "entry" / file
    whole = path.read_bytes()
    path.unlink()
    if fraction is not None:
        path.write_bytes(whole[: int(fraction * len(whole))])
    assert_same(cache.fetch("entry", lambda: IMAGES))
    assert_same(cache.fetch("entry", refuse_to_build))


def test_a_writer_that_fails_leaves_nothing(monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "_flush", full)
    assert_same(cache.fetch("entry", lambda: IMAGES))
    assert not list(cache.folder().iterdir())


def test_without_a_folder_to_write_images_come_all_the_same(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert_same(cache.fetch("entry", lambda: IMAGES))


def test_what_a_killed_writer_left_is_not_read_and_is_swept_after_a_day():
    cache.folder().mkdir(parents=True)
    fresh, old = (cache.folder() / f".partial-{name}" for name in ("fresh", "old"))
    for left in (fresh, old):
        left.mkdir()
        (left / "images.npy").write_bytes(b"half")
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    assert_same(cache.fetch("entry", lambda: IMAGES))
    assert fresh.exists() and not old.exists()


def test_processes_that_write_the_same_at_once_all_read_it_whole(cache_home):
    program = (
        "import numpy as np\n"
        "from dood_jax.data import cache\n"
        "from dood_jax.data.dataset import Dataset\n"
        "images = np.arange(4_000_000, dtype=np.uint64).view(np.uint8).reshape(-1, 100, 100)\n"
        "for entry in 'abc':\n"
        "    made = Dataset(images, np.zeros(len(images), np.int32), {})\n"
        "    assert (cache.fetch(entry, lambda: made).images == images).all()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(cache_home)}
    writers = [subprocess.Popen([sys.executable, "-c", program], env=environment) for _ in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert sorted(path.name for path in cache.folder().iterdir()) == ["a", "b", "c"]


def test_another_content_another_size_and_other_choices_are_other_entries(toy_pack, tmp_path, monkeypatch):
    load("quickdraw", "train", str(toy_pack), 20)
    for changes in ({"image_size": 30}, {"categories": "cat"}, {"per_category": 2}):
        load("quickdraw", "train", str(toy_pack), **{"image_size": 20, **changes})
    assert len(list(cache.folder().iterdir())) == 4
    monkeypatch.setattr(sources, "_make", lambda *_: refuse_to_build())
    copied = tmp_path / "quickdraw_train.npz"
    copied.write_bytes((toy_pack / "quickdraw_train.npz").read_bytes())
    assert load("quickdraw", "train", str(tmp_path), 20).metadata["source"] == str(copied)
    with np.load(copied) as arrays:
        changed = {**arrays, "image": arrays["image"] ^ 1}
    np.savez(copied, **changed)
    with pytest.raises(AssertionError, match="built"):
        load("quickdraw", "train", str(tmp_path), 20)
