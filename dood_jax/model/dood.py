"""DooD: the scan over strokes, for one picture; callers vmap it over pictures and particles.

A model is a pair (config, params); nothing else holds state.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from dood_jax.model import second_look
from dood_jax.model.config import ModelConfig
from dood_jax.model.guidance import CanvasView, Observation, Situation
from dood_jax.model.networks import Networks, Params, bind
from dood_jax.model.parts import Parts, parts_of
from dood_jax.model.posterior import PosteriorStep, StrokeNoise, posterior_step, stroke_noise
from dood_jax.model.renderer import ink_of, make_renderer
from dood_jax.model.spread import LEARNED, Spread
from dood_jax.model.state import StrokeState, advance_hidden, initial_state
from dood_jax.rendering import compositing
from dood_jax.types import Array, BrushParams, Drawing, Seen, StrokeLatents, StrokeLogProbs


def init(config: ModelConfig, key: Array) -> Params:
    """Fresh parameters, float32; consumes the key."""
    key_params, key_noise = jax.random.split(key)
    noise = stroke_noise(key_noise, config.num_points)
    blank = jnp.zeros((config.image_size, config.image_size))
    parts = parts_of(config)

    def call_every_network(nets: Networks) -> None:
        target = parts.guidance.prepare(nets, blank)
        state = initial_state(config)
        _, (step, _, situation, _) = draw_stroke(parts, nets, target, state, jnp.ones((), bool), noise, True)
        weigh_stroke(parts, nets, situation, step.stroke)
        if config.looks:
            stroke, brush = jax.tree_util.tree_map(lambda leaf: leaf[None], (step.stroke, step.brush))
            guess = second_look.first_guess(config, stroke, brush._replace(canvas_slope=jnp.ones(())))
            second_look.look(parts, nets, blank, stroke, guess)
        nets.likelihood.from_map()

    return nn.init(call_every_network, Networks(config))(key_params)["params"]


def draw(
    config: ModelConfig,
    params: Params,
    image: Array,
    key: Array,
    *,
    num_strokes: int | None = None,
    hold_presence: bool = False,
    dropout_key: Array | None = None,
) -> Drawing:
    """Infers the strokes of one picture by sampling the posterior (method.md 5).

    Args:
      config: the model.
      params: its parameters.
      image: [H, W] target, 0..1, ink = 1.
      key: consumed.
      num_strokes: most strokes, T; as trained if None.
      hold_presence: keep every bit on, for objectives that sum over stopping times; the drawing is that of
        the first look then, also of a model that looks again.
      dropout_key: consumed; drops units as in training, where the model does that. None drops none.

    Returns:
      A drawing of T strokes; those after the stop have presence 0 and no ink.
    """
    looks_again = config.looks and not hold_presence
    key, key_again = jax.random.split(key) if looks_again else (key, None)
    keys = jax.random.split(key, num_strokes or config.num_strokes)
    noise = jax.vmap(lambda key: stroke_noise(key, config.num_points))(keys)
    drawing = draw_from_noise(
        config, params, image, noise, hold_presence=hold_presence, dropout_key=dropout_key
    )
    return look_again(config, params, image, drawing, key_again) if looks_again else drawing


def draw_from_noise(
    config: ModelConfig,
    params: Params,
    image: Array,
    noise: StrokeNoise,
    *,
    hold_presence: bool = False,
    dropout_key: Array | None = None,
) -> Drawing:
    """The first look of `draw` with its randomness given, [T, ...] of each kind."""
    parts = parts_of(config)
    num_strokes = len(noise.presence)
    target_key, step_keys, end_key = _dropout_keys(dropout_key, num_strokes)
    target = parts.guidance.prepare(bind(config, params, target_key), image)

    def step(state, inputs):
        is_first, noise, key = inputs
        nets = bind(config, params, key)
        return draw_stroke(parts, nets, target, state, is_first, noise, hold_presence)

    inputs = (jnp.arange(num_strokes) == 0, noise, step_keys)
    final, (steps, ink, situations, seen) = _scan_from_blank(config, step, inputs)
    brush = steps.brush._replace(canvas_slope=final.canvas_slope)
    prior = weigh_under_prior(config, params, situations, steps.stroke)
    observe = lambda nets, canvas: parts.guidance.observe(nets, target, canvas).canvas
    final_stop = _final_stop(parts, bind(config, params, end_key), observe, final)
    return Drawing(steps.stroke, brush, ink, steps.log_probs, prior, seen, final_stop)


def look_again(
    config: ModelConfig, params: Params, image: Array, drawing: Drawing, key: Array, before: Array | int = 0
) -> Drawing:
    """Corrects the strokes of a drawing, all together (method.md 5.1); its bits stay.

    Args:
      config: the model.
      params: its parameters.
      image: [H, W] target.
      drawing: of T strokes, as first drawn; it gets no gradient.
      key: consumed.
      before: [] so many looks more than the model has, which come first and get no gradient.
    """
    bits = lax.stop_gradient(drawing.strokes.presence)
    correction = second_look.correct(config, params, image, drawing.strokes, drawing.brush, before)
    strokes, log_layout, log_points = second_look.sample(correction, bits, key)
    ink, situations, final_stop = retrace(config, params, strokes, correction.brush)
    prior = weigh_under_prior(config, params, situations, strokes)
    posterior = lax.stop_gradient(drawing.posterior)._replace(layout=log_layout, control_points=log_points)
    return Drawing(strokes, correction.brush, ink, posterior, prior, drawing.seen, final_stop)


def _scan_from_blank(config: ModelConfig, step: Callable, inputs: Any) -> tuple[StrokeState, Any]:
    """`lax.scan` of a step over strokes from the initial state, with the first stroke apart.

    The blank canvas and all that is computed from it alone then have no batch axis: under `vmap` it is
    computed once for all pictures.
    """
    first, later = (
        jax.tree_util.tree_map(lambda one, part=part: one[part], inputs) for part in (0, slice(1, None))
    )
    state, first = step(initial_state(config), first)
    state, later = lax.scan(step, state, later, unroll=max(config.unroll - 1, 1))
    join = lambda first, later: jnp.concatenate([first[None], later])
    return state, jax.tree_util.tree_map(join, first, later)


def _dropout_keys(key: Array | None, num_strokes: int) -> tuple[Array | None, Array | None, Array | None]:
    """Keys of the target's mask, of those of each stroke [T], and of the finished canvas's."""
    if key is None:
        return None, None, None
    key_target, key_steps, key_end = jax.random.split(key, 3)
    return key_target, jax.random.split(key_steps, num_strokes), key_end


def _final_stop(
    parts: Parts, nets: Networks, observe: Callable[[Networks, Array], CanvasView], state: StrokeState
) -> Array:
    """[] log-probability under the prior that no stroke follows the last, where the model weighs it."""
    if not nets.config.final_stop:
        return jnp.zeros(())
    view = observe(nets, state.canvas)
    state = advance_hidden(nets, state, view.features)
    situation = Situation(state.layout_hidden, state.stroke_hidden, view.for_prior, None)
    return parts.prior.presence_log_probs(parts.guidance, parts.family, nets, situation)[1]


def draw_stroke(
    parts: Parts,
    nets: Networks,
    target: Any,
    state: StrokeState,
    is_first: Array,
    noise: StrokeNoise,
    hold_presence: bool,
) -> tuple[StrokeState, tuple[PosteriorStep, Array, Situation, Seen]]:
    """One stroke: look at the canvas, decide, draw.

    Returns:
      The state after it; the step, its ink, what the prior must know, and what a baseline may.
    """
    observation = parts.guidance.observe(nets, target, state.canvas)
    state = advance_hidden(nets, state, observation.canvas.features)
    step = posterior_step(parts, nets, target, observation, state, noise, hold_presence)
    situation = Situation(
        state.layout_hidden, state.stroke_hidden, observation.canvas.for_prior, step.glimpse
    )
    takes_slope = is_first if parts.guidance.SLOPE_IS_OF_FIRST_STROKE else jnp.ones((), bool)
    state, ink = _ink_stroke(nets, state, takes_slope, step.stroke, step.brush)
    return state, (step, ink, situation, _seen(observation))


def _seen(observation: Observation) -> Seen:
    """Without gradient."""
    target = observation.target_features
    canvas = jnp.concatenate([target[:0], *observation.canvas.features])
    return lax.stop_gradient(Seen(target, canvas))


def weigh_stroke(parts: Parts, nets: Networks, situation: Situation, stroke: StrokeLatents) -> StrokeLogProbs:
    """Log-probabilities of one stroke under the prior."""
    return parts.prior.log_probs(parts.guidance, parts.family, nets, situation, stroke)


def _ink_stroke(
    nets: Networks, state: StrokeState, takes_slope: Array, stroke: StrokeLatents, brush: BrushParams
) -> tuple[StrokeState, Array]:
    """Renders one stroke and passes it on, with its canvas slope where that is to hold (method.md 3.11)."""
    render = make_renderer(nets)
    ink = render(stroke.layout, stroke.control_points, brush.ink_width, brush.ink_slope) * stroke.presence
    state = state._replace(
        presence=stroke.presence,
        layout=stroke.layout,
        control_points=stroke.control_points,
        ink_sum=state.ink_sum + lax.stop_gradient(ink),
        canvas_slope=jnp.where(takes_slope, brush.canvas_slope, state.canvas_slope),
    )
    return state, ink


class Retraced(NamedTuple):
    """Given strokes, drawn one after the other: what weighing them under the prior needs."""

    ink: Array  # [T, H, W] of each stroke, blank where presence is 0
    situations: Situation  # before each stroke, [T, ...]
    final_stop: Array  # [] prior log-probability that no stroke follows, if weighed


def retrace(config: ModelConfig, params: Params, strokes: StrokeLatents, brush: BrushParams) -> Retraced:
    """Draws given strokes of one drawing, without looking at a target.

    Args:
      config: the model.
      params: its parameters.
      strokes: T of them.
      brush: pens of each stroke.
    """
    parts = parts_of(config)

    def step(state, inputs):
        is_first, stroke, ink_width, ink_slope = inputs
        nets = bind(config, params)
        view = parts.guidance.observe_canvas(nets, state.canvas)
        state = advance_hidden(nets, state, view.features)
        glimpse = parts.guidance.look_at_canvas(nets, state.canvas, stroke.layout)
        situation = Situation(state.layout_hidden, state.stroke_hidden, view.for_prior, glimpse)
        pen = BrushParams(ink_width, ink_slope, brush.canvas_slope)
        state, ink = _ink_stroke(nets, state, is_first, stroke, pen)
        return state, (ink, situation)

    is_first = jnp.arange(strokes.presence.shape[0]) == 0
    inputs = (is_first, strokes, brush.ink_width, brush.ink_slope)
    final, (ink, situations) = _scan_from_blank(config, step, inputs)
    final_stop = _final_stop(parts, bind(config, params), parts.guidance.observe_canvas, final)
    return Retraced(ink, situations, final_stop)


def weigh_under_prior(
    config: ModelConfig, params: Params, situations: Situation, strokes: StrokeLatents
) -> StrokeLogProbs:
    """[T] prior log-probabilities of the strokes of one drawing, all at once (method.md 4)."""
    weigh = functools.partial(weigh_stroke, parts_of(config), bind(config, params))
    return jax.vmap(weigh)(situations, strokes)


def sample(
    config: ModelConfig,
    params: Params,
    brush: BrushParams,
    key: Array,
    num_strokes: int | None = None,
    spread: Spread = LEARNED,
) -> StrokeLatents:
    """Invents one drawing by ancestral sampling from the prior (method.md 4, 10.5).

    Args:
      config: the model.
      params: its parameters.
      brush: scalars: one pen for all strokes, since brushes have no prior.
      key: consumed.
      num_strokes: most strokes, T; as trained if None.
      spread: how far samples stray from the means of the prior's mixtures.
    """
    return extend(
        config, params, initial_state(config), brush, key, num_strokes or config.num_strokes, spread
    )


def extend(
    config: ModelConfig,
    params: Params,
    state: StrokeState,
    brush: BrushParams,
    key: Array,
    num_strokes: int,
    spread: Spread = LEARNED,
) -> StrokeLatents:
    """Up to so many further strokes of a drawing, sampled from the prior (method.md 10.8).

    Its canvas has the slope of the `brush`, before and after; see `sample` for the arguments.
    """
    parts = parts_of(config)

    def step(state, key):
        nets = bind(config, params)
        view = parts.guidance.observe_canvas(nets, state.canvas)
        state = advance_hidden(nets, state, view.features)
        situation = Situation(state.layout_hidden, state.stroke_hidden, view.for_prior, None)
        stroke = parts.prior.sample(parts.guidance, parts.family, nets, situation, state.canvas, spread, key)
        stroke = stroke._replace(presence=stroke.presence * state.presence)
        return _ink_stroke(nets, state, jnp.zeros((), bool), stroke, brush)[0], stroke

    state = state._replace(canvas_slope=jnp.asarray(brush.canvas_slope))
    return lax.scan(step, state, jax.random.split(key, num_strokes))[1]


def state_after(
    config: ModelConfig, params: Params, strokes: StrokeLatents, brush: BrushParams, count: Array
) -> StrokeState:
    """The state after the first `count` strokes of one drawing, as if it went on (method.md 10.8).

    Args:
      config: the model.
      params: its parameters.
      strokes: T of them; at least `count` are drawn.
      brush: pens of each stroke.
      count: [] from 0, the initial state, to T.
    """

    def step(state, inputs):
        stroke, ink_width, ink_slope = inputs
        nets = bind(config, params)
        view = parts_of(config).guidance.observe_canvas(nets, state.canvas)
        pen = BrushParams(ink_width, ink_slope, brush.canvas_slope)
        state = advance_hidden(nets, state, view.features)
        state, _ = _ink_stroke(nets, state, jnp.zeros((), bool), stroke, pen)
        return state, state

    start = initial_state(config)._replace(canvas_slope=brush.canvas_slope)
    states = lax.scan(step, start, (strokes, brush.ink_width, brush.ink_slope))[1]
    with_start = lambda first, later: jnp.concatenate([first[None], later])[count]
    return jax.tree_util.tree_map(with_start, start, states)


def render(
    config: ModelConfig,
    params: Params,
    strokes: StrokeLatents,
    brush: BrushParams,
    image_size: int | None = None,
) -> Array:
    """[T, H, W] canvas after each stroke of one drawing, at any picture size.

    A `brush` of scalars is one pen for all strokes.
    """
    return compositing.canvases(ink_of(bind(config, params), strokes, brush, image_size), brush.canvas_slope)
