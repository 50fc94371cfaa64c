"""A likelihood goes on where it was killed, and its numbers are those of the weights."""

import dataclasses
import functools
import hashlib
import json

import jax
import numpy as np
import pytest
import scipy.stats

import dood_jax
from dood_jax.errors import BadInput
from dood_jax.evaluation import likelihood, results
from dood_jax.evaluation.resume_cache import CachedLogWeights, origin_of
from dood_jax.inference import bounds, image_sets
from dood_jax.inference.infer import training_drawings
from dood_jax.objectives import iwae
from dood_jax.rendering.source_grid import to_source_grid


@pytest.fixture
def on_mnist(config):
    return config.on("mnist")


def batches_run(monkeypatch, dies_after: int | None = None) -> list[int]:
    """Counts batches that are computed; optionally dies after some."""
    computed = []
    compile_weights = bounds._compiled_weights

    def counted(*settings):
        weigh = compile_weights(*settings)

        def once(*inputs):
            if dies_after is not None and len(computed) == dies_after:
                raise KeyboardInterrupt
            computed.append(len(computed))
            return weigh(*inputs)

        return once

    monkeypatch.setattr(bounds, "_compiled_weights", counted)
    return computed


def test_values_are_means_over_images_of_the_log_mean_weight(models, on_mnist, tmp_path):
    values = likelihood.run(models[:1], on_mnist, tmp_path)
    images = image_sets.test_images(on_mnist.data, on_mnist.evaluation)
    keys = image_sets.evaluation_keys(on_mnist.evaluation, len(images))
    model = models[0]
    weigh = lambda image, key: iwae.log_weights(model.config, model.params, image, key, 2)
    weights = jax.device_get(jax.jit(jax.vmap(weigh))(images, keys))
    for scale in ("map", "canvas"):
        nats = np.log(np.exp(np.float64(weights.elbo(scale))).mean(1))
        found = values[f"log_likelihood_{scale}"]
        assert found["mean"] == pytest.approx(nats.mean(), rel=1e-4)
        assert found["stderr"] == pytest.approx(nats.std(ddof=1) / np.sqrt(5), rel=1e-3)
    assert values["strokes"] == pytest.approx(weights.strokes.mean(), rel=1e-5)
    record = json.loads((tmp_path / "results" / "likelihood-mnist.json").read_text())
    assert record["values"] == values and record["n"] == 5 and record["checkpoint"] == "one"


def test_a_killed_measurement_goes_on_where_it_was(models, on_mnist, tmp_path, monkeypatch):
    whole = likelihood.run(models[:1], on_mnist, tmp_path / "whole")
    with monkeypatch.context() as patch:
        batches_run(patch, dies_after=2)
        with pytest.raises(KeyboardInterrupt):
            likelihood.run(models[:1], on_mnist, tmp_path)
    computed = batches_run(monkeypatch)
    assert likelihood.run(models[:1], on_mnist, tmp_path) == whole
    assert len(computed) == 1  # of three
    assert not list((tmp_path / "results").glob(".likelihood*"))


def test_seconds_of_a_killed_measurement_count(models, on_mnist, tmp_path, monkeypatch):
    """A record of one that went on says the seconds of both."""
    with monkeypatch.context() as patch:
        batches_run(patch, dies_after=2)
        with pytest.raises(KeyboardInterrupt):
            likelihood.run(models[:1], on_mnist, tmp_path)
    for part in tmp_path.rglob("*.npz"):
        arrays = dict(np.load(part))
        assert 0 < arrays["seconds_of_part"] < 600
        np.savez(part, **{**arrays, "seconds_of_part": np.float64(1000)})
    likelihood.run(models[:1], on_mnist, tmp_path)
    record = json.loads((tmp_path / "results" / "likelihood-mnist.json").read_text())
    assert 2000 < record["seconds"] < 2600


def test_a_record_names_the_parameters_and_the_version(models, on_mnist, tmp_path):
    """By one sha256 of all, which is another for every other model."""
    likelihood.run(models[:1], on_mnist, tmp_path)
    record = json.loads((tmp_path / "results" / "likelihood-mnist.json").read_text())
    assert record["checkpoint_sha256"] == hashlib.sha256(b'{"all": "one"}').hexdigest()
    assert record["versions"]["dood_jax"] == dood_jax.__version__


def test_a_coded_brush_stands_apart_and_needs_iterative_inference(models, on_mnist, tmp_path):
    settings = dataclasses.replace(on_mnist.evaluation, brush_bits=6)
    asked = dataclasses.replace(on_mnist, evaluation=settings)
    with pytest.raises(
        BadInput, match=r"evaluation\.brush_bits=6 needs a model with iterative inference; give 0"
    ):
        likelihood.run(models[:1], asked, tmp_path)
    assert results.suffix(asked) == "-brush-bits"


