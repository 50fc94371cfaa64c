"""Drawing goes on: strokes come where ink is left, and go where they pay no longer (method.md 5.2).

After the iterations a drawing is revised again and again: a stroke is added, replaced or taken away, the
iterations run once more, and the new drawing is kept if its bound is higher. So the number of strokes is a
result of inference as well. In the end it is certain, and whatever led to it is no latent variable, so the
bound of a revised drawing is as valid as any.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from dood_jax import geometry
from dood_jax.config.model import ModelConfig
from dood_jax.model.dood import bind
from dood_jax.model.drawing import iterate, sample_iterated
from dood_jax.model.iterative_inference import IteratedPosterior
from dood_jax.model.networks import Params
from dood_jax.model.recognition import stroke_noise
from dood_jax.model.renderer import canvas_of
from dood_jax.model.sampling import state_after
from dood_jax.objectives.elbo import log_likelihood
from dood_jax.objectives.iwae import particle_of
from dood_jax.types import Array, BrushParams, Start, StrokeLatents, StrokeLogProbs

MOVES = ("add", "replace", "remove", "replace")  # what is tried, in turn
_SCORED = 2  # drawings of a posterior whose mean bound is its score


class Keys(NamedTuple):
    """Keys of what is drawn by chance when one drawing is revised."""

    score: Array  # always the same, so that drawings are compared under the same noise
    moves: Array  # into which the number of the revision is folded
    sample: Array  # of the posterior in the end

    @classmethod
    def of(cls, data: Array) -> "Keys":
        """Keys made of the data of one."""
        return cls(*jax.random.split(jax.random.wrap_key_data(data), 3))


class Revised(NamedTuple):
    """A posterior of T strokes, of which those whose bits are on are drawn for certain."""

    presence: Array  # [T] bits
    posterior: IteratedPosterior
    score: Array  # [] mean bound of a few of its drawings

    @property
    def strokes(self) -> StrokeLatents:
        """The means of the posterior as a drawing."""
        layout = self.posterior.layout.mean
        points = geometry.in_stroke_frames(layout, self.posterior.points.mean)
        return StrokeLatents(self.presence, layout, points)

    @property
    def start(self) -> Start:
        """The same as something that iterations may begin with; its bits are certain."""
        nought = jnp.zeros_like(self.presence)
        return Start(self.strokes, self.posterior.brush, StrokeLogProbs(nought, nought, nought, nought))

    def first(self, count: int | None) -> IteratedPosterior:
        """The posterior of the first strokes; of all if None."""
        return _of_strokes(lambda leaf: leaf[:count], self.posterior)


def refined(
    config: ModelConfig,
    params: Params,
    image: Array,
    strokes: StrokeLatents,
    brush: BrushParams,
    key: Array,
    iterations: int,
    most_drawn: int | None = None,
) -> Revised:
    """Where iterations from a drawing of a [H, W] image end, and its score.

    Args:
      config: the model.
      params: its parameters.
      image: to be drawn.
      strokes: T of them, as drawn so far.
      brush: their brush.
      key: of the score.
      iterations: so many.
      most_drawn: no stroke after the first so many is drawn, so they need no work; T if None.
    """
    count = len(strokes.presence)
    firsts = lambda tree: _of_strokes(lambda leaf: leaf[:most_drawn], tree)
    posterior = iterate(config, params, image, firsts(strokes), firsts(brush), iterations)
    whole = _of_strokes(lambda leaf: _padded(leaf, count), posterior)
    start = Revised(strokes.presence, whole, jnp.zeros(())).start

    def bound(key):
        drawing = sample_iterated(config, params, start, posterior, key)
        return particle_of(config, params, image, drawing).elbo

    return Revised(strokes.presence, whole, lax.map(bound, jax.random.split(key, _SCORED)).mean())


def proposal(
    config: ModelConfig, params: Params, image: Array, revised: Revised, move: str, key: Array
) -> tuple[StrokeLatents, BrushParams]:
    """A changed drawing of a [H, W] image, for the iterations to go on with; consumes the key.

    Args:
      config: the model.
      params: its parameters.
      image: to be drawn.
      revised: the drawing so far.
      move: "add" appends a stroke, sampled from the posterior of the next one, unless T are drawn; "remove"
        takes away the stroke without which the image is likeliest, unless it is the only one; "replace" does
        both.
      key: consumed.
    """
    strokes, brush = revised.strokes, revised.posterior.brush
    if move in ("remove", "replace"):
        strokes, brush = _without_the_least(config, params, image, strokes, brush)
    if move in ("add", "replace"):
        strokes, brush = _with_another(config, params, image, strokes, brush, key)
    return strokes, brush


def _without_the_least(
    config: ModelConfig, params: Params, image: Array, strokes: StrokeLatents, brush: BrushParams
) -> tuple[StrokeLatents, BrushParams]:
    """A drawing without the stroke that the likelihood misses least; a single stroke stays."""
    bits, places = strokes.presence, jnp.arange(len(strokes.presence))
    ink = bind(config, params).ink(strokes, brush)
    canvases = canvas_of(config, ink.sum(0) - ink, brush.canvas_slope)
    likelihoods = jax.vmap(lambda canvas: log_likelihood(config, params, image, canvas))(canvases)
    least = jnp.argmax(jnp.where(bits > 0, likelihoods, -jnp.inf))
    goes = (places == least) & (bits.sum() > 1)
    order = jnp.argsort(jnp.where(goes, len(bits), places))
    strokes, brush = _of_strokes(lambda leaf: leaf[order], (strokes, brush))
    return strokes._replace(presence=jnp.where(places < bits.sum() - goes.sum(), 1.0, 0.0)), brush


def _with_another(
    config: ModelConfig, params: Params, image: Array, strokes: StrokeLatents, brush: BrushParams, key: Array
) -> tuple[StrokeLatents, BrushParams]:
    """A drawing with one more stroke, as recognition draws it after the others, if there is room."""
    bits, model = strokes.presence, bind(config, params)
    drawn = bits.sum().astype(int)
    state = state_after(config, params, strokes, brush, drawn)
    noise = stroke_noise(key, config.num_points, config.has_latent_brush)
    target, is_first = model.encode_target(image), jnp.zeros((), bool)
    step = model.draw_stroke(target, state, is_first, noise, True)[1].step
    has_room, place = drawn < len(bits), jnp.minimum(drawn, len(bits) - 1)
    put = lambda old, new: jnp.where(has_room, old.at[place].set(new), old)
    strokes = jax.tree_util.tree_map(put, strokes, step.stroke._replace(presence=jnp.ones(())))
    old, new = (one._replace(canvas_slope=None) for one in (brush, step.brush))
    return strokes, jax.tree_util.tree_map(put, old, new)._replace(canvas_slope=brush.canvas_slope)


def _of_strokes(function: Callable[[Array], Array], tree: Any) -> Any:
    """Maps the [T, ...] leaves of a tree, and leaves alone what belongs to the whole drawing."""
    return jax.tree_util.tree_map(lambda leaf: function(leaf) if jnp.ndim(leaf) else leaf, tree)


def _padded(leaf: Array, count: int) -> Array:
    """[C, ...] -> [T, ...] by strokes like the last one, which are not drawn."""
    return jnp.concatenate([leaf, jnp.repeat(leaf[-1:], count - len(leaf), axis=0)])
