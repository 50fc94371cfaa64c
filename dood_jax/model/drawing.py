"""Whole drawings of one image: inferred from it, replayed, rendered.

A model is a pair (config, params); callers vmap these functions over images and particles. `draw` is the way
from an image to its strokes: the first pass stroke after stroke (`first_pass`), then the iterations of
inference (`iterate`), then a sample of the posterior that they end in (`sample_iterated`).
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.model import gauss_newton, iterative_inference
from dood_jax.model.dood import bind, where_prior_learns
from dood_jax.model.guidance import PriorContext
from dood_jax.model.iterative_inference import (
    InferenceState,
    IteratedPosterior,
    first_inference_state,
    paces,
    posterior_of,
)
from dood_jax.model.networks import Change, Params
from dood_jax.model.recognition import StrokeNoise, stroke_noise
from dood_jax.model.renderer import canvases_of
from dood_jax.model.stroke import scan_from_blank
from dood_jax.types import Array, BrushParams, Drawing, Start, StrokeLatents, StrokeLogProbs


class Replayed(NamedTuple):
    """Given strokes, drawn one after the other: what their log-probabilities under the prior need."""

    ink: Array  # [T, H, W] of each stroke, blank where presence is 0
    contexts: PriorContext  # before each stroke, [T, ...]
    final_stop: Array  # [] prior log-probability that no stroke follows, if the model counts it


def draw(
    config: ModelConfig,
    params: Params,
    image: Array,
    key: Array,
    *,
    iterations: int | None = None,
    num_strokes: int | None = None,
    dropout_key: Array | None = None,
    prior_learns: Array | bool = True,
) -> Drawing:
    """Infers the strokes of one image by sampling the posterior (method.md 5).

    Args:
      config: the model.
      params: its parameters.
      image: [H, W] target, 0..1, ink = 1.
      key: consumed.
      iterations: of iterative inference; as many as the config says if None, 0 is the first pass alone.
      num_strokes: most strokes, T; as trained if None.
      dropout_key: consumed; drops units as in training, where the model does that. None drops none.
      prior_learns: [] whether the prior's networks get a gradient.

    Returns:
      A drawing of T strokes; those after the stop have presence 0 and no ink.
    """
    iterations = config.iterations if iterations is None else iterations
    key_first, key_iterated = jax.random.split(key) if iterations else (key, key)
    first = first_pass(
        config,
        params,
        image,
        key_first,
        num_strokes=num_strokes,
        dropout_key=dropout_key,
        prior_learns=prior_learns,
    )
    if not iterations:
        return first
    start = Start(first.strokes, first.brush, first.posterior)
    posterior = iterate(config, params, image, start.strokes, start.brush, iterations)
    return sample_iterated(config, params, start, posterior, key_iterated, prior_learns)


def first_pass(
    config: ModelConfig,
    params: Params,
    image: Array,
    key: Array,
    *,
    num_strokes: int | None = None,
    hold_presence: bool = False,
    dropout_key: Array | None = None,
    prior_learns: Array | bool = True,
) -> Drawing:
    """The strokes of one image as they are first drawn, one after the other; see `draw` for the arguments.

    With `hold_presence` every bit stays on, for objectives that sum over stopping times.
    """
    keys = jax.random.split(key, num_strokes or config.num_strokes)
    noise = jax.vmap(lambda key: stroke_noise(key, config.num_points, config.has_latent_brush))(keys)
    return draw_from_noise(
        config,
        params,
        image,
        noise,
        hold_presence=hold_presence,
        dropout_key=dropout_key,
        prior_learns=prior_learns,
    )


def draw_from_noise(
    config: ModelConfig,
    params: Params,
    image: Array,
    noise: StrokeNoise,
    *,
    hold_presence: bool = False,
    dropout_key: Array | None = None,
    prior_learns: Array | bool = True,
) -> Drawing:
    """`first_pass` with its randomness given, [T, ...] of each kind."""
    target_key, step_keys, end_key = _dropout_keys(dropout_key, len(noise.presence))
    target = bind(config, params, target_key).encode_target(image)

    def step(state, inputs):
        is_first, noise, key = inputs
        return bind(config, params, key).draw_stroke(target, state, is_first, noise, hold_presence)

    inputs = (jnp.arange(len(noise.presence)) == 0, noise, step_keys)
    final, (steps, ink, contexts, seen) = scan_from_blank(config, step, inputs)
    brush = steps.brush._replace(canvas_slope=final.canvas_slope)
    prior = prior_log_probs(config, params, contexts, steps.stroke, brush, prior_learns)
    stop = lambda params, final: bind(config, params, end_key).final_stop_log_prob(final, target)
    final_stop = where_prior_learns(config, prior_learns, stop, params, final)
    return Drawing(steps.stroke, brush, ink, steps.log_probs, prior, seen, final_stop)


def _dropout_keys(key: Array | None, num_strokes: int) -> tuple[Array | None, Array | None, Array | None]:
    """Keys of the target's mask, of those of each stroke [T], and of the finished canvas's."""
    if key is None:
        return None, None, None
    key_target, key_steps, key_end = jax.random.split(key, 3)
    return key_target, jax.random.split(key_steps, num_strokes), key_end


def iterate(
    config: ModelConfig,
    params: Params,
    image: Array,
    strokes: StrokeLatents,
    brush: BrushParams,
    iterations: int,
    warmup_iterations: Array | int = 0,
    settle: bool | None = None,
) -> IteratedPosterior:
    """Corrects the strokes of a drawing, all together, again and again (method.md 5.1); its bits stay.

    Args:
      config: the model.
      params: its parameters.
      image: [H, W] to be drawn.
      strokes: T of them, as drawn so far; no gradient flows to them.
      brush: their brush.
      iterations: so many, at least one, through which gradients flow.
      warmup_iterations: [] so many more, which come first and get no gradient.
      settle: whether changes become smaller in the last quarter of the iterations, and the drawing of least
        error among those that they pass through is the result; as the config says if None.
    """
    # What the first pass drew is a place to start from and learns nothing here.
    strokes, brush = lax.stop_gradient((strokes, brush))
    step = lambda params, state, pace: bind(config, params).iterate(image, strokes, state, pace)
    fixed = lax.stop_gradient(params)
    state = first_inference_state(config, strokes, brush)
    if not (isinstance(warmup_iterations, int) and warmup_iterations == 0):
        warm_up = lambda _, state: step(fixed, state, 1.0)[0]
        state = lax.fori_loop(0, warmup_iterations, warm_up, state)
    settle = config.settle if settle is None else settle
    parts = paces(iterations, settle)
    if settle:
        error = lambda state: bind(config, params).drawing_error(image, strokes, state)
        state, change = _nearest(functools.partial(step, params), error, state, parts)
        if config.newton_steps:
            state = gauss_newton.minimise(bind(config, params), image, strokes, state, config.newton_steps)
        return posterior_of(config, strokes, state, change)

    def body(state, pace):
        after, change, _ = step(params, state, pace)
        return after, change

    state, changes = lax.scan(body, state, parts)
    last = jax.tree_util.tree_map(lambda values: values[-1], changes)
    return posterior_of(config, strokes, state, last)


def _nearest(
    step: Callable[[InferenceState, Array], tuple[InferenceState, Change, Array]],
    error: Callable[[InferenceState], Array],
    state: InferenceState,
    parts: Array,
) -> tuple[InferenceState, Change]:
    """Of the states after 1, 2 … J iterations at [J] paces that of least error, and the change before it."""

    def nearer(best, state, change, error):
        choose = functools.partial(jnp.where, error < best[2])
        return jax.tree_util.tree_map(choose, (state, change, error), best)

    def body(carry, pace):
        state, change, best = carry
        after, next_change, error_before = step(state, pace)
        return (after, next_change, nearer(best, state, change, error_before)), None

    state, change, _ = step(state, parts[0])
    start = (state, change, (state, change, jnp.float32(jnp.inf)))
    (state, change, best), _ = lax.scan(body, start, parts[1:])
    return nearer(best, state, change, error(state))[:2]


def sample_iterated(
    config: ModelConfig,
    params: Params,
    start: Start,
    posterior: IteratedPosterior,
    key: Array,
    prior_learns: Array | bool = True,
) -> Drawing:
    """A drawing of the posterior that iterations ended in; consumes the key.

    Args:
      config: the model.
      params: its parameters.
      start: what they began with, of T strokes, whose bits stay; it gets no gradient.
      posterior: of its strokes, or of the first C of them, if no later one is drawn.
      key: consumed.
      prior_learns: [] whether the prior's networks get a gradient.

    Returns:
      A drawing of min(C + 1, T) strokes: with the decision to stop, if one was taken.
    """
    drawn = len(posterior.points.mean)
    bits, log_probs = lax.stop_gradient((start.strokes.presence, start.log_probs))
    sampled = iterative_inference.sample(posterior, bits[:drawn], key)
    canvas_slope = sampled.brush.canvas_slope
    kept = min(drawn + 1, len(bits))
    longer = lambda leaf: jnp.concatenate([leaf, leaf[-1:]])[:kept]  # by a stroke that is not drawn
    of_strokes = sampled._replace(brush=sampled.brush._replace(canvas_slope=None))
    strokes, brush, *log_densities = jax.tree_util.tree_map(longer, of_strokes)
    strokes, brush = strokes._replace(presence=bits[:kept]), brush._replace(canvas_slope=canvas_slope)
    ink, contexts, final_stop = replay(config, params, strokes, brush, prior_learns)
    prior = prior_log_probs(config, params, contexts, strokes, brush, prior_learns)
    log_probs = StrokeLogProbs(log_probs.on[:kept], log_probs.off[:kept], *log_densities)
    return Drawing(strokes, brush, ink, log_probs, prior, final_stop=final_stop)


def replay(
    config: ModelConfig,
    params: Params,
    strokes: StrokeLatents,
    brush: BrushParams,
    prior_learns: Array | bool = True,
) -> Replayed:
    """Draws given strokes of one drawing, without a target (method.md 4).

    Args:
      config: the model.
      params: its parameters.
      strokes: T of them.
      brush: of each stroke.
      prior_learns: [] whether the prior's networks get a gradient.
    """
    model = bind(config, params)

    def step(state, inputs):
        is_first, stroke, own = inputs
        return model.replay_stroke(state, is_first, stroke, own._replace(canvas_slope=brush.canvas_slope))

    is_first = jnp.arange(strokes.presence.shape[0]) == 0
    inputs = (is_first, strokes, brush._replace(canvas_slope=None))
    final, (ink, contexts) = scan_from_blank(config, step, inputs)
    stop = lambda params, final: bind(config, params).final_stop_log_prob(final)
    return Replayed(ink, contexts, where_prior_learns(config, prior_learns, stop, params, final))


def prior_log_probs(
    config: ModelConfig,
    params: Params,
    contexts: PriorContext,
    strokes: StrokeLatents,
    brush: BrushParams,
    prior_learns: Array | bool = True,
) -> StrokeLogProbs:
    """[T] prior log-probabilities of the strokes of one drawing, all at once (method.md 4).

    Where brushes are latent the first stroke has a density of its own, to which the canvas slope belongs.

    Where `prior_learns` is 0 the prior gets no gradient, neither its own networks nor what it knows of the
    drawing so far; the strokes still do.
    """
    own = brush._replace(canvas_slope=None)

    def of_strokes(params, contexts):
        model = bind(config, params)
        found = jax.vmap(model.prior_log_probs)(contexts, strokes, own)
        if not config.has_latent_brush:
            return found
        firsts = jax.tree_util.tree_map(lambda leaf: leaf[0], (strokes, own))
        first = model.first_log_probs(firsts[0], firsts[1]._replace(canvas_slope=brush.canvas_slope))
        put = lambda of_all, of_first: of_all.at[0].set(of_first)
        return StrokeLogProbs(found.on, found.off, *map(put, found[2:], first[2:]))

    return where_prior_learns(config, prior_learns, of_strokes, params, contexts)


def render(
    config: ModelConfig,
    params: Params,
    strokes: StrokeLatents,
    brush: BrushParams,
    image_size: int | None = None,
) -> Array:
    """[T, H, W] canvas after each stroke of one drawing, at any image size.

    A `brush` of scalars is one brush for all strokes.
    """
    return canvases_of(config, bind(config, params).ink(strokes, brush, image_size), brush.canvas_slope)
