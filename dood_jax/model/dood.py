"""DooD: a Flax module whose fields are its parts, and the steps that they take together on one stroke.

A model is a pair (config, params); nothing else holds state. `bind(config, params)` gives the module with its
parameters in place, whose methods are called below and in `model.drawing`. All arrays are of one image;
callers vmap over images and particles.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from dood_jax.config.model import ModelConfig
from dood_jax.errors import BadInput
from dood_jax.model.autoregressive_prior import AutoregressivePrior
from dood_jax.model.brush_latents import stroke_numbers
from dood_jax.model.families import DIAGONAL, Family
from dood_jax.model.guidance import (
    BlindGuidance,
    ConvGuidance,
    Glimpse,
    Guidance,
    LeakyGuidance,
    PatchGuidance,
    PriorContext,
    PriorView,
    ResidualGuidance,
)
from dood_jax.model.iterative_inference import (
    InferenceState,
    Refiner,
    corrector_inputs,
    drawing_error,
    first_inference_state,
)
from dood_jax.model.networks import Change, Params
from dood_jax.model.observation import ObservationModel
from dood_jax.model.prior import (
    CERTAIN,
    FixedPrior,
    Prior,
    PriorNoise,
    SequentialPrior,
    Spread,
)
from dood_jax.model.published import CORRELATED
from dood_jax.model.recognition import (
    PosteriorStep,
    Recognition,
    StrokeNoise,
    StrokeRecognition,
    stroke_noise,
)
from dood_jax.model.renderer import NeuralRenderer, PieceRenderer, Renderer, canvas_of
from dood_jax.model.rivals import AirRecognition, VaeRecognition
from dood_jax.model.stroke import StrokeState, initial_state
from dood_jax.types import Array, BaselineInputs, BrushParams, StrokeLatents, StrokeLogProbs


class StrokeRecord(NamedTuple):
    """What is kept of one stroke of the posterior."""

    step: PosteriorStep
    ink: Array  # [H, W]
    context: PriorContext  # what the prior must know
    seen: BaselineInputs  # what a baseline may know


class DooD(nn.Module):
    """The parts of a model, and one stroke after the other.

    The parts share the scope of this module: the keys of the parameters are the names of networks, such as
    `layout_rnn`, whichever part owns them.
    """

    config: ModelConfig
    guidance: Guidance  # what the networks see
    recognition: Recognition  # how a stroke is decided on, given the target
    prior: Prior  # how likely strokes are, without it
    renderer: Renderer  # strokes to ink, ink to canvases
    observation: ObservationModel  # how likely an image is, given the canvas
    refiner: Refiner | None  # corrects a whole drawing, where the model iterates

    def setup(self) -> None:
        """Lays the parameters of all parts side by side."""
        for part in (
            self.guidance,
            self.recognition,
            self.prior,
            self.renderer,
            self.observation,
            self.refiner,
        ):
            if part is not None:
                nn.share_scope(self, part)

    def encode_target(self, image: Array) -> Any:
        """What guidance computes once of a [H, W] image that is to be drawn."""
        return self.guidance.encode_target(image)

    def canvas_before(self, state: StrokeState) -> Array:
        """[H, W] what has been drawn before a stroke, without gradient."""
        return lax.stop_gradient(canvas_of(self.config, state.ink_sum, state.canvas_slope))

    def draw_stroke(
        self, target: Any, state: StrokeState, is_first: Array, noise: StrokeNoise, hold_presence: bool
    ) -> tuple[StrokeState, StrokeRecord]:
        """One stroke of the posterior: see target and canvas, decide, draw (method.md 5).

        Args:
          target: as `encode_target` gives it.
          state: before the stroke.
          is_first: [] whether the stroke is the first.
          noise: its randomness.
          hold_presence: the bit stays on, for objectives that sum over stopping times.
        """
        canvas = self.canvas_before(state)
        observation = self.guidance.observe(target, canvas)
        # The recurrent states see the canvas alone: the prior shares them, and knows no target.
        state = self.recognition.advance(state, observation.canvas.features)
        state, placement = self.recognition.place(state, observation, noise, hold_presence)
        glimpse = Glimpse((), ())
        if self.recognition.needs_glimpse:
            glimpse = self.guidance.glimpse(target, canvas, placement.layout)
        state, step = self.recognition.shape(state, placement, observation, glimpse, noise)
        context = PriorContext(
            state.layout_hidden, state.stroke_hidden, observation.canvas.for_prior, glimpse.for_prior
        )
        takes_slope = is_first if self.guidance.canvas_slope_is_of_first_stroke else jnp.ones((), bool)
        state, ink = self.ink_stroke(state, takes_slope, step.stroke, step.brush)
        if step.log_probs.brush is not None and step.canvas_slope_log_prob is not None:
            of_brush = step.log_probs.brush + takes_slope * step.canvas_slope_log_prob
            step = step._replace(log_probs=step.log_probs._replace(brush=of_brush))
        of_target = observation.target_features
        of_canvas = jnp.concatenate([of_target[:0], *observation.canvas.features])
        seen = lax.stop_gradient(BaselineInputs(of_target, of_canvas))
        return state, StrokeRecord(step, ink, context, seen)

    def ink_stroke(
        self, state: StrokeState, takes_slope: Array, stroke: StrokeLatents, brush: BrushParams
    ) -> tuple[StrokeState, Array]:
        """Renders one stroke: the state after it, and its [H, W] ink.

        The canvas takes the brush's canvas slope where that is to hold (method.md 3.11).
        """
        ink = self.renderer.stroke_ink(stroke, brush) * stroke.presence
        state = state._replace(
            presence=stroke.presence,
            layout=stroke.layout,
            control_points=stroke.control_points,
            brush=stroke_numbers(brush) if self.config.has_latent_brush else state.brush,
            ink_sum=state.ink_sum + lax.stop_gradient(ink),
            canvas_slope=jnp.where(takes_slope, brush.canvas_slope, state.canvas_slope),
        )
        return state, ink

    def replay_stroke(
        self, state: StrokeState, is_first: Array, stroke: StrokeLatents, brush: BrushParams
    ) -> tuple[StrokeState, tuple[Array, PriorContext]]:
        """Draws a given stroke without a target; its [H, W] ink, and what the prior knows before it."""
        canvas = self.canvas_before(state)
        state, context = self._advance_without_target(state, canvas)
        context = context._replace(glimpse=self.guidance.glimpse_canvas(canvas, stroke.layout))
        state, ink = self.ink_stroke(state, is_first, stroke, brush)
        return state, (ink, context)

    def sample_stroke(
        self, state: StrokeState, brush: BrushParams | None, spread: Spread, noise: PriorNoise
    ) -> tuple[StrokeState, tuple[StrokeLatents, BrushParams]]:
        """Draws a stroke that is sampled from the prior, with a given brush or its own.

        See method.md 4 and 10.5. The canvas keeps its slope, unless a first stroke decides on it.
        """
        is_first, canvas = state.is_first, self.canvas_before(state)
        state, context = self._advance_without_target(state, canvas)
        view = self._prior_view(context, is_placed=False)
        bit, layout = self.prior.sample_placement(context, view, spread, noise)
        context = context._replace(glimpse=self.guidance.glimpse_canvas(canvas, layout))
        points, own = self.prior.sample_stroke(context, self._prior_view(context), layout, spread, noise)
        if own is not None:
            others = self.prior.sample_first(spread, noise)
            own = own._replace(canvas_slope=state.canvas_slope)
            choose = functools.partial(jnp.where, is_first)
            layout, points, own = jax.tree_util.tree_map(choose, others, (layout, points, own))
        if brush is not None:
            own = brush._replace(canvas_slope=state.canvas_slope)
        if own is None:
            raise BadInput(f"model.prior={self.config.prior!r} has no brushes of its own; give a brush")
        stroke = StrokeLatents(bit * state.presence, layout, points)
        return self.ink_stroke(state, is_first, stroke, own)[0], (stroke, own)

    def skip_to_next(self, state: StrokeState, stroke: StrokeLatents, brush: BrushParams) -> StrokeState:
        """The state after a given stroke of a drawing that has its canvas slope already."""
        state, _ = self._advance_without_target(state, self.canvas_before(state))
        return self.ink_stroke(state, jnp.zeros((), bool), stroke, brush)[0]

    def prior_log_probs(
        self, context: PriorContext, stroke: StrokeLatents, brush: BrushParams
    ) -> StrokeLogProbs:
        """Log-probabilities of one stroke under the prior."""
        return self.prior.log_probs(context, self._prior_view(context), stroke, brush)

    def first_log_probs(self, stroke: StrokeLatents, brush: BrushParams) -> StrokeLogProbs:
        """Log-densities of the first stroke and the canvas slope, where the prior has one for them."""
        return self.prior.first_log_probs(stroke, brush)

    def _prior_view(self, context: PriorContext, is_placed: bool = True) -> PriorView:
        """What the prior sees of the drawing so far, in the stroke's window too if it has its place."""
        if not self.prior.sees_canvas:
            return PriorView((), ())
        window = self.guidance.for_prior_stroke(context) if is_placed else ()
        return PriorView(self.guidance.for_prior_presence(context), window)

    def final_stop_log_prob(self, state: StrokeState, target: Any = None) -> Array:
        """[] prior log-probability that no stroke follows the last, 0 where the model does not count it.

        With a target guidance sees it too, as it did before the other strokes.
        """
        if not self.config.final_stop:
            return jnp.zeros(())
        canvas = self.canvas_before(state)
        seen = self.guidance.observe(target, canvas).canvas if target is not None else None
        state, context = self._advance_without_target(state, canvas, seen)
        return self.prior.presence_log_probs(context, self._prior_view(context, is_placed=False))[1]

    def _advance_without_target(
        self, state: StrokeState, canvas: Array, view: Any = None
    ) -> tuple[StrokeState, PriorContext]:
        """The recurrent states at the next stroke, and what the prior knows of the drawing so far."""
        view = self.guidance.observe_canvas(canvas) if view is None else view
        state = self.recognition.advance(state, view.features)
        return state, PriorContext(state.layout_hidden, state.stroke_hidden, view.for_prior, None)

    def iterate(
        self, image: Array, strokes: StrokeLatents, state: InferenceState, pace: Array | float = 1.0
    ) -> tuple[InferenceState, Change, Array]:
        """One iteration of inference on a whole drawing of a [H, W] image, at a [] pace (method.md 5.1).

        Returns the next state, how it changed, and the [] error of the given one.
        """
        if self.refiner is None:
            raise BadInput("model.iterations=0: this model has no corrector; train one with iterations")
        target = self.guidance.encode_target(image)

        def glimpses(canvas):
            look = lambda layout: jnp.concatenate(self.guidance.glimpse(target, canvas, layout).features)
            return jax.vmap(look)(strokes.layout)

        render = self.renderer.finished_canvas
        inputs, error = corrector_inputs(self.config, image, strokes, state, render, glimpses)
        return *self.refiner(state, inputs, strokes.presence, pace), error

    def drawing_error(self, image: Array, strokes: StrokeLatents, state: InferenceState) -> Array:
        """[] error of a whole drawing of a [H, W] image between two iterations."""
        render = self.renderer.finished_canvas
        return drawing_error(self.config, image, strokes, render, state.points, state.raw_brush)[0]

    def ink(self, strokes: StrokeLatents, brush: BrushParams, image_size: int | None = None) -> Array:
        """[T, H, W] ink of each stroke of one drawing; a `brush` of scalars is one brush for all."""
        return self.renderer.ink(strokes, brush, image_size)

    def finished_canvas(self, strokes: StrokeLatents, brush: BrushParams) -> Array:
        """[H, W] canvas after the last stroke of one drawing."""
        return self.renderer.finished_canvas(strokes, brush)

    def pixel_log_prob(self, image: Array, canvas: Array, scale: str | None = None) -> Array:
        """[...] nats of a [H, W] image given [..., H, W] canvases; see `ObservationModel.log_prob`."""
        return self.observation.log_prob(image, canvas, scale)

    def call_every_network(self, image: Array, noise: StrokeNoise) -> None:
        """Calls each network once, so that its parameters appear."""
        target, state = self.encode_target(image), initial_state(self.config)
        _, record = self.draw_stroke(target, state, jnp.ones((), bool), noise, True)
        self.prior_log_probs(record.context, record.step.stroke, record.step.brush)
        if self.config.has_latent_brush:
            self.first_log_probs(record.step.stroke, record.step.brush)
        if self.refiner is not None:
            stroke, brush = jax.tree_util.tree_map(lambda leaf: leaf[None], record.step[:2])
            brush = brush._replace(canvas_slope=jnp.ones(()))
            self.iterate(image, stroke, first_inference_state(self.config, stroke, brush))
        self.pixel_log_prob(image, image)


