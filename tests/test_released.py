"""The models that come with the package: whole, small, described, and able to draw."""

import json
from pathlib import Path

import numpy as np
import pytest

import dood_jax
from dood_jax.config.groups import DataConfig, EvaluationConfig
from dood_jax.inference import test_images

FOLDER = Path(__file__).parent.parent / "checkpoints"
NAMES = sorted(card.parent.name for card in FOLDER.glob("*/card.json"))
FEW = EvaluationConfig(num_images=48)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def error_of(name: str, data: DataConfig) -> tuple[float, float]:
    """Mean L1 error of drawings and of blank canvases, nats aside."""
    images = test_images.images(data, FEW)
    sketch = dood_jax.load(name).infer(images, key=0)
    return np.abs(images - sketch.canvases[:, -1]).sum((1, 2)).mean(), images.sum((1, 2)).mean()


def test_there_are_released_models_and_together_they_are_small():
    assert {"mnist", "synthetic"} <= set(NAMES)
    assert size_of(FOLDER) <= 40e6


@pytest.mark.parametrize("name", NAMES)
def test_a_released_model_is_small_and_its_card_says_where_it_comes_from(name):
    card = json.loads((FOLDER / name / "card.json").read_text())
    assert size_of(FOLDER / name) <= 5e6
    assert card["dtype"] == "float16"
    assert card["command"].startswith("python -m dood_jax.main --config=configs/")
    assert "/home" not in card["command"] and card["config"]["data"]["dir"] is None
    assert card["step"] > 0 and card["seconds"] > 0 and card["commit"] and card["device"]
    assert abs(card["metrics"]["cost_of_16_bits"]) < 5


@pytest.mark.parametrize(
    "name", [n if n == "synthetic" else pytest.param(n, marks=pytest.mark.slow) for n in NAMES]
)
def test_a_released_model_traces_unseen_synthetic_strokes(name):
    error, blank = error_of(name, DataConfig(name="synthetic"))
    assert error < 0.6 * blank


def test_the_mnist_model_traces_unseen_digits(data_dir):
    error, blank = error_of("mnist", DataConfig(name="mnist", dir=str(data_dir)))
    assert error < 0.25 * blank


def test_the_mnist_model_gives_its_digits_the_nats_of_its_card(data_dir):
    data = DataConfig(name="mnist", dir=str(data_dir))
    images = test_images.images(data, FEW)
    measured = dood_jax.load("mnist").log_likelihood(images, key=0, num_particles=2)
    card = json.loads((FOLDER / "mnist" / "card.json").read_text())
    spread = 4 * measured.std() / np.sqrt(len(images)) + 60  # fewer particles cost some nats
    assert measured.mean() == pytest.approx(card["metrics"]["log_likelihood"], abs=spread)