@pytest.mark.slow
def test_at_another_source_size_both_scales_are_fitted_anew(models, on_mnist):
    """The map is then the mean error of each pixel of training drawings (closed form)."""
    model = models[0]
    other = dataclasses.replace(model, config=dataclasses.replace(model.config, source_size=10))
    assert likelihood.with_both_scales(model, on_mnist) is model.params
    fitted = likelihood.with_both_scales(other, on_mnist)["likelihood"]
    images, sketch = training_drawings(other.config, model.params, on_mnist.data)
    recorded = jax.vmap(functools.partial(to_source_grid, 10))(images, sketch.canvases[:, -1])
    wanted = np.clip(np.abs(images - recorded).mean(0), 0.0101, 0.999)
    found = 0.01 + 0.99 / (1 + np.exp(-np.float64(fitted["map"])))
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert np.abs(fitted["canvas"] - model.params["likelihood"]["canvas"]).max() > 0


def test_nothing_is_taken_from_a_measurement_with_other_settings(models, on_mnist, tmp_path):
    weights = iwae.LogWeights(
        np.ones((2, 2)), {"map": np.ones((2, 2)), "canvas": np.ones((2, 2))}, np.ones((2, 2)), np.ones((2, 2))
    )
    settings = dataclasses.replace(on_mnist.evaluation, num_particles=3)
    other = dataclasses.replace(on_mnist, evaluation=settings)
    images, params = np.zeros((2, 20, 20)), models[0].params
    fitted = {"likelihood": {**params["likelihood"], "canvas": params["likelihood"]["canvas"] + 1}}
    cache = functools.partial(CachedLogWeights, tmp_path)
    cache(models[0], on_mnist, images, params).put(0, weights)
    assert cache(models[0], on_mnist, images, params).get(0).log_ratio.sum() == 4
    for elsewhere in (
        (models[0], other, images, params),
        (models[1], on_mnist, images, params),
        (models[0], on_mnist, images + 1, params),
        (models[0], on_mnist, images, fitted),
        (models[0], on_mnist, images, params, "map"),
    ):
        assert cache(*elsewhere).get(0) is None
    for file in tmp_path.rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    assert cache(models[0], on_mnist, images, params).get(0) is None


@pytest.mark.slow
def test_what_is_cached_is_of_the_models_own_settings(models, on_mnist):
    """Beside another model, whose settings the configuration has."""
    images = image_sets.test_images(on_mnist.data, on_mnist.evaluation)
    asked = dataclasses.replace(models[1].config, source_size=10)
    asked = dataclasses.replace(models[1], config=asked)
    assert origin_of(models[1], on_mnist, images) != origin_of(asked, on_mnist, images)


@pytest.mark.slow
def test_optimized_numbers_stand_apart_and_are_higher(models, on_mnist, tmp_path):
    settings = dataclasses.replace(on_mnist.evaluation, optimize_steps=40)
    plain = likelihood.run(models[:1], on_mnist, tmp_path)
    optimized = likelihood.run(models[:1], dataclasses.replace(on_mnist, evaluation=settings), tmp_path)
    files = {path.name for path in (tmp_path / "results").iterdir()}
    assert files == {"likelihood-mnist.json", "likelihood-mnist-optimized.json"}
    assert optimized["log_likelihood_map"]["mean"] > plain["log_likelihood_map"]["mean"]


@pytest.mark.parametrize(
    ("name", "density", "deviation"),
    [
        ("laplace", scipy.stats.laplace, lambda images: np.abs(images).mean(0)),
        ("normal", scipy.stats.norm, lambda images: np.sqrt((images**2).mean(0))),
    ],
)
def test_the_floor_is_a_blank_canvas_under_the_most_likely_scale(
    monkeypatch, on_mnist, name, density, deviation
):
    random = np.random.default_rng(0)
    trained = random.integers(0, 256, (9, 20, 20)).astype(np.uint8) * (random.random((20, 20)) < 0.5)
    monkeypatch.setattr(image_sets, "all_training_images", lambda data: trained.astype(np.uint8))
    model = dataclasses.replace(on_mnist.model, likelihood=name, least_scale=0.05)
    images = random.random((4, 20, 20), np.float32)
    scale = np.clip(deviation(trained / 255), 0.05, 1)
    wanted = density.logpdf(images, scale=scale).sum((1, 2)).mean()
    found = likelihood.blank_canvas_log_likelihood(model, on_mnist.data, images)
    assert found == pytest.approx(wanted, rel=1e-4)
