"""Directories that TFDS reads: written by `prepare`, read back by TFDS itself and by `load`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dood_jax.config.datasets import CATALOG
from dood_jax.data import load, omniglot, prepare, sources
from dood_jax.errors import BadInput

tfds = pytest.importorskip("tensorflow_datasets")

ROOT = Path(__file__).parent.parent.parent
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:google")


@pytest.fixture(scope="module")
def written(toy_pack, tmp_path_factory) -> dict[str, Path]:
    """The five toy sets as TFDS directories, by name."""
    directory = tmp_path_factory.mktemp("tfds")
    return {name: prepare.prepare(name, str(toy_pack), str(directory)) for name in CATALOG}


def root_of(path: Path, name: str) -> Path:
    """The data directory that a version's directory lies in."""
    return path.parents[2 if name in ("emnist", "quickdraw") else 1]


@pytest.fixture
def copy(written, tmp_path):
    """A copy of the prepared MNIST that a test may damage: (data directory, its directory)."""
    shutil.copytree(written["mnist"].parent, tmp_path / "mnist")
    return tmp_path, tmp_path / "mnist" / written["mnist"].name


def edit_info(path: Path, **changes) -> None:
    info = json.loads((path / "dataset_info.json").read_text())
    (path / "dataset_info.json").write_text(json.dumps({**info, **changes}))


@pytest.mark.parametrize("name", CATALOG)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_set_comes_back_as_the_pack_has_it(toy_pack, written, name, split):
    size = CATALOG[name].size
    packed = load(name, split, str(toy_pack), size, categories="all")
    found = load(name, split, str(root_of(written[name], name)), size, categories="all")
    assert found.metadata["source"] == str(written[name])
    np.testing.assert_array_equal(found.images, packed.images)
    np.testing.assert_array_equal(found.labels, packed.labels)
    assert found.metadata["classes"] == packed.metadata["classes"]
    assert found.metadata.get("alphabets") == packed.metadata.get("alphabets")
    for attribute in omniglot.ATTRIBUTES if name == "omniglot" else ():
        np.testing.assert_array_equal(found.attributes[attribute], packed.attributes[attribute])


def test_plain_tfds_reads_it_in_the_published_conventions(toy_pack, written):
    """EMNIST on its side, Omniglot black on white, and classes by name."""
    for name, published in (("emnist", lambda image: image.T), ("omniglot", lambda image: 255 - image)):
        builder = tfds.builder_from_directory(written[name])
        first = builder.as_data_source("test")[0]
        upright = load(name, "test", str(toy_pack), CATALOG[name].size)
        np.testing.assert_array_equal(first["image"][..., 0], published(upright.images[0]))
    alphabet = builder.info.features["alphabet"].int2str(int(first["alphabet"]))
    assert alphabet == omniglot.ALPHABETS["test"][0]
    assert (first["label"] + 1, first["alphabet_char_id"] + 1, first["drawer"]) == (1000, 1, 1)
    drawings = tfds.builder_from_directory(written["quickdraw"])
    assert drawings.info.features["label"].names == ["apple", "book", "cat", "eye", "tree"]
    assert tfds.builder_from_directory(written["mnist"]).info.splits["train"].num_examples == 50


def test_a_substitute_says_so_when_it_is_read(written):
    dataset = load("kmnist", "train", str(root_of(written["kmnist"], "kmnist")), 28)
    assert dataset.metadata["note"].startswith(
        "a substitute for the published set, from the npz pack: train 50,"
    )


def test_the_prepared_directory_comes_before_the_pack_and_may_be_given_itself(copy, toy_pack):
    directory, path = copy
    shutil.copy(toy_pack / "mnist_train.npz", directory)
    for given in (directory, path):
        assert load("mnist", "train", str(given), 20).metadata["source"] == str(path)


def test_what_is_half_written_is_not_read(copy):
    """TFDS writes beside the place and moves; a killed preparation leaves `incomplete.…`."""
    directory, path = copy
    path.rename(path.with_name(f"incomplete.XYZ_{path.name}"))
    with pytest.raises(BadInput, match="no mnist train set: looked for"):
        load("mnist", "train", str(directory / "mnist"), 20)
    assert not sources.prepared.find_all(directory, "mnist")


