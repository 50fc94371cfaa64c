"""DooD: the scan over strokes, for one image; callers vmap it over images and particles.

A model is a pair (config, params); nothing else holds state.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.model import second_look
from dood_jax.model.guidance import PriorContext
from dood_jax.model.networks import Networks, Params, bind, where_prior_learns
from dood_jax.model.parts import parts_of
from dood_jax.model.recognition import StrokeNoise, stroke_noise
from dood_jax.model.renderer import canvases_of, ink_of
from dood_jax.model.retracing import retrace, weigh_under_prior
from dood_jax.model.second_look import Correction
from dood_jax.model.spread import LEARNED, Spread
from dood_jax.model.state import StrokeState, initial_state
from dood_jax.model.stroke import (
    canvas_before,
    draw_stroke,
    ink_stroke,
    scan_from_blank,
    weigh_final_stop,
    weigh_stroke,
)
from dood_jax.types import Array, BrushParams, Drawing, StrokeLatents


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
        if config.iterations:
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
    prior_learns: Array | bool = True,
) -> Drawing:
    """Infers the strokes of one image by sampling the posterior (method.md 5).

    Args:
      config: the model.
      params: its parameters.
      image: [H, W] target, 0..1, ink = 1.
      key: consumed.
      num_strokes: most strokes, T; as trained if None.
      hold_presence: keep every bit on, for objectives that sum over stopping times; the drawing is that of
        the first look then, also of a model that looks again.
      dropout_key: consumed; drops units as in training, where the model does that. None drops none.
      prior_learns: [] whether the prior's networks get a gradient.

    Returns:
      A drawing of T strokes; those after the stop have presence 0 and no ink.
    """
    looks_again = config.iterations and not hold_presence
    key, key_again = jax.random.split(key) if looks_again else (key, None)
    keys = jax.random.split(key, num_strokes or config.num_strokes)
    noise = jax.vmap(lambda key: stroke_noise(key, config.num_points))(keys)
    drawing = draw_from_noise(
        config,
        params,
        image,
        noise,
        hold_presence=hold_presence,
        dropout_key=dropout_key,
        prior_learns=prior_learns,
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
    prior_learns: Array | bool = True,
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
    final, (steps, ink, situations, seen) = scan_from_blank(config, step, inputs)
    brush = steps.brush._replace(canvas_slope=final.canvas_slope)
    prior = weigh_under_prior(config, params, situations, steps.stroke, prior_learns)
    observe = lambda nets, canvas: parts.guidance.observe(nets, target, canvas).canvas
    stop = lambda params, final: weigh_final_stop(parts, bind(config, params, end_key), observe, final)
    final_stop = where_prior_learns(prior_learns, stop, params, final)
    return Drawing(steps.stroke, brush, ink, steps.log_probs, prior, seen, final_stop)


def look_again(
    config: ModelConfig,
    params: Params,
    image: Array,
    drawing: Drawing,
    key: Array,
    before: Array | int = 0,
    prior_learns: Array | bool = True,
) -> Drawing:
    """Corrects the strokes of a drawing, all together (method.md 5.1); its bits stay.

    Args:
      config: the model.
      params: its parameters.
      image: [H, W] target.
      drawing: of T strokes, as first drawn; it gets no gradient.
      key: consumed.
      before: [] so many looks more than the model has, which come first and get no gradient.
      prior_learns: [] whether the prior's networks get a gradient.
    """
    correction = second_look.correct(config, params, image, drawing.strokes, drawing.brush, before)
    return sample_corrected(config, params, drawing, correction, key, prior_learns)


def sample_corrected(
    config: ModelConfig,
    params: Params,
    first: Drawing,
    correction: Correction,
    key: Array,
    prior_learns: Array | bool = True,
) -> Drawing:
    """A drawing of the posterior that further looks gave; consumes the key.

    Args:
      config: the model.
      params: its parameters.
      first: what was looked at, of T strokes, whose bits stay; it gets no gradient.
      correction: of its strokes.
      key: consumed.
      prior_learns: [] whether the prior's networks get a gradient.
    """
    bits, posterior = lax.stop_gradient((first.strokes.presence, first.posterior))
    strokes, log_layout, log_points = second_look.sample(correction, bits, key)
    ink, situations, final_stop = retrace(config, params, strokes, correction.brush, prior_learns)
    prior = weigh_under_prior(config, params, situations, strokes, prior_learns)
    posterior = posterior._replace(layout=log_layout, control_points=log_points)
    return Drawing(strokes, correction.brush, ink, posterior, prior, first.seen, final_stop)


def _dropout_keys(key: Array | None, num_strokes: int) -> tuple[Array | None, Array | None, Array | None]:
    """Keys of the target's mask, of those of each stroke [T], and of the finished canvas's."""
    if key is None:
        return None, None, None
    key_target, key_steps, key_end = jax.random.split(key, 3)
    return key_target, jax.random.split(key_steps, num_strokes), key_end


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
        canvas = canvas_before(config, state)
        view = parts.guidance.observe_canvas(nets, canvas)
        state = parts.recognition.advance(nets, state, view.features)
        situation = PriorContext(state.layout_hidden, state.stroke_hidden, view.for_prior, None)
        stroke = parts.prior.sample(parts.guidance, parts.family, nets, situation, canvas, spread, key)
        stroke = stroke._replace(presence=stroke.presence * state.presence)
        return ink_stroke(nets, state, jnp.zeros((), bool), stroke, brush)[0], stroke

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
    parts = parts_of(config)

    def step(state, inputs):
        stroke, ink_width, ink_slope = inputs
        nets = bind(config, params)
        view = parts.guidance.observe_canvas(nets, canvas_before(config, state))
        pen = BrushParams(ink_width, ink_slope, brush.canvas_slope)
        state = parts.recognition.advance(nets, state, view.features)
        state, _ = ink_stroke(nets, state, jnp.zeros((), bool), stroke, pen)
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
    """[T, H, W] canvas after each stroke of one drawing, at any image size.

    A `brush` of scalars is one pen for all strokes.
    """
    return canvases_of(config, ink_of(bind(config, params), strokes, brush, image_size), brush.canvas_slope)
