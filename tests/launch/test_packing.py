"""`launch/pack.py`: what is packed comes back, within its size; what cannot be is said in one line."""

import importlib.util
import io
import json
import lzma
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dood_jax
from dood_jax.checkpointing import restore
from dood_jax.checkpointing.manager import Checkpoints
from dood_jax.checkpointing.metadata import read_meta
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import Config, DataConfig, ObjectiveConfig, OptimizerConfig, TrainingConfig
from dood_jax.data import load, omniglot, pack
from dood_jax.data.prepare import prepare
from dood_jax.training import state
from dood_jax.training.state import TrainState
from dood_jax.training.step import make_optimizer
from dood_jax.types import BrushParams

ROOT = Path(__file__).parent.parent.parent
SCRIPT = ROOT / "launch" / "pack.py"
MIB = 2**20
ALL = "mnist,kmnist,quickdraw,omniglot"
SIZES = {"mnist": (1000, 650), "kmnist": (225, 650), "quickdraw": (300, 175)}  # train, test
TEST_FIRST, LEAST = 500, 125  # in place of 2,000 and 500, as the sets are small
NATIVE = {"omniglot": omniglot.SIZE}
ALONE = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}

specification = importlib.util.spec_from_file_location("launch_pack", SCRIPT)
script = importlib.util.module_from_spec(specification)
specification.loader.exec_module(script)