@pytest.mark.parametrize("fraction", [0, 0.5, 0.99])
def test_truncated_records_are_refused(copy, fraction):
    directory, path = copy
    records = next(path.glob("mnist-train.*"))
    whole = records.read_bytes()
    records.write_bytes(whole[: int(fraction * len(whole))])
    with pytest.raises(
        BadInput, match=r"cannot be read as a prepared mnist train set|records of 50"
    ) as refused:
        load("mnist", "train", str(directory), 20)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_missing_records_and_a_damaged_description_are_refused(copy):
    directory, path = copy
    next(path.glob("mnist-train.*")).unlink()
    with pytest.raises(BadInput, match="cannot be read as a prepared mnist train set"):
        load("mnist", "train", str(directory), 20)
    (path / "dataset_info.json").write_text("{")
    with pytest.raises(BadInput, match=r"dataset_info\.json cannot be read"):
        load("mnist", "train", str(directory), 20)


def test_another_set_in_the_directory_is_refused(copy, written):
    directory, path = copy
    with pytest.raises(BadInput, match="holds the set mnist, not kmnist"):
        load("kmnist", "train", str(path), 20)
    edit_info(path, name="fashion_mnist")
    with pytest.raises(BadInput, match="holds the set fashion_mnist, not mnist"):
        load("mnist", "train", str(directory), 20)
    edit_info(path, name="emnist", configName="letters")
    with pytest.raises(BadInput, match="holds the set emnist/letters, not emnist/balanced"):
        load("emnist", "train", str(path), 20)


def test_tfrecord_is_answered_with_the_conversion(copy):
    directory, path = copy
    edit_info(path, fileFormat="tfrecord")
    with pytest.raises(BadInput, match=r"in tfrecord.*convert_format --dataset_version_dir=.*array_record"):
        load("mnist", "train", str(directory), 20)


def test_a_directory_with_one_split_is_not_completed_from_elsewhere(toy_pack, tmp_path):
    shutil.copy(toy_pack / "mnist_test.npz", tmp_path)
    path = prepare.prepare("mnist", str(tmp_path), str(tmp_path / "data"))
    with pytest.raises(BadInput, match=r"no mnist train set: .* has only test"):
        load("mnist", "train", str(tmp_path / "data"), 20)
    assert path.is_dir()


def test_a_directory_of_train_drawings_only_is_split_by_us(toy_pack, tmp_path):
    """As TFDS's own builder of Quick, Draw! writes it."""
    shutil.copy(toy_pack / "quickdraw_train.npz", tmp_path)
    prepare.prepare("quickdraw", str(tmp_path), str(tmp_path / "data"))
    train, test = (
        load("quickdraw", split, str(tmp_path / "data"), 28, categories="cat,eye")
        for split in ("train", "test")
    )
    assert (np.bincount(train.labels).tolist(), np.bincount(test.labels).tolist()) == ([4, 4], [1, 1])
    both = {image.tobytes() for image in (*train.images, *test.images)}
    assert len(both) == 10