_FAMILIES: dict[str, Family] = {"diagonal": DIAGONAL, "correlated": CORRELATED}
_GUIDANCES: dict[tuple[str, str], type[Guidance]] = {
    ("patch", "canvas"): PatchGuidance,
    ("conv", "canvas"): ConvGuidance,
    ("patch", "none"): BlindGuidance,
    ("conv", "none"): BlindGuidance,
    ("patch", "residual"): ResidualGuidance,
    ("conv", "residual"): ResidualGuidance,
    ("conv", "none_leaky"): LeakyGuidance,
}
_RENDERERS: dict[str, type[Renderer]] = {"curve": Renderer, "neural": NeuralRenderer, "image": PieceRenderer}
# Names of the networks that only the prior uses, in any model.
PRIOR_NETWORKS = (
    *SequentialPrior.networks,
    *AutoregressivePrior.networks,
    *PatchGuidance.prior_networks,
)


@functools.lru_cache
def build(config: ModelConfig) -> DooD:
    """The module that a config describes: where its words become parts."""
    family = _FAMILIES[config.latents]
    recognitions: dict[str, Callable[[], Recognition]] = {
        "dood": lambda: StrokeRecognition(config, family),
        "air": lambda: AirRecognition(config),
        "vae": lambda: VaeRecognition(config),
    }
    priors: dict[str, Callable[[], Prior]] = {
        "sequential": lambda: SequentialPrior(config, family),
        "autoregressive": lambda: AutoregressivePrior(config, family),
        "independent": lambda: FixedPrior(config, mean=0.5, scale=0.2),  # of points in their frame (9.4)
        "codes": lambda: FixedPrior(config, mean=0.0, scale=1.0),  # of AIR's numbers (9.5)
        "images": lambda: FixedPrior(config, mean=0.0, scale=1.0, log_odds=CERTAIN, is_placed=False),  # (9.6)
    }
    return DooD(
        config=config,
        guidance=_GUIDANCES[config.encoder, config.guidance](config),
        recognition=recognitions[config.recognition](),
        prior=priors[config.prior](),
        renderer=_RENDERERS[config.decoder](config),
        observation=ObservationModel(config),
        refiner=Refiner(config) if config.iterations else None,
    )


