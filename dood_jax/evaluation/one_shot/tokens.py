"""Energies of supports by tokens that are fitted to the query by gradient, as in the paper (method.md 10.9).

A support is drawn several times by the model; each drawing is a parse. For every query the control points of
a parse and a map of the whole drawing are optimised, and the score of the support is the logarithm of the
mean over parses, weighted by their posterior probabilities.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax.api import Model
from dood_jax.config.evaluation import OneShotConfig
from dood_jax.config.groups import Config
from dood_jax.config.model import ModelConfig
from dood_jax.data.omniglot import OneShotRuns
from dood_jax.evaluation.one_shot import strokes
from dood_jax.evaluation.one_shot.strokes import Parses
from dood_jax.evaluation.resume_cache import CachedArrays
from dood_jax.inference import batching
from dood_jax.runtime import parallel
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.test_time import token

_PARTICLES = 20  # drawings, of which the best one becomes a parse
_BATCH_SIZE = 100


def energies(
    model: Model, config: Config, episodes: OneShotRuns, screen: np.ndarray, cache: CachedArrays
) -> np.ndarray:
    """[R, Q, S] minus the one-way scores of supports; infinite for supports that were screened off.

    Tokens are fitted for the `one_shot.num_candidates` supports of least energy in `screen` [R, Q, S]; for
    all supports if it is 0.
    """
    settings = config.one_shot
    num_candidates = settings.num_candidates or screen.shape[-1]
    candidates = np.sort(np.argsort(screen, axis=-1, kind="stable")[..., :num_candidates], axis=-1)
    found = np.full(screen.shape, np.inf)
    for run, of_run in enumerate(candidates):
        part = f"tokens-{run}"
        arrays = cache.get(part)
        if arrays is None:
            scores = _scores(model, settings, episodes.supports[run], episodes.queries[run], of_run)
            arrays = {"scores": scores}
            cache.put(part, **arrays)
        np.put_along_axis(found[run], of_run, -arrays["scores"], axis=-1)
    return found


def _scores(
    model: Model, settings: OneShotConfig, supports: np.ndarray, queries: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """[Q, C] scores of each query's [Q, C] candidates among the supports of one run."""
    size = model.config.image_size
    images = np.stack([strokes.crop(query, strokes.WHOLE_IMAGE, size) for query in queries])
    scores, log_weights = [], []
    for seed in range(settings.num_parses):
        parses = strokes.parse(
            model, supports, seed, _PARTICLES, model.config.num_strokes, optimize_steps=0, windowed=False
        )
        log_weights.append(_log_joints(model, parses)[candidates])
        scores.append(_fitted_scores(model, settings, parses, images, candidates))
    return np.asarray(token.over_parses(jnp.stack(scores, -1), jnp.stack(log_weights, -1)))


def _fitted_scores(
    model: Model, settings: OneShotConfig, parses: Parses, images: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """[Q, C] scores of the candidates by one parse of each support, for [Q, H, W] images of the queries."""
    queries = np.arange(len(images)).repeat(candidates.shape[1])
    drawn = (parses.sketch.strokes, parses.sketch.brush)
    of_candidates = jax.tree_util.tree_map(lambda leaf: leaf[candidates.reshape(-1)], drawn)
    group = DeviceGroup.local()
    fit = _compiled_fit(model.config, settings.fit_steps, settings.fix_rotation_units, group)
    found = batching.in_batches(
        fit, model.params, images[queries], of_candidates, _BATCH_SIZE, len(group.devices)
    )
    return found.reshape(candidates.shape)


def _log_joints(model: Model, parses: Parses) -> np.ndarray:
    """[S] log p(support, parse) of one parse of each of S supports."""
    group = DeviceGroup.local()
    drawn = (parses.sketch.strokes, parses.sketch.brush)
    joint = _compiled_joint(model.config, group)
    return batching.in_batches(joint, model.params, parses.images, drawn, _BATCH_SIZE, len(group.devices))


@functools.lru_cache
def _compiled_fit(
    config: ModelConfig, num_steps: int, fix_rotation_units: bool, group: DeviceGroup
) -> Callable:
    """(params, [N, H, W] images, N drawings) -> [N] scores of tokens after so many steps."""

    def one(params, image, drawn):
        latents, brush = drawn
        return token.token_score(config, params, image, latents, brush, num_steps, fix_rotation_units)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)


@functools.lru_cache
def _compiled_joint(config: ModelConfig, group: DeviceGroup) -> Callable:
    """(params, [N, H, W] images, N drawings) -> [N] joint log-probabilities."""

    def one(params, image, drawn):
        return token.log_joint(config, params, image, *drawn)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)
