"""Reconstructions and stroke counts are those of the drawings that the model infers."""

import dataclasses
import json

import numpy as np
import pytest

from dood_jax.errors import BadInput
from dood_jax.evaluation import reconstruction, registry
from dood_jax.inference import image_sets


@pytest.mark.slow
def test_stroke_counts_are_of_up_to_ten_strokes(models, config, tmp_path):
    values = reconstruction.run_stroke_counts(models[:1], config, tmp_path)
    assert set(values) == {"mnist", "kmnist"}
    data = config.on("kmnist").data
    images = image_sets.test_images(data, config.evaluation)
    counts = models[0].infer(images, 0, 1, 10).strokes.presence.sum(1)
    found = values["kmnist"]
    assert found["mean"] == pytest.approx(counts.mean())
    assert found["at_limit"] == (counts == 10).mean()
    np.testing.assert_allclose(found["histogram"], [(counts == k).mean() for k in range(11)])
    assert json.loads((tmp_path / "results" / "stroke_counts-kmnist.json").read_text())["values"] == found
    assert (tmp_path / "results" / "stroke_counts.png").stat().st_size > 1000


def test_windows_are_the_squares_that_layouts_describe(models, images):
    sketch = models[0].infer(images, 0)
    found = reconstruction.windows(sketch, 20)
    drawn = sketch.strokes.presence > 0
    x, y, scale, angle = np.moveaxis(sketch.strokes.layout[drawn], -1, 0)
    centres = 10 * (1 + np.stack([x, y], -1))
    np.testing.assert_allclose(found[drawn].mean(1), centres, atol=1e-3)
    top = found[drawn][:, 1] - found[drawn][:, 0]
    np.testing.assert_allclose(np.hypot(*top.T), 20 * scale, rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.arctan2(top[:, 1], top[:, 0])), np.abs(angle), atol=1e-3)
    assert np.isnan(found[~drawn]).all()


def test_several_models_stand_side_by_side(models, config, tmp_path):
    values = reconstruction.run_reconstruction(models, config.on("mnist"), tmp_path)
    assert set(values) == {"one", "other", "brushes"}
    images = image_sets.test_images(config.on("mnist").data, config.evaluation)
    canvases = models[1].infer(images, 0, 2).canvases[:, -1]
    assert values["other"]["l1"] == pytest.approx(np.abs(images - canvases).sum((1, 2)).mean(), rel=1e-5)
    assert (tmp_path / "results" / "reconstruction-mnist.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("task", "checkpoints", "said"),
    [
        ("likelihood", "mnist,synthetic", "takes one checkpoint"),
        ("transfer", "mnist,mnist", "give each once"),
        ("transfer", "mnist:1", "holds 1"),
        ("transfer,cook", "mnist", "--task=cook"),
    ],
)
def test_tasks_and_checkpoints_that_do_not_go_together(config, tmp_path, task, checkpoints, said):
    settings = dataclasses.asdict(config)
    del settings["model"]["image_size"]
    with pytest.raises(BadInput, match=said):
        registry.evaluate(settings, {}, task, checkpoints, tmp_path)
