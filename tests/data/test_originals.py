"""The authors' files: read by hand-made copies, verified by checksum, downloaded by a mocked TFDS."""

import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dood_jax.config import datasets
from dood_jax.config.datasets import CATALOG
from dood_jax.data import load, omniglot, originals, prepare, sources
from dood_jax.errors import BadInput

tfds = pytest.importorskip("tensorflow_datasets")
from dood_jax.data import tfds_builders

RANDOM = np.random.default_rng(0)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:google")


def idx_file(array: np.ndarray) -> bytes:
    """The gzipped idx form of a uint8 array, written from its definition."""
    sizes = b"".join(struct.pack(">I", size) for size in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


def write_digits(directory: Path, prefix: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    images = RANDOM.integers(0, 256, (count, 28, 28)).astype(np.uint8)
    labels = RANDOM.integers(0, 10, count).astype(np.uint8)
    (directory / f"{prefix}-images-idx3-ubyte.gz").write_bytes(idx_file(images))
    (directory / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(idx_file(labels))
    return images, labels


def register(monkeypatch, directory: Path, builder: type) -> None:
    """Lets TFDS take the files in a folder for the published ones."""
    from tensorflow_datasets.core.download import checksums

    urls = {url for parts in builder.urls.values() for url in parts.values()}
    local = {url: directory / url.rsplit("/", 1)[1] for url in urls}
    infos = {url: checksums.compute_url_info(path) for url, path in local.items() if path.is_file()}
    monkeypatch.setattr(checksums, "get_all_url_infos", lambda: dict(infos))


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-9],
        lambda whole: b"no gzip",
        lambda whole: gzip.compress(gzip.decompress(whole)[:-1]),
        lambda whole: gzip.compress(b"\0\0\x0d" + gzip.decompress(whole)[3:]),
        lambda whole: gzip.compress(b"\0"),
    ],
)
def test_a_damaged_idx_file_is_refused_by_name(damage):
    array = RANDOM.integers(0, 256, (3, 4, 5)).astype(np.uint8)
    np.testing.assert_array_equal(originals.read_idx("place", idx_file(array)), array)
    with pytest.raises(BadInput, match=r"^place is not "):
        originals.read_idx("place", damage(idx_file(array)))


def test_emnist_is_read_from_the_zip_and_turned_upright(tmp_path):
    images = RANDOM.integers(0, 256, (6, 28, 28)).astype(np.uint8)
    with zipfile.ZipFile(tmp_path / "gzip.zip", "w") as archive:
        archive.writestr("gzip/emnist-balanced-test-images-idx3-ubyte.gz", idx_file(images))
        archive.writestr(
            "gzip/emnist-balanced-test-labels-idx1-ubyte.gz", idx_file(np.arange(6, dtype=np.uint8))
        )
    dataset = originals.emnist(tmp_path / "gzip.zip", "test")
    np.testing.assert_array_equal(dataset.images, images.transpose(0, 2, 1))
    with pytest.raises(BadInput, match=r"gzip\.zip does not give gzip/emnist-balanced-train"):
        originals.emnist(tmp_path / "gzip.zip", "train")


def test_characters_are_read_from_the_zip_inverted_and_in_order(tmp_path):
    with zipfile.ZipFile(tmp_path / "images_background.zip", "w") as archive:
        for alphabet, character, char_id in (("Greek", 2, 6), ("Greek", 1, 5), ("Bengali", 1, 8)):
            for drawer in (2, 1):
                file = io.BytesIO()
                pixels = np.full((105, 105), 255, np.uint8)
                pixels[char_id, drawer] = 0
                Image.fromarray(pixels).convert("1").save(file, "png")
                name = f"images_background/{alphabet}/character{character:02d}/{char_id:04d}_{drawer:02d}.png"
                archive.writestr(name, file.getvalue())
    dataset = originals.characters(tmp_path / "images_background.zip", "train")
    assert dataset.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert dataset.metadata["alphabets"] == ("Bengali", "Greek")
    assert dataset.metadata["classes"] == ("Bengali/character01", "Greek/character01", "Greek/character02")
    assert dataset.attributes["drawer"].tolist() == [1, 2] * 3
    for row, char_id in enumerate((8, 8, 5, 5, 6, 6)):
        assert np.argwhere(dataset.images[row]).tolist() == [[char_id, row % 2 + 1]]
    (tmp_path / "bad.zip").write_bytes(b"PK")
    with pytest.raises(BadInput, match=r"bad\.zip is not a whole zip"):
        originals.characters(tmp_path / "bad.zip", "train")


