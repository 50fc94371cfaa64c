"""Every config of a set trains twenty steps from the pack, from a prepared directory, and through TFDS."""

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dood_jax.config.datasets import CATALOG
from dood_jax.config.groups import DataConfig
from dood_jax.config.resolving import resolve
from dood_jax.data import prepare, sources
from dood_jax.errors import BadInput
from dood_jax.inference import image_sets
from dood_jax.training import loop

tfds = pytest.importorskip("tensorflow_datasets")
from dood_jax.data import tfds_builders

CONFIGS = Path(__file__).parent.parent.parent / "configs"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:google")


def config_of(name: str):
    """What `configs/<name>.py` gives."""
    spec = importlib.util.spec_from_file_location(name, CONFIGS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def train(name: str, directory: Path, workdir: Path) -> dict:
    """Twenty steps of the config with a model that compiles in seconds; the last evaluation."""
    config = config_of(name)
    config.data.update(dir=str(directory), image_size=20)
    config.model.update(num_strokes=2, features=16, glimpse_size=10, curve_samples=12, components=2, unroll=1)
    config.training.update(steps=20, batch_size=8, log_every=10, init_from="")  # released ones are larger
    config.evaluation.update(num_images=8, num_particles=2, batch_size=8)
    assert loop.train(resolve(config), workdir) is None
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    last = lines[-1]
    assert last["step"] == 20 and np.isfinite(last["log_likelihood"])
    return last


def folder_of_images(directory: Path) -> Path:
    directory.mkdir()
    for number in range(12):
        pixels = np.full((40, 30), 255, np.uint8)
        pixels[5:35, 5 + number] = 0
        Image.fromarray(pixels).save(directory / f"{number}.png")
    return directory


@pytest.mark.parametrize("name", [*CATALOG, "folder"])
def test_a_config_names_its_set(name):
    config = config_of(name)
    config.data.dir = "images"
    data = resolve(config).data
    assert data.name == name
    assert data.per_category == (5000 if name == "quickdraw" else 0)


@pytest.mark.slow
def test_a_folder_trains(tmp_path):
    train("folder", folder_of_images(tmp_path / "images"), tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOG)
def test_a_set_trains_from_the_pack(data_dir, tmp_path, name):
    train(name, data_dir, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOG)
def test_a_set_trains_from_a_prepared_directory(toy_pack, tmp_path, name):
    prepare.prepare(name, str(toy_pack), str(tmp_path / "data"))
    train(name, tmp_path / "data", tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOG)
def test_a_set_trains_through_tfds(tmp_path, name, monkeypatch):
    monkeypatch.setattr(tfds_builders, "_require_server", lambda url: None)
    (tmp_path / "data").mkdir()
    with tfds.testing.mock_data(num_examples=24, policy=tfds.testing.MockPolicy.USE_CODE):
        train(name, tmp_path / "data", tmp_path / "run")


def test_settings_reach_the_files(toy_pack):
    data = DataConfig("quickdraw", str(toy_pack), 20, categories="cat,eye", per_category=5)
    assert sources.load_configured(data, "train").images.shape == (8, 20, 20)
    lying = DataConfig("emnist", str(toy_pack), 28, transpose=True)
    upright = dataclasses.replace(lying, transpose=False)
    np.testing.assert_array_equal(
        sources.load_configured(lying, "test").images.transpose(0, 2, 1),
        sources.load_configured(upright, "test").images,
    )


def test_test_images_are_those_of_the_test_split(toy_pack, tmp_path):
    for split in ("train", "test"):
        shutil.copy(toy_pack / f"kmnist_{split}.npz", tmp_path)
    data = DataConfig("kmnist", str(tmp_path), 20)
    settings = resolve(config_of("kmnist")).evaluation
    images = image_sets.test_images(data, dataclasses.replace(settings, num_images=0))
    test = sources.load_configured(data, "test").images
    np.testing.assert_allclose(images, test / np.float32(255), rtol=1e-6)
    some = image_sets.test_images(data, dataclasses.replace(settings, num_images=7))
    assert len(some) == 7 and all((image == images).all((1, 2)).any() for image in some)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "mnits"}, r"data\.name='mnits' is not a known set"),
        ({"name": "mnist", "transpose": True}, r"data\.transpose=True is for emnist"),
        ({"name": "mnist", "per_category": 5}, r"data\.per_category=5 is for quickdraw"),
        ({"name": "quickdraw", "per_category": -1}, r"data\.per_category=-1 is too small"),
        ({"name": "quickdraw", "categories": "tres"}, "'tres' is not one"),
        ({"name": "quickdraw", "categories": " , "}, "names none"),
    ],
)
def test_a_choice_that_a_set_does_not_have_is_refused(changes, said):
    with pytest.raises(BadInput, match=said):
        DataConfig(**changes)
