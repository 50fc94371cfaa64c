"""The energies of supports by tokens fitted by gradient, as the paper does (method.md 10.9)."""

import functools
from collections.abc import Callable

import jax
import numpy as np

from dood_jax.api import Model
from dood_jax.config.groups import Config
from dood_jax.config.model import ModelConfig
from dood_jax.data.omniglot import OneShotRuns
from dood_jax.evaluation.one_shot import parsing
from dood_jax.evaluation.one_shot.parsing import Parses
from dood_jax.evaluation.resume_cache import KeptArrays
from dood_jax.inference import batching
from dood_jax.runtime import parallel
from dood_jax.test_time import token

_PARTICLES = 20  # drawings, of which a parse is the best
_BATCH_SIZE = 100


def energies(
    model: Model, config: Config, episodes: OneShotRuns, screen: np.ndarray, kept: KeptArrays
) -> np.ndarray:
    """[R, Q, S] minus the scores of supports, one-way; infinite for those that were screened off.

    Fitted are the `one_shot.screened` supports of least energy in `screen` [R, Q, S]; all if it is 0.
    """
    num_ways = screen.shape[-1]
    few = config.one_shot.screened or num_ways
    chosen = np.sort(np.argsort(screen, axis=-1, kind="stable")[..., :few], axis=-1)
    found = np.full(screen.shape, np.inf)
    for run, candidates in enumerate(chosen):
        arrays = kept.get(f"{config.one_shot.form}-{run}")
        if arrays is None:
            supports, queries = episodes.supports[run], episodes.queries[run]
            arrays = {"scores": _scores(model, config, supports, queries, candidates)}
            kept.put(f"{config.one_shot.form}-{run}", **arrays)
        np.put_along_axis(found[run], candidates, -arrays["scores"], axis=-1)
    return found


def _scores(
    model: Model, config: Config, supports: np.ndarray, queries: np.ndarray, candidates: np.ndarray
) -> np.ndarray:
    """[Q, C] scores of each query's [Q, C] candidates among the supports of one run."""
    settings = config.one_shot
    strokes = model.config.num_strokes
    size, whole = model.config.image_size, np.float32([0, 0, 1])
    images = np.stack([parsing.crop(query, whole, size) for query in queries])
    scores, weights = [], []
    for seed in range(settings.num_parses):
        parses = parsing.parse(model, supports, seed, _PARTICLES, strokes, 0, windowed=False)
        weights.append(_log_joints(model, parses)[candidates])
        scores.append(
            _fitted(model, parses, images, candidates, settings.fit_steps, settings.form == "turned")
        )
    return np.asarray(token.over_parses(np.stack(scores, -1), np.stack(weights, -1)))


def _fitted(
    model: Model, parses: Parses, images: np.ndarray, candidates: np.ndarray, num_steps: int, turned: bool
) -> np.ndarray:
    """[Q, C] scores by one parse of each support."""
    query = np.arange(len(images)).repeat(candidates.shape[1])
    drawn = (parses.sketch.strokes, parses.sketch.brush)
    taken = jax.tree_util.tree_map(lambda leaf: leaf[candidates.reshape(-1)], drawn)
    devices = tuple(jax.local_devices())
    fit = _compiled_fit(model.config, num_steps, turned, devices)
    found = batching.in_batches(fit, model.params, images[query], taken, _BATCH_SIZE, len(devices))
    return found.reshape(candidates.shape)


def _log_joints(model: Model, parses: Parses) -> np.ndarray:
    """[S] log p(support, parse)."""
    devices = tuple(jax.local_devices())
    drawn = (parses.sketch.strokes, parses.sketch.brush)
    joint = _compiled_joint(model.config, devices)
    return batching.in_batches(joint, model.params, parses.images, drawn, _BATCH_SIZE, len(devices))


@functools.lru_cache
def _compiled_fit(
    config: ModelConfig, num_steps: int, turned: bool, devices: tuple[jax.Device, ...]
) -> Callable:
    def one(params, image, drawn):
        return token.token_score(config, params, image, *drawn, num_steps, turned)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), devices)


@functools.lru_cache
def _compiled_joint(config: ModelConfig, devices: tuple[jax.Device, ...]) -> Callable:
    def one(params, image, drawn):
        return token.log_joint(config, params, image, *drawn)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), devices)