def test_drawings_are_capped_and_split_without_overlap(tmp_path):
    files = {}
    for name in ("cat", "eye"):
        files[name] = tmp_path / f"{name}.npy"
        np.save(files[name], RANDOM.integers(0, 256, (30, 784)).astype(np.uint8))
    train, test = (originals.drawings(files, split, 20) for split in ("train", "test"))
    assert (np.bincount(train.labels).tolist(), np.bincount(test.labels).tolist()) == ([16, 16], [4, 4])
    assert len({image.tobytes() for image in (*train.images, *test.images)}) == 40
    files["eye"].write_bytes(b"")
    with pytest.raises(BadInput, match=r"eye\.npy does not hold the drawings of eye"):
        originals.drawings(files, "train", 0)


def test_a_category_gives_the_same_drawings_whatever_others_are_chosen(tmp_path):
    files = {}
    for name in ("cat", "eye"):
        files[name] = tmp_path / f"{name}.npy"
        np.save(files[name], RANDOM.integers(0, 256, (30, 784)).astype(np.uint8))
    for split in ("train", "test"):
        alone = originals.drawings({"eye": files["eye"]}, split, 10)
        among = originals.drawings(files, split, 10)
        np.testing.assert_array_equal(among.images[among.labels == 1], alone.images)


def test_original_files_are_prepared_by_our_builder(tmp_path, monkeypatch):
    written = {
        split: write_digits(tmp_path, prefix, 20) for split, prefix in (("train", "train"), ("test", "t10k"))
    }
    register(monkeypatch, tmp_path, tfds_builders.Mnist)
    prepare.prepare("mnist", str(tmp_path), str(tmp_path / "data"))
    for split, (images, labels) in written.items():
        dataset = load("mnist", split, str(tmp_path / "data"), 28)
        np.testing.assert_array_equal(dataset.images, images)
        np.testing.assert_array_equal(dataset.labels, labels)


def test_a_file_with_another_checksum_is_refused_and_nothing_is_left(tmp_path):
    """Held against TFDS's records of the real files."""
    for prefix in ("train", "t10k"):
        write_digits(tmp_path, prefix, 20)
    with pytest.raises(BadInput, match=r"ubyte\.gz, has wrong checksum: .*Expected.*Got") as refused:
        prepare.prepare("mnist", str(tmp_path), str(tmp_path / "data"))
    assert "\n" not in str(refused.value)
    assert not list((tmp_path / "data").rglob("dataset_info.json"))


def test_only_the_files_of_the_categories_are_fetched_and_all_have_checksums(tmp_path):
    builder = tfds_builders.make_builder(
        "quickdraw", tmp_path, categories=("cell phone", "car"), per_category=5000
    )
    base = "https://storage.googleapis.com/quickdraw_dataset/full/numpy_bitmap"
    assert set(builder.urls["train"].values()) == {f"{base}/cell phone.npy", f"{base}/car.npy"}
    every = tfds_builders.make_builder("quickdraw", tmp_path, categories=datasets.CATEGORIES)
    assert set(every.urls["test"].values()) == set(builder.url_infos)
    assert builder.url_infos[f"{base}/cell phone.npy"].filename == "cell phone.npy"
    from tensorflow_datasets.core.download import checksums

    for name in ("mnist", "emnist", "kmnist", "omniglot"):
        urls = {url for parts in tfds_builders.BUILDERS[name].urls.values() for url in parts.values()}
        assert urls <= set(checksums.get_all_url_infos())


