"""The scale that a model was not trained with: fitted to its drawings, which stay as they are."""

import dataclasses

import jax
import numpy as np
import pytest

from dood_jax.config.evaluation import EvaluationConfig
from dood_jax.config.groups import DataConfig
from dood_jax.inference import image_sets, infer
from dood_jax.objectives.elbo import log_likelihood
from dood_jax.test_time import scales

DATA = DataConfig("synthetic", image_size=20)


@pytest.fixture(scope="module")
def few(module_patch):
    """Fewer steps, of smaller batches, than users have."""
    module_patch.setattr(scales, "_STEPS", 200)
    module_patch.setattr(scales, "_BATCH", 48)


@pytest.fixture(scope="module")
def module_patch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def fitted(few, tiny, lively, drawn):
    """Scale -> parameters in which it was fitted to a model trained with the other."""
    return {
        scale: scales.fit_scales(dataclasses.replace(tiny, likelihood_scale=trained), lively, *drawn, [scale])
        for scale, trained in (("map", "canvas"), ("canvas", "map"))
    }


@pytest.fixture(scope="module")
def drawn(tiny, lively):
    """The images that are fitted to, and the canvases drawn of them."""
    images = image_sets.training_images(DATA, 48, seed=0)
    keys = image_sets.evaluation_keys(EvaluationConfig(seed=0), len(images))
    return images, infer.infer(tiny, lively, images, keys, infer.Effort()).canvases[:, -1]


@pytest.fixture(scope="module")
def mean_nats(tiny, drawn):
    """(scale, parameters) -> mean log-likelihood of the images that were fitted to."""

    def one(scale, params):
        model = dataclasses.replace(tiny, likelihood_scale=scale)
        each = jax.vmap(lambda image, canvas: log_likelihood(model, params, image, canvas))
        return float(jax.jit(each)(*drawn).mean())

    return one


def with_scale(params, scale, change):
    raw = params["likelihood"][scale]
    return {**params, "likelihood": {**params["likelihood"], scale: raw + change}}


@pytest.mark.parametrize("scale", ["map", "canvas"])
def test_nothing_else_changes(fitted, lively, scale):
    changed = dict(jax.tree_util.tree_leaves_with_path(fitted[scale]))
    same = [np.array_equal(changed[path], leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(lively)]
    assert same.count(False) == 1
    assert not np.array_equal(fitted[scale]["likelihood"][scale], lively["likelihood"][scale])


@pytest.mark.parametrize("change", [-0.1, 0.1])
def test_no_other_map_is_more_likely(fitted, mean_nats, change):
    """Every pixel has its own optimum, so a move of all of them loses wherever the range does not end."""
    assert mean_nats("map", with_scale(fitted["map"], "map", change)) < mean_nats("map", fitted["map"])


def test_fitted_weights_are_near_an_optimum(fitted, lively, mean_nats):
    best = mean_nats("canvas", fitted["canvas"])
    flat = with_scale(lively, "canvas", -np.asarray(lively["likelihood"]["canvas"]))
    gained = best - mean_nats("canvas", flat)
    assert gained > 20
    random = np.random.default_rng(0)
    for _ in range(20):
        change = 0.3 * random.standard_normal(14).astype(np.float32)
        assert mean_nats("canvas", with_scale(fitted["canvas"], "canvas", change)) < best + 0.01 * gained