def test_the_directory_with_most_of_the_categories_is_taken(toy_pack, written, tmp_path):
    with np.load(toy_pack / "quickdraw_train.npz") as arrays:
        chosen = np.flatnonzero(arrays["label"] == 2)
        cats = {"image": arrays["image"][chosen], "label": 0 * chosen, "classes": arrays["classes"][2:3]}
    np.savez(tmp_path / "quickdraw_train.npz", **cats)
    root = root_of(written["quickdraw"], "quickdraw")
    path = prepare.prepare("quickdraw", str(tmp_path), str(root))
    assert path != written["quickdraw"]
    for categories in ("cat,eye", "tree"):
        found = load("quickdraw", "train", str(root), 20, categories=categories)
        assert found.metadata["source"] == str(written["quickdraw"])


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--name=mnits --from=. --to=out", "--name='mnits'"),
        ("--name=mnist --from=nowhere --to=out", "--from=nowhere is not a folder"),
        (
            "--name=mnist --from=empty --to=out",
            "looked for mnist_train.npz and mnist_test.npz, and for train-im",
        ),
        ("--name=quickdraw --from=empty --to=out --categories=tres", "'tres' is not one"),
        ("--name=mnist --from=damaged --to=out", "mnist_train.npz is not a readable npz"),
        ("--name=mnist --from=. --to=out", "is there already"),
        ("--name=mnist --to=out --nope", "--nope"),
        ("--name=mnist --from=.", "--to"),
    ],
)
def test_bad_input_of_the_command_is_one_line(copy, toy_pack, flags, said):
    directory, path = copy
    for name in ("empty", "damaged", "out/mnist"):
        (directory / name).mkdir(parents=True)
    (directory / "damaged" / "mnist_train.npz").write_bytes(b"PK")
    path.rename(directory / "out" / "mnist" / path.name)
    shutil.copy(toy_pack / "mnist_train.npz", directory)
    program = [sys.executable, "-m", "dood_jax.data.prepare", *flags.split()]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(directory)}
    done = subprocess.run(
        program, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("dood_jax: ") and done.stderr.count("\n") == 1
    assert said in done.stderr


def test_the_command_writes_and_names_the_directory(toy_pack, tmp_path):
    program = [
        sys.executable,
        "-m",
        "dood_jax.data.prepare",
        "--name=mnist",
        f"--from={toy_pack}",
        "--to=out",
    ]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "out/mnist/3.0.1"
    assert load("mnist", "test", str(tmp_path / "out"), 28).images.shape == (50, 28, 28)


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOG)
def test_the_whole_pack_comes_back_from_its_directory(data_dir, tmp_path, name):
    prepare.prepare(name, str(data_dir), str(tmp_path))
    for split in ("train", "test"):
        packed = load(name, split, str(data_dir), CATALOG[name].size)
        found = load(name, split, str(tmp_path), CATALOG[name].size)
        assert found.metadata["source"].startswith(str(tmp_path))
        np.testing.assert_array_equal(found.images, packed.images)
        np.testing.assert_array_equal(found.labels, packed.labels)


class TheirOmniglot(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Somebody else's Omniglot: in colour, shuffled, who drew it not told."""

    name = "omniglot"
    VERSION = tfds.core.Version("3.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(105, 105, 3)),
            "alphabet": tfds.features.ClassLabel(names=["Greek", "Bengali"]),
            "alphabet_char_id": np.int64,
            "label": tfds.features.ClassLabel(num_classes=1623),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples()}

    def _generate_examples(self):
        for label, alphabet, character in ((1200, "Greek", 0), (1100, "Bengali", 3), (1200, "Greek", 0)):
            image = Image.new("RGB", (105, 105), "white")
            image.putpixel((character, 7), (0, 0, 0))
            example = {"image": image, "alphabet": alphabet, "alphabet_char_id": character, "label": label}
            yield f"{label}_{np.random.default_rng().integers(2**40)}", example


class TheirMnist(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Somebody else's MNIST: pixels as numbers, classes without names."""

    name = "mnist"
    VERSION = tfds.core.Version("3.0.2")

    def _info(self):
        features = {
            "image": tfds.features.Tensor(shape=(28, 28, 1), dtype=np.uint8),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for label in range(10):
            yield label, {"image": np.full((28, 28, 1), 10 * label, np.uint8), "label": label}


def test_omniglot_by_another_builder(tmp_path):
    TheirOmniglot(data_dir=tmp_path).download_and_prepare(file_format="array_record")
    dataset = load("omniglot", "test", str(tmp_path), 105)
    assert sorted(dataset.labels) == [0, 1, 1]
    assert dataset.metadata["classes"] == ("Bengali/character04", "Greek/character01")
    assert dataset.metadata["alphabets"] == ("Bengali", "Greek")
    for image, character, label in zip(
        dataset.images, dataset.attributes["character"], dataset.labels, strict=True
    ):
        assert character == (1 if label else 4)
        assert np.argwhere(image).tolist() == [[7, character - 1]]


def test_mnist_by_another_builder_and_a_newer_version_before_an_older(copy):
    directory, _ = copy
    TheirMnist(data_dir=directory).download_and_prepare(file_format="array_record")
    dataset = load("mnist", "train", str(directory), 28)
    assert dataset.metadata["source"].endswith("3.0.2")
    assert sorted(dataset.labels) == list(range(10))
    np.testing.assert_array_equal(dataset.images[:, 5, 5], 10 * dataset.labels)