@pytest.mark.parametrize("name", CATALOG)
def test_what_is_nowhere_comes_through_tfds(tmp_path, name, monkeypatch):
    """`mock_data` stands for the network: preparing does nothing, and records are random."""
    monkeypatch.setattr(tfds_builders, "_require_server", lambda url: None)
    with tfds.testing.mock_data(num_examples=12, policy=tfds.testing.MockPolicy.USE_CODE):
        for split in ("train", "test"):
            dataset = load(name, split, str(tmp_path), 20)
            assert dataset.images.shape[1:] == (20, 20) and dataset.images.std() > 5
            assert 0 < len(dataset.labels) <= 12
            assert dataset.labels.max() < max(len(dataset.metadata["classes"]), 1)


def test_a_silent_network_is_one_line_saying_where_was_looked(tmp_path, monkeypatch):
    def silent(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr(tfds_builders.urllib.request, "urlopen", silent)
    with pytest.raises(BadInput) as refused:
        load("kmnist", "train", str(tmp_path), 20)
    said = str(refused.value)
    for words in (
        str(tmp_path / "kmnist_train.npz"),
        str(tmp_path / "kmnist"),
        "does not answer",
        "data.dir",
    ):
        assert words in said
    assert "\n" not in said


def test_nothing_is_downloaded_into_a_directory_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_builders, "prepare", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(BadInput, match="there is no such directory"):
        sources.load("mnist", "train", str(tmp_path / "typo"), 20)
    assert not (tmp_path / "typo").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "kmnist"])
def test_the_real_original_files_give_the_sets_of_the_pack(data_dir, tmp_path, name):
    """Checksums as TFDS records them; KMNIST's training images are not among the files."""
    if not (data_dir / "raw" / name).is_dir():
        pytest.skip(f"no original files in {data_dir / 'raw' / name}")
    files = tfds_builders.file_names(name, ())["test"]
    for file in files:
        (tmp_path / file).symlink_to(data_dir / "raw" / name / file)
    prepare.prepare(name, str(tmp_path), str(tmp_path / "data"))
    packed, found = (load(name, "test", str(place), 28) for place in (data_dir, tmp_path / "data"))
    np.testing.assert_array_equal(found.images, packed.images)
    np.testing.assert_array_equal(found.labels, packed.labels)
    with pytest.raises(BadInput, match=f"no {name} train set: .* has only test"):
        load(name, "train", str(tmp_path / "data"), 28)


def write_runs(archive: Path, runs: omniglot.OneShotRuns) -> None:
    """The runs as their authors' zip has them: black ink, and a line for each query with its support."""
    with zipfile.ZipFile(archive, "w") as files:
        for number, (supports, queries, answers) in enumerate(zip(*runs, strict=True), 1):
            names = {"training/class": supports, "test/item": queries}
            for name, images in names.items():
                for row, image in enumerate(images, 1):
                    png = io.BytesIO()
                    Image.fromarray(255 - image).convert("1").save(png, "png")
                    files.writestr(f"run{number:02d}/{name}{row:02d}.png", png.getvalue())
            name = f"run{number:02d}/"
            lines = [
                f"{name}test/item{row:02d}.png {name}training/class{answer + 1:02d}.png\n"
                for row, answer in enumerate(answers, 1)
            ]
            files.writestr(f"{name}class_labels.txt", "".join(lines[::-1]))


def test_one_shot_runs_come_from_the_zip_of_their_authors(tmp_path):
    random = np.random.default_rng(1)
    images = [np.uint8(255 * (random.random((20, 2, 105, 105)) < 0.1)) for _ in range(2)]
    runs = omniglot.OneShotRuns(*images, np.int32(random.permuted(np.tile([0, 1], (20, 1)), axis=1)))
    write_runs(tmp_path / "all_runs.zip", runs)
    for found, wanted in zip(sources.one_shot_runs(str(tmp_path)), runs, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_one_shot_runs_that_are_missing_or_damaged_are_one_line(tmp_path):
    with pytest.raises(
        BadInput, match=r"has neither omniglot_oneshot.npz nor .*; fetch https://.*zip into it"
    ):
        sources.one_shot_runs(str(tmp_path))
    with zipfile.ZipFile(tmp_path / "all_runs.zip", "w") as files:
        files.writestr("run01/class_labels.txt", "run01/test/item01.png")
    with pytest.raises(BadInput, match=r"all_runs.zip does not hold Omniglot's runs .*; fetch it anew"):
        sources.one_shot_runs(str(tmp_path))
