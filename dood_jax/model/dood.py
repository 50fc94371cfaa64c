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

from dood_jax.model import guidance
from dood_jax.model.config import ModelConfig
from dood_jax.model.networks import Networks, Params, bind
from dood_jax.model.posterior import PosteriorStep, StrokeNoise, posterior_step, stroke_noise
from dood_jax.model.prior import Situation, prior_log_probs, prior_sample
from dood_jax.model.renderer import make_renderer
from dood_jax.model.state import StrokeState, advance_hidden, initial_state
from dood_jax.rendering import compositing
from dood_jax.types import Array, BrushParams, Drawing, StrokeLatents, StrokeLogProbs


def init(config: ModelConfig, key: Array) -> Params:
    """Fresh parameters, float32; consumes the key."""
    key_params, key_noise = jax.random.split(key)
    noise = stroke_noise(key_noise, config.num_points)
    blank = jnp.zeros((config.image_size, config.image_size))

    def call_every_network(nets: Networks) -> None:
        target = guidance.prepare(nets, blank)
        _, (step, _, situation) = _draw_stroke(
            nets, target, initial_state(config), jnp.ones((), bool), noise, True
        )
        prior_log_probs(nets, situation, step.stroke)
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
) -> Drawing:
    """Infers the strokes of one picture by sampling the posterior (method.md 5).

    Args:
      config: the model.
      params: its parameters.
      image: [H, W] target, 0..1, ink = 1.
      key: consumed.
      num_strokes: most strokes, T; as trained if None.
      hold_presence: keep every bit on, for objectives that sum over stopping times.

    Returns:
      A drawing of T strokes; those after the stop have presence 0 and no ink.
    """
    num_strokes = num_strokes or config.num_strokes
    target = guidance.prepare(bind(config, params), image)

    def step(state, inputs):
        return _draw_stroke(bind(config, params), target, state, *inputs, hold_presence)

    is_first = jnp.arange(num_strokes) == 0
    keys = jax.random.split(key, num_strokes)
    noise = jax.vmap(lambda key: stroke_noise(key, config.num_points))(keys)
    final, (steps, ink, situations) = _scan_from_blank(config, step, (is_first, noise))
    brush = steps.brush._replace(canvas_slope=final.canvas_slope)
    prior = weigh_under_prior(config, params, situations, steps.stroke)
    return Drawing(steps.stroke, brush, ink, steps.log_probs, prior)


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


def _draw_stroke(
    nets: Networks,
    target: guidance.Target,
    state: StrokeState,
    is_first: Array,
    noise: StrokeNoise,
    hold_presence: bool,
) -> tuple[StrokeState, tuple[PosteriorStep, Array, Situation]]:
    """One stroke: look at the canvas, decide, draw; the step, its ink, and what the prior must know."""
    canvas = state.canvas
    observation = guidance.observe(nets, target, canvas)
    state = advance_hidden(nets, state, observation.canvas_features)
    step = posterior_step(nets, target, observation, state, noise, hold_presence)
    situation = Situation(
        state.layout_hidden, state.stroke_hidden, observation.canvas_features, step.canvas_patches
    )
    state, ink = _ink_stroke(nets.config, state, is_first, step.stroke, step.brush)
    return state, (step, ink, situation)


def _ink_stroke(
    config: ModelConfig, state: StrokeState, is_first: Array, stroke: StrokeLatents, brush: BrushParams
) -> tuple[StrokeState, Array]:
    """Renders one stroke and passes it on; the canvas slope is that of the first step (method.md 3.11)."""
    render = make_renderer(config)
    ink = render(stroke.layout, stroke.control_points, brush.ink_width, brush.ink_slope) * stroke.presence
    state = state._replace(
        presence=stroke.presence,
        layout=stroke.layout,
        control_points=stroke.control_points,
        ink_sum=state.ink_sum + lax.stop_gradient(ink),
        canvas_slope=jnp.where(is_first, brush.canvas_slope, state.canvas_slope),
    )
    return state, ink


class Retraced(NamedTuple):
    """Given strokes, drawn one after the other: what the prior says of them (`prior_log_probs`) needs."""

    ink: Array  # [T, H, W] of each stroke, blank where presence is 0
    situations: Situation  # before each stroke, [T, ...]


def retrace(config: ModelConfig, params: Params, strokes: StrokeLatents, brush: BrushParams) -> Retraced:
    """Draws given strokes of one drawing, without looking at a target.

    Args:
      config: the model.
      params: its parameters.
      strokes: T of them.
      brush: pens of each stroke.
    """

    def step(state, inputs):
        is_first, stroke, ink_width, ink_slope = inputs
        nets = bind(config, params)
        canvas_features = guidance.observe_canvas(nets, state.canvas)
        state = advance_hidden(nets, state, canvas_features)
        glimpse_patches = guidance.look_at_canvas(nets, state.canvas, stroke.layout)
        situation = Situation(state.layout_hidden, state.stroke_hidden, canvas_features, glimpse_patches)
        pen = BrushParams(ink_width, ink_slope, brush.canvas_slope)
        state, ink = _ink_stroke(config, state, is_first, stroke, pen)
        return state, Retraced(ink, situation)

    is_first = jnp.arange(strokes.presence.shape[0]) == 0
    inputs = (is_first, strokes, brush.ink_width, brush.ink_slope)
    return _scan_from_blank(config, step, inputs)[1]


def weigh_under_prior(
    config: ModelConfig, params: Params, situations: Situation, strokes: StrokeLatents
) -> StrokeLogProbs:
    """[T] prior log-probabilities of the strokes of one drawing, all at once (method.md 4)."""
    return jax.vmap(functools.partial(prior_log_probs, bind(config, params)))(situations, strokes)


def sample(
    config: ModelConfig, params: Params, brush: BrushParams, key: Array, num_strokes: int | None = None
) -> StrokeLatents:
    """Invents one drawing by ancestral sampling from the prior (method.md 4, 10.5).

    Args:
      config: the model.
      params: its parameters.
      brush: scalars: one pen for all strokes, since brushes have no prior.
      key: consumed.
      num_strokes: most strokes, T; as trained if None.
    """

    def step(state, inputs):
        is_first, key = inputs
        nets = bind(config, params)
        canvas_features = guidance.observe_canvas(nets, state.canvas)
        state = advance_hidden(nets, state, canvas_features)
        stroke = prior_sample(nets, state, canvas_features, key)
        return _ink_stroke(config, state, is_first, stroke, brush)[0], stroke

    num_strokes = num_strokes or config.num_strokes
    inputs = (jnp.arange(num_strokes) == 0, jax.random.split(key, num_strokes))
    return lax.scan(step, initial_state(config), inputs)[1]


def render(
    config: ModelConfig, strokes: StrokeLatents, brush: BrushParams, image_size: int | None = None
) -> Array:
    """[T, H, W] canvas after each stroke of one drawing, at any picture size.

    A `brush` of scalars is one pen for all strokes.
    """
    ink_width = jnp.broadcast_to(brush.ink_width, strokes.presence.shape)
    ink_slope = jnp.broadcast_to(brush.ink_slope, strokes.presence.shape)
    renderer = make_renderer(config, image_size)
    ink = jax.vmap(renderer)(strokes.layout, strokes.control_points, ink_width, ink_slope)
    return compositing.canvases(ink * strokes.presence[:, None, None], brush.canvas_slope)
