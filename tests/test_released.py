"""The models that come with the package: whole, small, described, and able to draw."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import dood_jax
from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import DataConfig
from dood_jax.inference import image_sets

FOLDER = Path(__file__).parent.parent / "checkpoints"
NAMES = sorted(card.parent.name for card in FOLDER.glob("*/card.json"))
FEW = EvaluationConfig(num_images=48)
# L1 error over that of a blank canvas: a third above what the released models have on these images.
ON_SYNTHETIC_STROKES = {
    "emnist": 0.13,
    "kmnist": 0.14,
    "mnist": 0.16,
    "omniglot": 0.165,
    "quickdraw": 0.145,
    "synthetic": 0.12,
}
ON_OWN_SET = {  # the same, and the mean number of strokes
    "emnist": (0.12, 4.8),
    "kmnist": (0.21, 5.5),
    "mnist": (0.15, 2.8),
    "omniglot": (0.165, 5.1),
    "quickdraw": (0.22, 5.7),
    "synthetic": (0.12, 4.7),
}
MNIST_NATS = 7505  # mean bound of 2 particles on these 48 digits


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def relative_error(name: str, data: DataConfig) -> tuple[float, float]:
    """L1 error of drawings over that of blank canvases, on 48 test images; mean number of strokes."""
    images = image_sets.test_images(data, FEW)
    sketch = dood_jax.load(name).infer(images, key=0)
    errors = np.abs(images - np.asarray(sketch.canvases)[:, -1])
    return errors.sum() / images.sum(), float(np.asarray(sketch.strokes.presence).sum(-1).mean())


def test_there_are_released_models_and_together_they_are_small():
    assert {"mnist", "synthetic"} <= set(NAMES)
    assert size_of(FOLDER) <= 48e6


@pytest.mark.parametrize("name", NAMES)
def test_a_released_model_is_small_and_its_card_says_where_it_comes_from(name):
    card = json.loads((FOLDER / name / "card.json").read_text())
    assert size_of(FOLDER / name) <= 6e6
    assert card["dtype"] == "float16"
    assert card["command"].startswith("python -m dood_jax.main --config=configs/")
    assert "/home" not in card["command"] and card["config"]["data"]["dir"] is None
    assert card["step"] > 0 and card["seconds"] > 0 and card["commit"] and card["device"]
    assert abs(card["metrics"]["cost_of_16_bits"]) < 5


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_released_model_draws_unseen_synthetic_strokes(name):
    error, strokes = relative_error(name, DataConfig(name="synthetic"))
    assert error < ON_SYNTHETIC_STROKES[name]
    assert 3 < strokes < 6  # the strokes of these images: 1 to 6, and some touch


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_released_model_draws_unseen_images_of_its_own_set(name, data_dir):
    error, strokes = relative_error(name, DataConfig(name=name, dir=str(data_dir)))
    most_error, expected_strokes = ON_OWN_SET[name]
    assert error < most_error
    assert strokes == pytest.approx(expected_strokes, abs=0.5)


def test_the_bounds_fail_what_is_drawn_of_other_images():
    """The drawing of another image, and a blank canvas (1), are far above every bound."""
    images = image_sets.test_images(DataConfig(name="synthetic"), FEW)
    other = np.abs(images - np.roll(images, 1, axis=0)).sum() / images.sum()
    bounds = [*ON_SYNTHETIC_STROKES.values(), *(error for error, _ in ON_OWN_SET.values())]
    assert other > 4 * max(bounds) and max(bounds) < 0.25


@pytest.mark.slow
def test_the_mnist_model_gives_its_digits_the_nats_that_it_was_released_with(data_dir):
    images = image_sets.test_images(DataConfig(name="mnist", dir=str(data_dir)), FEW)
    model = dood_jax.load("mnist")
    rolled = dataclasses.replace(model, config=dataclasses.replace(model.config, unroll=1))
    nats = rolled.log_likelihood(images, key=0, num_particles=2)
    assert np.mean(nats) == pytest.approx(MNIST_NATS, abs=60)  # rounding differs between machines


@pytest.mark.slow
def test_revisions_bring_the_mnist_model_nearer_to_what_it_never_saw(data_dir):
    """By hundreds of nats on KMNIST (docs/results.md), with fewer strokes for the same images."""
    images = image_sets.test_images(DataConfig(name="kmnist", dir=str(data_dir)), FEW)
    model = dood_jax.load("mnist")
    rolled = dataclasses.replace(model, config=dataclasses.replace(model.config, unroll=1))
    nats = [rolled.log_likelihood(images, num_particles=2, revisions=turns) for turns in (0, 2)]
    assert np.mean(nats[1] - nats[0]) > 300


@pytest.mark.slow
def test_newton_steps_bring_drawings_nearer_and_bounds_up(data_dir):
    """Of images of KMNIST, which the MNIST model never saw (docs/results.md)."""
    images = image_sets.test_images(DataConfig(name="kmnist", dir=str(data_dir)), FEW)
    model = dood_jax.load("mnist")
    rolled = dataclasses.replace(model, config=dataclasses.replace(model.config, unroll=1))
    canvases = [rolled.infer(images, newton_steps=steps).canvases[:, -1] for steps in (0, 12)]
    errors = [np.abs(images - rolled.to_source_grid(images, one)).sum((1, 2)).mean() for one in canvases]
    assert errors[1] < 0.95 * errors[0]
    nats = [rolled.log_likelihood(images, num_particles=2, newton_steps=steps) for steps in (0, 12)]
    assert np.mean(nats[1] - nats[0]) > 150