@pytest.fixture(autouse=True)
def cache_home(tmp_path_factory, monkeypatch) -> None:
    """Nothing goes into the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def small_sets(tmp_path_factory) -> Path:
    """A data directory with a small npz pack of four sets."""
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(0)
    for name, sizes in SIZES.items():
        for split, size in zip(("train", "test"), sizes, strict=True):
            image = np.zeros((size, 28, 28), np.uint8)
            image[:, 10:12] = random.integers(0, 256, (size, 2, 28))
            arrays = {"image": image, "label": random.choice(5, size, p=[0.3, 0.3, 0.2, 0.1, 0.1])}
            if name == "quickdraw":
                arrays["classes"] = np.array(["apple", "book", "cat", "eye", "tree"])
            np.savez(pack.path_of(folder, name, split), **arrays)
    for split in ("train", "test"):
        np.savez(pack.path_of(folder, "omniglot", split), **characters(random, split))
    return folder


@pytest.fixture
def made(small_sets, monkeypatch) -> Path:
    """The small sets, and limits for as few images."""
    monkeypatch.setattr(script, "_TEST_FIRST", TEST_FIRST)
    monkeypatch.setattr(script, "_LEAST", LEAST)
    return small_sets


def characters(random: np.random.Generator, split: str) -> dict[str, np.ndarray]:
    """Two alphabets of 75 characters, each drawn by two."""
    label = np.repeat(np.arange(150), 2)
    return {
        "image": np.packbits(random.random((len(label), omniglot.SIZE**2)) < 0.004, axis=1),
        "label": label,
        "alphabet": label // 75,
        "character": label % 75 + 1,
        "drawer": np.tile([1, 2], 150),
        "char_id": label + 1,
        "alphabet_names": np.array(omniglot.ALPHABETS[split][:2]),
        "shape": np.array([omniglot.SIZE, omniglot.SIZE]),
    }


def packed(directory: Path, to: Path, names: str = ALL, **flags: object) -> Path:
    """The folder that comes out at the other end."""
    archive = to / "pack.tar.xz"
    options = [f"--{flag}={value}" for flag, value in flags.items()]
    script.main(["data", f"--names={names}", f"--dir={directory}", f"--out={archive}", *options])
    script.main(["unpack", str(archive), f"--out={to / 'unpacked'}"])
    return to / "unpacked"


def native(name: str, split: str, directory: Path):
    return load(name, split, str(directory), NATIVE.get(name, 28))


def refused(capsys, *arguments: object) -> str:
    """The one line with which the script ends."""
    with pytest.raises(SystemExit) as ended:
        script.main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("dood_jax: ") and said.count("\n") == 1
    return said


def test_what_fits_comes_back_whole(made, tmp_path, capsys):
    unpacked = packed(made, tmp_path)
    assert "mnist train: 1,000 of 1,000" in capsys.readouterr().out
    for name in ALL.split(","):
        for split in ("train", "test"):
            before, after = native(name, split, made), native(name, split, unpacked)
            np.testing.assert_array_equal(after.images, before.images)
            np.testing.assert_array_equal(after.labels, before.labels)
            assert after.attributes.keys() == before.attributes.keys()
            for attribute, values in before.attributes.items():
                np.testing.assert_array_equal(after.attributes[attribute], values)
            assert {**after.metadata, "source": ""} == {**before.metadata, "source": ""}
    assert not list(tmp_path.glob(".partial-*"))


def test_a_limit_is_kept_and_used_and_the_sets_say_how_many_are_left(made, tmp_path):
    limit = 0.115
    unpacked = packed(made, tmp_path, "mnist,kmnist", limit_mib=limit)
    assert 0.9 * limit * MIB < (tmp_path / "pack.tar.xz").stat().st_size <= limit * MIB
    counts = {}
    for name in ("mnist", "kmnist"):
        for split in ("train", "test"):
            before, after = native(name, split, made), native(name, split, unpacked)
            counts[name, split] = len(after.labels)
            assert after.metadata["note"].startswith(f"{len(after.labels):,} of the ")
            fractions = [np.bincount(labels) / len(labels) for labels in (before.labels, after.labels)]
            np.testing.assert_allclose(*fractions, atol=2 / len(after.labels))
            pairs = {
                (image.tobytes(), label) for image, label in zip(before.images, before.labels, strict=True)
            }
            kept = {(image.tobytes(), label) for image, label in zip(after.images, after.labels, strict=True)}
            assert len(kept) == len(after.labels) and kept <= pairs
    assert counts["kmnist", "train"] == 225
    assert counts["mnist", "test"] == counts["kmnist", "test"] == TEST_FIRST < counts["mnist", "train"] < 1000


def test_below_the_least_of_tests_all_splits_have_as_many(made, tmp_path, capsys):
    packed(made, tmp_path, "mnist", limit_mib=0.04)
    train, test = (line.split()[2] for line in capsys.readouterr().out.splitlines()[1:3])
    assert train == test and LEAST <= int(train) < TEST_FIRST


def test_the_seed_alone_chooses(made, tmp_path):
    chosen = []
    for i, seed in enumerate((1, 1, 2)):
        (tmp_path / str(i)).mkdir()
        unpacked = packed(made, tmp_path / str(i), "mnist", limit_mib=0.04, seed=seed)
        chosen.append(native("mnist", "train", unpacked).images)
    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert chosen[0].shape != chosen[2].shape or (chosen[0] != chosen[2]).any()


def test_characters_keep_their_names_when_some_are_left_out(made, tmp_path):
    unpacked = packed(made, tmp_path, "omniglot", limit_mib=0.02)
    for split in ("train", "test"):
        dataset = native("omniglot", split, unpacked)
        assert LEAST <= len(dataset.labels) < 150
        alphabets = np.array(dataset.metadata["alphabets"])[dataset.attributes["alphabet"]]
        characters = dataset.attributes["character"]
        for label, alphabet, character in zip(dataset.labels, alphabets, characters, strict=True):
            assert dataset.metadata["classes"][label] == f"{alphabet}/character{character:02d}"


def test_of_quickdraw_the_categories_asked_for_are_packed(made, tmp_path):
    unpacked = packed(made, tmp_path, "quickdraw", categories="cat,eye")
    with np.load(unpacked / "quickdraw_train.npz") as arrays:
        assert arrays["classes"].tolist() == ["cat", "eye"]
        assert set(arrays["label"].tolist()) == {0, 1}


def test_a_directory_that_tfds_prepared_is_packed_too(made, tmp_path):
    prepare("kmnist", str(made), str(tmp_path / "tfds"))
    unpacked = packed(tmp_path / "tfds", tmp_path, "kmnist")
    before, after = native("kmnist", "train", made), native("kmnist", "train", unpacked)
    np.testing.assert_array_equal(after.images, before.images)
    np.testing.assert_array_equal(after.labels, before.labels)
    assert after.metadata["note"] == "a substitute for the published selection: 225 images, published 60,000"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--names=mnist", "--limit_mib=0.01"], "--limit_mib=0.01 is too small: 125 images"),
        (["--names=mnist", "--limit_mib=0"], "--limit_mib=0 is too small"),
        (["--names=mnist", "--limit_mib=nan"], "--limit_mib=nan"),
        (["--names=mnist", "--limit_mib=much"], "--limit_mib"),
        (["--names=mnist", "--seed=-1"], "--seed=-1"),
        (["--names=mnist,svhn"], "'svhn' is not available"),
        (["--names="], "--names"),
        (["--names=emnist"], "no emnist train set"),
        (["--names=quickdraw", "--categories=zebra"], "has none of zebra"),
        (["--names=mnist", "--size=1"], "--size=1"),
        ([], "--names"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(made, tmp_path, capsys, flags, said):
    assert said in refused(capsys, "data", f"--dir={made}", f"--out={tmp_path / 'pack.tar.xz'}", *flags)
    assert not list(tmp_path.iterdir())


def test_an_output_that_cannot_be_written_is_one_line(made, tmp_path, capsys):
    (tmp_path / "folder").mkdir()
    for out in (tmp_path / "folder", tmp_path / "missing" / "pack.tar.xz"):
        said = refused(capsys, "data", "--names=mnist", f"--dir={made}", f"--out={out}")
        assert f"--out={out} cannot be written" in said
    assert [path.name for path in tmp_path.rglob("*")] == ["folder"]


def test_as_a_user_meets_it(tmp_path):
    command = [sys.executable, SCRIPT, "data", "--names=mnist", f"--dir={tmp_path}/none", "--out=a.tar.xz"]
    done = subprocess.run(command, cwd=tmp_path, env=ALONE, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr.startswith("dood_jax: no mnist train set: looked for ") and done.stderr.count("\n") == 1
    )


def archive_of(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_damaged_and_foreign_archives_are_refused_and_nothing_is_left(tmp_path, capsys):
    path, out = tmp_path / "good.tar.xz", tmp_path / "out"
    content = np.random.default_rng(0).bytes(5000)
    whole = archive_of(path, (tarfile.TarInfo("a"), content)).read_bytes()
    flipped = whole[:3000] + bytes([whole[3000] ^ 1]) + whole[3001:]
    bad = (b"", b"no archive", whole[:3000], whole[:-1], flipped, whole * 2, whole + b"x", content)
    for content in (*bad, lzma.compress(b"no tar" * 1000)):
        path.write_bytes(content)
        assert str(path) in refused(capsys, "unpack", path, f"--out={out}")
    assert [entry.name for entry in tmp_path.iterdir()] == ["good.tar.xz"]


def test_nothing_is_unpacked_from_an_archive_that_reaches_outside(tmp_path, capsys):
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
    names = ("../outside", "a/../../outside", str(tmp_path / "outside"), "..\\outside")
    for bad in (link, *map(tarfile.TarInfo, names)):
        path = archive_of(tmp_path / "bad.tar.xz", (tarfile.TarInfo("good"), b"1"), (bad, b""))
        assert repr(bad.name) in refused(capsys, "unpack", path, f"--out={tmp_path / 'out'}")
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad.tar.xz"]


def test_only_new_folders_are_unpacked_to(tmp_path, capsys):
    path = archive_of(tmp_path / "good.tar.xz", (tarfile.TarInfo("a/b"), b"1"))
    script.main(["unpack", str(path), f"--out={tmp_path / 'out'}"])
    (tmp_path / "out" / "a" / "b").write_bytes(b"mine")
    for out in (tmp_path / "out", path, tmp_path / "missing" / "out"):
        assert f"--out={out} cannot be written" in refused(capsys, "unpack", path, f"--out={out}")
    assert (tmp_path / "out" / "a" / "b").read_bytes() == b"mine"
    assert "none.tar.xz cannot be read" in refused(capsys, "unpack", "none.tar.xz", "--out=out")


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory, tiny, lively) -> Path:
    """A run that has come to step 5."""
    workdir = tmp_path_factory.mktemp("runs") / "toy"
    data, optimizer = DataConfig("synthetic", image_size=20), OptimizerConfig()
    config = Config(data, tiny, ObjectiveConfig(), optimizer, TrainingConfig(), EvaluationConfig())
    moments, brush = make_optimizer(optimizer, 100).init(lively), BrushParams(0.02, 0.3, 0.7)
    with Checkpoints(workdir) as checkpoints:
        state.save(checkpoints, config, TrainState(jnp.int32(5), lively, moments, brush, jnp.int32(0)))
    (workdir / "metrics.jsonl").write_text(json.dumps({"step": 5, "kind": "train", "seconds": 12.5}) + "\n")
    (workdir / "results").mkdir()
    (workdir / "results" / "likelihood-mnist.json").write_text("{}")
    return workdir


@pytest.fixture
def run(saved_run, tmp_path) -> Path:
    return shutil.copytree(saved_run, tmp_path / "run")


def returned(run: Path, *flags: str) -> tuple[Path, list[Path]]:
    """The folder that comes home from a run, and the parts it came in."""
    script.main(["results", f"--workdir={run}", f"--out={run.parent / 'results.tar.xz'}", *flags])
    parts = sorted(run.parent.glob("results.tar.xz*"))
    script.main(["unpack", *map(str, reversed(parts)), f"--out={run.parent / 'home'}"])
    return run.parent / "home", parts


def test_results_come_home_in_parts_without_the_optimiser(run, lively):
    home, parts = returned(run, "--part_mib=0.1")
    assert len(parts) > 1 and parts[0].name == "results.tar.xz.001"
    assert all(part.stat().st_size <= 0.1 * MIB for part in parts)
    names = {path.name for path in home.iterdir()}
    assert names == {"card.json", "params", "metrics.jsonl", "results"}
    model = dood_jax.load(home)
    small = jax.tree_util.tree_map(lambda leaf: np.float32(np.float16(leaf)), lively)
    jax.tree_util.tree_map(np.testing.assert_array_equal, model.params, small)
    assert (model.meta["step"], model.meta["dtype"], model.meta["seconds"]) == (5, "float16", 12.5)
    assert model.meta["command"].startswith("python -m dood_jax.main")
    assert (home / "results" / "likelihood-mnist.json").is_file()


def test_small_results_are_one_file(run):
    assert [part.name for part in returned(run)[1]] == ["results.tar.xz"]


@pytest.mark.parametrize(("step", "taken"), [(5, True), (4, False)])
def test_a_release_of_the_newest_step_is_taken_as_it_is(run, lively, step, taken):
    meta = read_meta(run / "checkpoints" / "5")
    restore.release(lively, {**meta, "step": step, "metrics": {"measured": 1}}, run / "release")
    home, _ = returned(run)
    card = read_meta(home)
    assert card["step"] == 5 and ("metrics" in card) == taken


def test_a_run_without_a_checkpoint_is_one_line(tmp_path, capsys):
    for workdir in (tmp_path, tmp_path / "none"):
        said = refused(capsys, "results", f"--workdir={workdir}", f"--out={tmp_path / 'results.tar.xz'}")
        assert "no checkpoint" in said
    assert "--part_mib=0" in refused(capsys, "results", f"--workdir={tmp_path}", "--out=a", "--part_mib=0")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_real_images_come_back(data_dir, tmp_path):
    unpacked = packed(data_dir, tmp_path, "kmnist", limit_mib=2)
    assert (tmp_path / "pack.tar.xz").stat().st_size <= 2 * MIB
    test = native("kmnist", "test", unpacked)
    originals = {image.tobytes() for image in native("kmnist", "test", data_dir).images}
    assert len(test.images) >= 2000
    assert all(image.tobytes() in originals for image in test.images)


@pytest.mark.slow
def test_all_five_sets_fit_and_train(data_dir, tmp_path, capsys):
    unpacked = packed(data_dir, tmp_path, f"{ALL},emnist")
    assert 0.95 * 24 * MIB < (tmp_path / "pack.tar.xz").stat().st_size <= 24 * MIB
    printed = capsys.readouterr().out
    for whole in ("kmnist train: 7,011", "quickdraw train: 18,192", "omniglot train: 19,280"):
        assert f"{whole} of" in printed
    assert printed.count("test: 2,000 of") == 5
    assert (
        len(native("mnist", "train", unpacked).labels)
        == len(native("emnist", "train", unpacked).labels)
        > 4e4
    )
    flags = [f"--config={ROOT}/configs/smoke.py", "--config.data.name=mnist", f"--config.data.dir={unpacked}"]
    command = [sys.executable, "-m", "dood_jax.main", *flags, f"--workdir={tmp_path / 'run'}"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**ALONE, "JAX_NUM_CPU_DEVICES": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
