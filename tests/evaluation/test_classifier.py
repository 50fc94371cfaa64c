"""The evaluation classifier learns classes, is stored, and is the same when it is read again."""

import sys

import numpy as np
import pytest

from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.resolving import resolve
from dood_jax.errors import BadInput
from dood_jax.evaluation.metrics import classifier, prepare
from dood_jax.evaluation.metrics.classifier import LabelledImages, load_labelled, load_labelled_test


def lines(count: int, seed: int) -> LabelledImages:
    """Level and upright lines on 20 x 20 pixels."""
    random = np.random.default_rng(seed)
    labels = random.integers(2, size=count)
    images = np.zeros((count, 20, 20), np.uint8)
    for image, label, place in zip(images, labels, random.integers(4, 16, count), strict=True):
        image[place, 3:17] = 255
        if label:
            image[:] = image.T
    return LabelledImages(images, labels, ("level", "upright"))


@pytest.fixture(scope="module")
def trained():
    return classifier.train(lines(300, 0), 16)


def test_a_classifier_tells_unseen_images_apart(trained):
    unseen = lines(100, 1)
    assert classifier.accuracy(trained, unseen) > 0.95
    assert classifier.accuracy(trained, unseen._replace(labels=1 - unseen.labels)) < 0.05
    found = trained.probabilities(unseen.floats)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert trained.features(unseen.floats).shape == (100, classifier.NUM_FEATURES)


def test_every_image_is_seen_once_an_epoch():
    rows = classifier._rows_in_epochs(100, 25, 0).reshape(-1)[:3200].reshape(32, 100)
    assert all(len(set(epoch)) == 100 for epoch in rows)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lines(4, 0)._replace(labels=np.zeros(4, int)), "1 class"),
        (lines(4, 0)._replace(images=np.zeros((4, 6, 6), np.uint8)), "image_size=6"),
    ],
)
def test_what_cannot_be_classified_is_refused(broken, said):
    with pytest.raises(BadInput, match=said):
        classifier.train(broken, 1)


@pytest.fixture
def data(monkeypatch):
    """Settings whose images are the lines."""
    monkeypatch.setattr(prepare, "load_labelled", lambda data, split: lines(300, split == "test"))
    monkeypatch.setattr(prepare, "STEPS", 30)
    return resolve({"data": {"name": "kmnist", "image_size": 20}}).data


@pytest.mark.slow
def test_a_classifier_is_trained_once_and_again_when_its_file_is_damaged(data, tmp_path, monkeypatch):
    first = prepare.classifier_of(data, tmp_path)
    assert first.card["accuracy"] > 0.95 and first.card["tested_on"] == 300
    (path,) = tmp_path.glob("*.npz")
    images = lines(50, 2).floats
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "train", None)
        stored = prepare.classifier_of(data, tmp_path)
    assert stored.card == first.card
    np.testing.assert_allclose(stored.probabilities(images), first.probabilities(images), atol=0.01)
    path.write_bytes(path.read_bytes()[:500])
    assert prepare.classifier_of(data, tmp_path).card["accuracy"] > 0.95


@pytest.mark.parametrize("name", ["mnist", pytest.param("synthetic", marks=pytest.mark.slow)])
def test_the_classifiers_of_the_package_know_their_sets(name, data_dir, tmp_path):
    data = resolve({"data": {"name": name, "dir": str(data_dir)}}).data
    path = prepare.__file__.replace("prepare.py", f"trained/{name}.npz")
    trained = prepare.read(prepare.Path(path))
    found = load_labelled_test(data, EvaluationConfig(num_images=200))
    assert trained.classes == found.classes and trained.card["dataset"] == name
    expected = trained.card["accuracy"]
    spread = 4 * np.sqrt(expected * (1 - expected) / 200)
    assert classifier.accuracy(trained, found) == pytest.approx(expected, abs=spread)


def test_synthetic_drawings_are_told_apart_by_their_strokes():
    data = resolve({"data": {"name": "synthetic"}}).data
    found = load_labelled(data, "test", 200)
    assert found.images.shape == (200, 50, 50) and found.classes[0] == "1 strokes"
    assert set(found.labels) == set(range(6))
    ink = [found.floats[found.labels == label].sum((1, 2)).mean() for label in (0, 5)]
    assert ink[1] > ink[0]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--name=cifar", "--to=x"], "'cifar'"),
        (["--name=mnist"], "--to"),
        (["--name=mnist", "--to=x", "--steps=0"], "--steps=0"),
    ],
)
def test_bad_flags_are_one_line(monkeypatch, capsys, flags, said):
    monkeypatch.setattr(sys, "argv", ["prepare", *flags])
    with pytest.raises(SystemExit) as ended:
        prepare.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("dood_jax: ") and said in line
