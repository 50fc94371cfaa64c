"""Measured images: batches and devices leave no trace, and the bound is what it says."""

import functools
import types

import jax
import numpy as np
import pytest

from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import DataConfig
from dood_jax.config.resolving import resolve
from dood_jax.data import pack
from dood_jax.inference import batching, bounds, image_sets, infer
from dood_jax.objectives import iwae
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.training.state import example_streams

SETTINGS = EvaluationConfig(num_particles=3, num_strokes=2, batch_size=4)  # the model was trained with 3


def group_of(num_devices: int, mode: str = "pmap") -> DeviceGroup:
    return DeviceGroup(tuple(jax.local_devices()[:num_devices]), mode)


@pytest.fixture(scope="module")
def set_keys():
    return batching.example_keys(jax.random.key(5), 7)


@pytest.fixture(scope="module")
def weights(tiny, lively, images, set_keys):
    """[7, 3] of every quantity, weighed without batches."""
    one = functools.partial(iwae.log_weights, tiny, lively, num_particles=3, num_strokes=2)
    return jax.device_get(jax.jit(jax.vmap(one))(images[:7], set_keys))


def test_bound_is_the_log_mean_exp_of_the_weights(tiny, lively, images, set_keys, weights):
    """Seven images in batches of four against all at once."""
    found = bounds.bound(tiny, lively, images[:7], set_keys, SETTINGS, group_of(1))
    elbo = weights.elbo("map")
    wanted = np.log(np.mean(np.exp(np.float64(elbo)), axis=1))
    np.testing.assert_allclose(found.log_likelihood, wanted, rtol=1e-4)
    np.testing.assert_allclose(found.elbo, elbo.mean(1), rtol=1e-4)
    for name in ("strokes", "l1"):
        np.testing.assert_allclose(getattr(found, name), getattr(weights, name).mean(1), rtol=1e-4)
    normalised = np.exp(np.float64(elbo) - elbo.max(1, keepdims=True))
    samples = normalised.sum(1) ** 2 / (normalised**2).sum(1)
    np.testing.assert_allclose(found.effective_samples, samples, rtol=1e-3)
    assert np.all(found.log_likelihood >= found.elbo)


@pytest.mark.parametrize("mode", ["pmap", pytest.param("shard_map", marks=pytest.mark.slow)])
def test_two_devices_give_the_bound_of_one(tiny, lively, images, set_keys, mode):
    one, two = (
        bounds.bound(tiny, lively, images[:7], set_keys, SETTINGS, group)
        for group in (group_of(1), group_of(2, mode))
    )
    for name in bounds.Bound._fields:
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), rtol=1e-4, err_msg=name)


def test_summary_has_means_and_the_standard_error_over_images():
    values = np.random.default_rng(1).normal(size=(5, 9))
    summary = bounds.Bound(*values).summary()
    assert set(summary) == {*bounds.Bound._fields, "stderr"}
    for name, row in zip(bounds.Bound._fields, values, strict=True):
        assert summary[name] == pytest.approx(row.mean())
    assert summary["stderr"] == pytest.approx(values[0].std(ddof=1) / 3)


def test_inference_returns_the_particle_of_highest_elbo(tiny, lively, images, set_keys, weights):
    sketch = infer.infer(tiny, lively, images[:7], set_keys, infer.Effort(3, 2))
    assert sketch.canvases.shape == (7, 2, 20, 20)
    best = weights.elbo("map").argmax(1)
    assert len(set(best.tolist())) > 1
    rows = np.arange(7)
    np.testing.assert_array_equal(sketch.strokes.presence.sum(1), weights.strokes[rows, best])
    error = np.abs(images[:7] - sketch.canvases[:, -1]).sum((1, 2))
    np.testing.assert_allclose(error, weights.l1[rows, best], rtol=1e-4)


@pytest.fixture
def toy_dir(tmp_path):
    """A folder with thirty 20 x 20 test images and a hundred training images, each of a grey of its own."""
    images = np.broadcast_to(np.arange(130, dtype=np.uint8)[:, None, None], (130, 20, 20))
    for split, of_split in (("test", images[:30]), ("train", images[30:])):
        labels = np.zeros(len(of_split), np.uint8)
        np.savez(pack.path_of(tmp_path, "mnist", split), image=of_split, label=labels)
    return tmp_path


def greys_of(toy_dir, select=image_sets.test_images, **settings) -> list[int]:
    data = DataConfig("mnist", dir=str(toy_dir), image_size=20)
    images = select(data, EvaluationConfig(**settings))
    assert images.dtype == np.float32
    assert np.all(images == images[:, :1, :1])
    return np.round(images[:, 0, 0] * 255).astype(int).tolist()


def test_measured_images_are_a_fixed_choice_in_order(toy_dir):
    chosen = greys_of(toy_dir, num_images=8)
    assert chosen == greys_of(toy_dir, num_images=8) == sorted(set(chosen))
    assert len(chosen) == 8
    assert chosen != greys_of(toy_dir, num_images=8, seed=1)
    assert set(chosen) < set(greys_of(toy_dir, num_images=12))


def test_all_images_are_taken_for_zero_or_more_than_there_are(toy_dir):
    assert greys_of(toy_dir, num_images=0) == greys_of(toy_dir, num_images=99) == list(range(30))


def test_validation_images_are_training_images_that_no_model_is_trained_on(toy_dir):
    """Neither test images nor any that a run trains on; a twentieth of the training split."""
    data = DataConfig("mnist", dir=str(toy_dir), image_size=20)
    config = resolve({"data": {"name": "mnist", "dir": str(toy_dir), "image_size": 20}})
    trained, _ = example_streams(config)
    trained = set(trained[:, 0, 0].tolist())
    chosen = greys_of(toy_dir, image_sets.validation_images, num_images=0)
    assert len(chosen) == 5 and set(chosen) | trained == set(range(30, 130)) and not set(chosen) & trained
    some = greys_of(toy_dir, image_sets.validation_images, num_images=3)
    assert some == greys_of(toy_dir, image_sets.validation_images, num_images=3) and set(some) < set(chosen)
    training = image_sets.training_images(data, 1000, seed=0)[:, 0, 0] * 255
    assert np.round(training).astype(int).tolist() == list(range(30, 130))


@pytest.fixture
def noise_for_drawings(monkeypatch):
    """Images of noise, which depend on key and size as random drawings do, and compile sooner."""
    noise = lambda key, size: types.SimpleNamespace(image=jax.random.uniform(key, (size, size)))
    monkeypatch.setattr(image_sets, "random_drawing", noise)


@pytest.mark.usefixtures("noise_for_drawings")
def test_synthetic_sets_differ():
    data, settings = DataConfig("synthetic", image_size=10), EvaluationConfig(num_images=5)
    validation, test = image_sets.validation_images(data, settings), image_sets.test_images(data, settings)
    training = image_sets.training_images(data, 5, seed=0)
    assert len(np.unique(np.concatenate([validation, test, training]).round(3), axis=0)) == 15


@pytest.mark.usefixtures("noise_for_drawings")
def test_synthetic_images_are_fixed_and_their_first_do_not_depend_on_their_number():
    data = DataConfig("synthetic", image_size=10)
    few, more = (
        image_sets.test_images(data, EvaluationConfig(num_images=count, seed=count)) for count in (5, 9)
    )
    assert (few.shape, more.shape) == ((5, 10, 10), (9, 10, 10))
    np.testing.assert_allclose(few, more[:5], atol=1e-6)
    assert len(np.unique(more.reshape(9, -1).round(3), axis=0)) == 9
