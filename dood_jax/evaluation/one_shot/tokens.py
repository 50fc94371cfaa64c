"""One-shot classification as published: tokens of parses, fitted to the query (method.md 10.9).

A token is the type's control points on the canvas, each moved a little, under one map of the whole drawing.
Its score is log p(token | type) a stroke plus log p(image | token); the map has no prior.

A support is drawn several times by the model; each drawing is a parse. For every query the control points of
a parse and a map of the whole drawing are optimised, and the score of the support is the logarithm of the
mean over parses, weighted by their posterior probabilities.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dood_jax import geometry
from dood_jax.api import Model
from dood_jax.config.evaluation import OneShotConfig
from dood_jax.config.groups import Config
from dood_jax.config.model import ModelConfig
from dood_jax.data.omniglot import OneShotRuns
from dood_jax.distributions.gaussian import Gaussian
from dood_jax.evaluation.one_shot import strokes
from dood_jax.evaluation.one_shot.strokes import Parses
from dood_jax.evaluation.resume_cache import CachedArrays
from dood_jax.inference import batching
from dood_jax.model import variation
from dood_jax.model.dood import bind
from dood_jax.model.drawing import prior_log_probs, replay
from dood_jax.model.networks import Params
from dood_jax.model.renderer import canvas_of
from dood_jax.objectives.elbo import log_likelihood, masked_log_prob
from dood_jax.runtime import parallel
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.test_time.optimize import descend
from dood_jax.types import Array, BrushParams, StrokeLatents

_POINT_DEVIATION = 0.001  # of the control points of a token from those of its type
_RATE = 1e-2  # of Adam


class Token(NamedTuple):
    """What is fitted."""

    points: Array  # [T, P, 2] on the canvas, before the map
    raw: Array  # [7] of the map, zeros for none


def token_score(
    config: ModelConfig,
    params: Params,
    image: Array,
    strokes: StrokeLatents,
    brush: BrushParams,
    num_steps: int,
    fix_rotation_units: bool,
) -> Array:
    """[] score of the best token of a parse for a [H, W] image; -inf for a parse without strokes.

    Args:
      config: of the model that drew.
      params: its parameters.
      image: to be explained.
      strokes: the type: one parse of another image.
      brush: of each stroke, which stays.
      num_steps: of Adam.
      fix_rotation_units: the map's angle counts in radians; as published it is taken for degrees.
    """
    model = bind(config, params)
    placed = geometry.place_strokes(strokes.layout, strokes.control_points)
    type_of_points = Gaussian(placed, jnp.full_like(placed, _POINT_DEVIATION))
    identity = jnp.broadcast_to(geometry.IDENTITY_LAYOUT, strokes.layout.shape)
    count = strokes.presence.sum()

    def score(token: Token) -> Array:
        params_of_map = variation.token_params(token.raw, variation.ONE_SHOT)
        matrix = variation.token_matrix(params_of_map, fix_rotation_units)
        moved = StrokeLatents(strokes.presence, identity, geometry.place_points(matrix, token.points))
        canvas = model.finished_canvas(moved, brush)
        apart = jax.vmap(Gaussian.log_prob)(type_of_points, token.points)
        of_token = (apart * strokes.presence).sum() / jnp.maximum(count, 1)
        return of_token + log_likelihood(config, params, image, canvas)

    start = Token(placed, jnp.zeros(7))
    loss = lambda token, _: -score(token)
    fitted = descend(jax.grad(loss), start, _RATE, jnp.arange(num_steps), last_fraction=1.0)
    return jnp.where(count > 0, score(fitted), -jnp.inf)


def log_joint(
    config: ModelConfig, params: Params, image: Array, strokes: StrokeLatents, brush: BrushParams
) -> Array:
    """[] log p(image, drawing) of a [H, W] image and one drawing of it."""
    replayed = replay(config, params, strokes, brush)
    prior = prior_log_probs(config, params, replayed.contexts, strokes, brush)
    canvas = canvas_of(config, replayed.ink.sum(0), brush.canvas_slope)
    of_drawing = masked_log_prob(prior, strokes.presence, replayed.final_stop)
    return of_drawing + log_likelihood(config, params, image, canvas)


def over_parses(scores: Array, log_weights: Array) -> Array:
    """Log Σ_k w_k exp(score_k) over the last axis, with w the softmax of the parses' log-weights."""
    return jax.nn.logsumexp(scores + jax.nn.log_softmax(log_weights, -1), -1)


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
            images = episodes.supports[run], episodes.queries[run]
            scores = _scores(model, settings, config.evaluation.seed, *images, of_run)
            arrays = {"scores": scores}
            cache.put(part, **arrays)
        np.put_along_axis(found[run], of_run, -arrays["scores"], axis=-1)
    return found


def _scores(
    model: Model,
    settings: OneShotConfig,
    seed: int,
    supports: np.ndarray,
    queries: np.ndarray,
    candidates: np.ndarray,
) -> np.ndarray:
    """[Q, C] scores of each query's [Q, C] candidates among the supports of one run."""
    size = model.config.image_size
    images = np.stack([strokes.crop(query, strokes.WHOLE_IMAGE, size) for query in queries])
    scores, log_weights = [], []
    for parse in range(settings.num_parses):
        parses = strokes.parse(
            model,
            supports,
            seed + parse,
            _PARTICLES,
            model.config.num_strokes,
            optimize_steps=0,
            windowed=False,
        )
        log_weights.append(_log_joints(model, parses)[candidates])
        scores.append(_fitted_scores(model, settings, parses, images, candidates))
    return np.asarray(over_parses(jnp.stack(scores, -1), jnp.stack(log_weights, -1)))


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
        return token_score(config, params, image, latents, brush, num_steps, fix_rotation_units)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)


@functools.lru_cache
def _compiled_joint(config: ModelConfig, group: DeviceGroup) -> Callable:
    """(params, [N, H, W] images, N drawings) -> [N] joint log-probabilities."""

    def one(params, image, drawn):
        return log_joint(config, params, image, *drawn)

    return parallel.map_examples(jax.vmap(one, in_axes=(None, 0, 0)), group)