def bind(config: ModelConfig, params: Params, dropout_key: Array | None = None) -> DooD:
    """A model with its parameters in place; with a key encoders drop units as in training.

    Inside the body of a scan that drops units, bind anew with the step's own key.
    """
    rngs = None if dropout_key is None else {"dropout": dropout_key}
    return build(config).bind({"params": params}, rngs=rngs)


def init(config: ModelConfig, key: Array) -> Params:
    """Fresh parameters, float32; consumes the key."""
    key_params, key_noise = jax.random.split(key)
    noise = stroke_noise(key_noise, config.num_points, config.has_latent_brush)
    blank = jnp.zeros((config.image_size, config.image_size))
    return build(config).init(key_params, blank, noise, method=DooD.call_every_network)["params"]


def prior_networks(config: ModelConfig) -> tuple[str, ...]:
    """Names of the networks that only the prior uses."""
    model = build(config)
    return (*model.prior.networks, *model.guidance.prior_networks)


def where_prior_learns(
    config: ModelConfig,
    learns: Array | bool,
    function: Callable[[Params, Any], Any],
    params: Params,
    known: Any,
) -> Any:
    """function(params, known), whose gradient reaches the prior only where `learns` is 1.

    Elsewhere neither the prior's own networks get any, nor what it knows of the drawing so far. Both sides of
    the choice have the same values, which the compiler computes once.
    """
    if learns is True:
        return function(params, known)
    own = [name for name in prior_networks(config) if name in params]
    fixed = {**params, **{name: lax.stop_gradient(params[name]) for name in own}}
    choose = functools.partial(jnp.where, learns)
    return jax.tree_util.tree_map(choose, function(params, known), function(fixed, lax.stop_gradient(known)))
