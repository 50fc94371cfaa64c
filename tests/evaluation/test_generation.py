"""Samples, distances, exemplars and completions are those of the model, by the set's classifier."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from dood_jax.config.resolving import resolve
from dood_jax.errors import BadInput
from dood_jax.evaluation import fid, generation
from dood_jax.evaluation.metrics import classifier, prepare
from dood_jax.evaluation.metrics.classifier import load_labelled, load_labelled_test
from dood_jax.evaluation.metrics.classifier import train as classifier_training


@pytest.fixture(scope="module")
def train_once():
    """Training of the one classifier that all tests share."""
    trained = []

    def train(images, steps):
        trained[:] = trained or [classifier_training(images, steps)]
        return trained[0]

    return train


@pytest.fixture
def on_mnist(config, monkeypatch, train_once):
    """Few drawings of few images, and a classifier of four steps."""
    monkeypatch.setattr(prepare, "STEPS", 4)
    monkeypatch.setattr(classifier, "train", train_once)
    few = {"num_samples": 6, "repeats": 2, "per_image": 2}
    return dataclasses.replace(config, generation=dataclasses.replace(config.generation, **few)).on("mnist")


@pytest.fixture
def silent(models):
    """A model that draws nothing and generates nothing."""
    params = {name: dict(part) for name, part in models[0].params.items()}
    for name in ("posterior_presence", "prior_presence"):
        bias = np.full(1, -50, np.float32)
        params[name] = {**params[name], "out": {**params[name]["out"], "bias": bias}}
    return dataclasses.replace(models[0], params=params)


def result_of(workdir, task: str) -> dict:
    """The record and a look at its figure; NaN is no JSON here."""
    refuse = lambda constant: pytest.fail(f"{constant} in {task}")
    text = (workdir / "results" / f"{task}-mnist.json").read_text()
    assert np.asarray(Image.open(workdir / "results" / f"{task}-mnist.png").convert("L")).std() > 5
    return json.loads(text, parse_constant=refuse)


def test_samples_stand_beside_real_images(models, on_mnist, tmp_path):
    values = generation.run_samples(models[:1], on_mnist, tmp_path)
    assert result_of(tmp_path, "samples")["values"] == values
    brushes = generation.brushes_of(models[0], on_mnist)
    drawn = generation.samples(models[0], on_mnist, brushes, 64, 0)
    assert values["ink"] == pytest.approx(drawn.canvases[:, -1].sum((1, 2)).mean())
    assert set(drawn.brush.canvas_slope) <= set(brushes.canvas_slope)


@pytest.mark.parametrize("brush", ["median", "trained"])
def test_one_brush_for_all(models, on_mnist, brush):
    settings = dataclasses.replace(on_mnist.generation, brush=brush)
    found = generation.brushes_of(models[0], dataclasses.replace(on_mnist, generation=settings))
    assert found.ink_width.shape == (1,)
    many = generation.brushes_of(models[0], on_mnist)
    wanted = np.median(many.ink_width) if brush == "median" else models[0].brush.ink_width
    assert found.ink_width[0] == pytest.approx(wanted)


def test_distances_are_of_samples_and_of_other_real_images(models, on_mnist, tmp_path):
    values = fid.run(models[:1], on_mnist, tmp_path)
    assert result_of(tmp_path, "fid")["values"] == json.loads(json.dumps(values))
    classifier = prepare.classifier_of(on_mnist.data, tmp_path / "results")
    brushes = generation.brushes_of(models[0], on_mnist)
    training = load_labelled(on_mnist.data, "train")
    found = []
    for seed in (0, 1):
        rows = np.random.default_rng(seed).permutation(40)
        drawn = generation.samples(models[0], on_mnist, brushes, 6, seed).canvases[:, -1]
        real = classifier.features(training.take(rows[:6]).floats)
        other = classifier.features(training.take(rows[6:12]).floats)
        found.append(
            [fid.frechet_distance(real, classifier.features(drawn)), fid.frechet_distance(real, other)]
        )
    ours, floor = np.mean(found, 0)
    assert values["fid"]["mean"] == pytest.approx(ours, rel=1e-4)
    assert values["real_fid"]["mean"] == pytest.approx(floor, rel=1e-3, abs=1e-6)
    assert values["ratio"] == pytest.approx(ours / floor, rel=1e-2)
    assert values["repeats"] == 2 and values["images"] == 6


def test_images_are_compared_by_pixels_too():
    images = np.zeros((2, 20, 20), np.float32)
    images[0, :2, :2] = 1
    found = fid.pixel_features(images).reshape(2, 10, 10)
    assert found[0, 0, 0] > 0.5 and found[0, 3:, 3:].max() == 0 and found[1].max() == 0


@pytest.mark.slow
def test_exemplars_are_compared_with_their_images(models, on_mnist, tmp_path):
    values = generation.run_exemplars(models[:1], on_mnist, tmp_path)
    assert result_of(tmp_path, "exemplars")["values"] == json.loads(json.dumps(values))
    curve = list(values["curve"].values())
    assert values["l1"] == curve[2]["l1"]
    given = load_labelled_test(on_mnist.data, on_mnist.evaluation)
    sketch = models[0].infer(given.floats, 0, 2)
    same = np.abs(sketch.canvases[:, -1] - given.floats).sum((1, 2)).mean()
    assert curve[0]["l1"] == pytest.approx(same, rel=1e-3)
    new = generation.exemplars_of(models[0], sketch, on_mnist, 1.0)
    assert values["l1"] == pytest.approx(np.abs(new - given.floats[:, None]).sum((2, 3)).mean(), rel=1e-3)
    assert new.shape == (5, 2, 20, 20) and np.abs(new[:, 0] - new[:, 1]).max() > 0.1


def test_images_of_one_class_are_one_apart_on_average():
    features = np.array([[0.0, 0], [3, 4], [100, 0], [100, 1]])
    assert generation.same_class_distance(features, np.array([0, 0, 1, 1])) == 3
    every = generation.same_class_distance(features[:2], np.array([0, 1]))
    assert every == 5 and generation.same_class_distance(features[:1], np.array([0])) == 0


def test_brushes_of_exemplars_vary_in_quickdraw_alone():
    settings = lambda name, **given: resolve({"data": {"name": name}, "generation": given})
    assert generation.noise_of(settings("mnist"))[2:5] == (0, 0, 0)
    assert generation.noise_of(settings("quickdraw"))[2:5] == (0.001, 0.01, 0.01)
    twice = generation.noise_of(settings("quickdraw", exemplar_noise=2.0))
    assert twice[:5] == (0.2, 0.006, 0.002, 0.02, 0.02)
    assert twice.token.angle == pytest.approx(0.2 * np.pi)


def test_completions_keep_their_start_and_are_classified(models, on_mnist, tmp_path):
    values = generation.run_completion(models[:1], on_mnist, tmp_path)
    assert result_of(tmp_path, "completion")["values"] == json.loads(json.dumps(values))
    given = load_labelled_test(on_mnist.data, on_mnist.evaluation)
    sketch = models[0].infer(given.floats, 0, 2)
    strokes = sketch.strokes.presence.sum(1)
    starts = [values["by_prefix_strokes"][str(kept)]["starts"] for kept in range(3) if (strokes > kept).any()]
    assert starts == [int((strokes > kept).sum()) for kept in range(3) if (strokes > kept).any()]
    longer = models[0].complete(sketch, 1, 0)
    rows = strokes > 0
    np.testing.assert_allclose(longer.canvases[rows, 0], sketch.canvases[rows, 0], atol=1e-5)


def test_the_mean_distance_is_that_of_all_pairs():
    drawn = np.random.default_rng(0).uniform(size=(2, 3, 4, 4))
    pairs = [(0, 1), (0, 2), (1, 2)]
    wanted = np.mean([np.abs(row[a] - row[b]).sum() for row in drawn for a, b in pairs])
    assert generation.mean_distance(drawn) == pytest.approx(wanted)


def test_a_model_that_draws_nothing_gives_numbers_all_the_same(silent, on_mnist, tmp_path):
    for run in (generation.run_samples, fid.run, generation.run_exemplars, generation.run_completion):
        run([silent], on_mnist, tmp_path)
    values = {name: result_of(tmp_path, name)["values"] for name in ("samples", "exemplars", "completion")}
    assert values["samples"]["blank"] == 1 and values["samples"]["ink"] == 0
    assert values["exemplars"]["blank"] == 1
    assert values["completion"]["by_prefix_strokes"] == {} and values["completion"]["diversity"] is None


def test_all_strokes_cannot_be_kept(models, on_mnist, tmp_path):
    settings = dataclasses.replace(on_mnist.generation, num_prefix_strokes=3)
    with pytest.raises(BadInput, match="num_prefix_strokes=3"):
        generation.run_completion(models[:1], dataclasses.replace(on_mnist, generation=settings), tmp_path)


def test_a_set_with_too_few_images_is_refused(models, on_mnist, tmp_path, monkeypatch):
    load = load_labelled
    few = lambda data, split, most=0: load(data, split).take(np.arange(3))
    monkeypatch.setattr(fid, "load_labelled", few)
    with pytest.raises(BadInput, match="3 training images"):
        fid.run(models[:1], on_mnist, tmp_path)
