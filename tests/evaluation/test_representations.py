"""Clusters of strokes, and what a classifier reads from them."""

import dataclasses
import json

import numpy as np
import pytest

from dood_jax.evaluation.metrics.classifier import load_labelled

pytest.importorskip("sklearn", reason="scikit-learn is an extra: pip install 'dood_jax[clusters]'")

from PIL import Image
from sklearn.metrics import silhouette_samples

from dood_jax.errors import BadInput
from dood_jax.evaluation import representations
from dood_jax.types import StrokeLatents


@pytest.fixture
def on_mnist(config):
    few = {"clusters": 3, "num_clustered": 40, "num_mapped": 20, "num_learned": 30}
    return dataclasses.replace(config, generation=dataclasses.replace(config.generation, **few)).on("mnist")


def test_clusters_of_strokes_drawn_of_training_images(models, on_mnist, tmp_path):
    values = representations.run_clusters(models[:1], on_mnist, tmp_path)
    record = json.loads((tmp_path / "results" / "clusters-mnist.json").read_text())
    assert record["values"] == values and values["strokes"] == 40
    assert sum(values["fractions"]) == pytest.approx(1) and set(values["by_clusters"]) == {
        "3",
        "5",
        "10",
        "15",
    }
    strokes = representations.strokes_of(models[0], on_mnist, 40)[1].reshape(40, -1)
    kinds, silhouette = representations.cluster(strokes, 3, 0)
    assert silhouette == pytest.approx(silhouette_samples(strokes, kinds).mean())
    assert values["silhouette"] == silhouette
    assert np.asarray(Image.open(tmp_path / "results" / "clusters-mnist.png").convert("L")).std() > 5


def test_known_clusters_are_found():
    random = np.random.default_rng(0)
    vectors = np.repeat(np.eye(3) * 10, 30, axis=0) + 0.1 * random.normal(size=(90, 3))
    kinds, silhouette = representations.cluster(vectors, 3, 0)
    assert all(len(set(kinds[start : start + 30])) == 1 for start in (0, 30, 60)) and len(set(kinds)) == 3
    assert silhouette > 0.95
    places = representations.to_map(vectors, 0)
    assert places.min() == 0 and places.max() == pytest.approx(1)
    middles = places.reshape(3, 30, 2).mean(1)
    spread = np.linalg.norm(places.reshape(3, 30, 2) - middles[:, None], axis=-1).max()
    assert spread < min(np.linalg.norm(middles[a] - middles[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize("vectors", [np.zeros((9, 4)), np.eye(3)], ids=["all alike", "few"])
def test_degenerate_strokes_have_a_defined_result(vectors):
    kinds, silhouette = representations.cluster(vectors, 2, 0)
    assert kinds.shape == (len(vectors),) and np.isfinite(silhouette)
    assert np.isfinite(representations.to_map(vectors, 0)).all()


def test_fewer_strokes_than_clusters_are_refused(models, on_mnist, tmp_path):
    settings = dataclasses.replace(on_mnist.generation, num_clustered=3)
    with pytest.raises(BadInput, match=r"3 strokes .* generation\.clusters=3"):
        representations.run_clusters(models[:1], dataclasses.replace(on_mnist, generation=settings), tmp_path)


def test_without_scikit_learn_its_extra_is_named(models, on_mnist, tmp_path, monkeypatch):
    monkeypatch.setattr(representations.importlib.util, "find_spec", lambda name: None)
    for run in (representations.run_clusters, representations.run_probe):
        with pytest.raises(BadInput, match=r"dood_jax\[clusters\]"):
            run(models[:1], on_mnist, tmp_path)


def test_a_stroke_and_the_same_backwards_are_one():
    strokes = np.random.default_rng(0).uniform(size=(50, 5, 2))
    found = representations.canonical(strokes)
    np.testing.assert_array_equal(found, representations.canonical(strokes[:, ::-1]))
    run = found[:, -1] - found[:, 0]
    assert np.all(run[np.arange(50), np.abs(run).argmax(1)] > 0)


def test_curves_on_the_canvas_are_moved_by_their_layouts():
    line = np.linspace(0, 1, 5)[None, :, None] * np.ones(2)
    found = representations.on_canvas(np.float32([[0.5, 0, 0.5, np.pi / 2]]), np.float32(line))
    np.testing.assert_allclose(found[0, [0, 4, 8]], [[0.5, 0.75], [0.75, 0.5], [1, 0.25]], atol=1e-5)


def test_strokes_on_the_map_do_not_hide_each_other():
    places = np.random.default_rng(0).uniform(size=(300, 2))
    chosen = representations.far_apart(places, 0.1)
    between = np.linalg.norm(places[chosen][:, None] - places[chosen], axis=-1)
    assert between[~np.eye(len(chosen), dtype=bool)].min() >= 0.1
    assert np.linalg.norm(places[:, None] - places[chosen], axis=-1).min(1).max() < 0.1


def test_vectors_hold_what_is_drawn():
    random = np.random.default_rng(0)
    strokes = StrokeLatents(
        np.float32([[1, 0], [1, 1]]), random.normal(size=(2, 2, 4)), random.normal(size=(2, 2, 5, 2))
    )
    found = representations.latent_vectors(strokes)
    assert found.shape == (2, 28)
    np.testing.assert_array_equal(found[1, :20], strokes.control_points[1].reshape(-1))
    np.testing.assert_array_equal(found[1, 20:], strokes.layout[1].reshape(-1))
    assert not found[0, 10:20].any() and not found[0, 24:].any() and found[0, :10].all()


def test_the_probe_reads_what_vectors_tell(models, on_mnist, tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    told = lambda strokes: (
        np.eye(10)[np.arange(len(strokes.presence)) % 10]
        + 0.05 * random.normal(size=(len(strokes.presence), 10))
    )
    with monkeypatch.context() as patch:
        patch.setattr(representations, "latent_vectors", told)
        all_images = lambda data, settings: load_labelled(data, "test")
        patch.setattr(representations, "load_labelled_test", all_images)
        known = dataclasses.replace(on_mnist.generation, num_learned=0)
        values = representations.run_probe(
            models[:1], dataclasses.replace(on_mnist, generation=known), tmp_path
        )
    assert values["linear"] == 1 and values["chance"] == 0.1
    assert json.loads((tmp_path / "results" / "probe-mnist.json").read_text())["values"] == values


def test_a_set_of_one_class_is_not_probed(models, on_mnist, tmp_path, monkeypatch):
    one = lambda data, *rest: images_of_one_class
    images_of_one_class = load_labelled(on_mnist.data, "test")
    images_of_one_class = images_of_one_class._replace(labels=np.zeros(40, int))
    monkeypatch.setattr(representations, "load_labelled", one)
    with pytest.raises(BadInput, match="one class"):
        representations.run_probe(models[:1], on_mnist, tmp_path)
