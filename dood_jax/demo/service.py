"""What the page asks of the models: to redraw an image, vary it, complete it, or trace every line of it."""

import functools
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from dood_jax import api
from dood_jax.api import Model
from dood_jax.checkpointing import restore
from dood_jax.checkpointing.metadata import read_meta
from dood_jax.config.model import ModelConfig
from dood_jax.demo import images
from dood_jax.errors import BadInput, require_choice
from dood_jax.evaluation.reconstruction import windows
from dood_jax.model.networks import Params
from dood_jax.model.prior import PUBLISHED
from dood_jax.model.renderer import canvases_of
from dood_jax.objectives import iwae
from dood_jax.types import Array, Sketch
from dood_jax.vectorize.drawing import InkDrawing

PAGE = 1000  # side of the page that drawings are returned on, in pixels
_PARTICLES = 40  # drawings of an image, of which the best is shown
_MOST_STROKES = 10  # of a drawing
_VARIANTS = 8  # and completions that are shown
_COMPLETIONS = 16  # that are sampled; those that add something are shown
_MOST_ADDED = 4  # strokes of a completion


class Shown(NamedTuple):
    """One drawing for the page."""

    ink: InkDrawing
    windows: np.ndarray | None = None  # [strokes, 4, 2] corners of each stroke's frame, in pixels
    kept: int = 0  # strokes that were there before a completion


class Answer(NamedTuple):
    """What a model made of an image."""

    drawings: list[Shown]
    seconds: float
    nats: float | None = None  # bound on the log-probability of the image that the model took
    l1: float | None = None  # sum of |image - first drawing| over pixels of that image; traced, of the sheet


class Service:
    """The models that the page offers, loaded when they are first asked."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Takes the names of the models; the first answers unless another is named."""
        self.names = names
        self._models: dict[str, Model] = {}

    def answer(self, kind: str, name: str, ink: np.ndarray, seed: int) -> Answer:
        """Asks a model for one of `KINDS`, of float32 [H, W] ink, 0..1.

        Raises:
          BadInput: unknown kind or name, a model that cannot be loaded, or ink that cannot be drawn.
        """
        require_choice("kind", kind, tuple(KINDS))
        model = self.model(name)
        started = time.perf_counter()
        answer = KINDS[kind](model, ink, seed)
        return answer._replace(seconds=time.perf_counter() - started)

    def model(self, name: str) -> Model:
        """One of the models; raises BadInput if it is not offered or cannot be loaded."""
        require_choice("model", name, self.names)
        if name not in self._models:
            self._models[name] = api.load(name)
        return self._models[name]

    def require(self, name: str) -> None:
        """Raises BadInput if a model that is offered is not there."""
        read_meta(restore.find(name))

    def generator(self, name: str) -> images.Generate | None:
        """What generates images with a model (method.md 10.5); None if the model is not offered."""
        if name not in self.names:
            return None
        generate = lambda count, seed: self.model(name).sample(count, seed, spread=PUBLISHED)
        return lambda count, seed: np.asarray(generate(count, seed).canvases[:, -1])


class Particles(NamedTuple):
    """K drawings of one image with their ELBOs."""

    sketch: Sketch  # [K, ...]
    elbo: Array  # [K]

    def best_of(self, groups: int) -> Sketch:
        """[groups, ...] the drawing of highest ELBO in each of several groups of equal size."""
        elbo = np.asarray(self.elbo).reshape(groups, -1)
        rows = elbo.argmax(1) + np.arange(groups) * elbo.shape[1]
        return jax.tree_util.tree_map(lambda leaf: np.asarray(leaf)[rows], self.sketch)


def _redraw(model: Model, ink: np.ndarray, seed: int) -> Answer:
    """The best of K drawings, and the K-particle bound (method.md 10.1)."""
    image, particles = _infer(model, ink, seed)
    best = particles.best_of(1)
    nats = float(iwae.log_mean_exp(particles.elbo))
    recorded = model.to_source_grid(image[None], best.canvases[:, -1])
    l1 = float(np.abs(recorded[0] - image).sum())
    return Answer(_shown(model, best, "redrawn", with_windows=True), 0, nats, l1)


def _vary(model: Model, ink: np.ndarray, seed: int) -> Answer:
    """New exemplars, each of another drawing of the image (method.md 10.7)."""
    _, particles = _infer(model, ink, seed)
    varied = model.vary(particles.best_of(_VARIANTS), seed)
    return Answer(_shown(model, varied, "varied"), 0, float(iwae.log_mean_exp(particles.elbo)))


def _complete(model: Model, ink: np.ndarray, seed: int) -> Answer:
    """The best drawing, continued in several ways (method.md 10.8)."""
    _, particles = _infer(model, ink, seed)
    best = jax.tree_util.tree_map(lambda leaf: np.repeat(leaf, _COMPLETIONS, 0), particles.best_of(1))
    kept = int(best.strokes.presence[0].sum())
    completed = model.complete(best, kept, seed, _MOST_ADDED, PUBLISHED)
    added = np.flatnonzero(completed.strokes.presence.sum(1) > kept)[:_VARIANTS]
    if not len(added):
        raise BadInput("the model finds nothing to add; draw less of it, or choose another model")
    chosen = jax.tree_util.tree_map(lambda leaf: leaf[added], completed)
    shown = [one._replace(kept=kept) for one in _shown(model, chosen, "completed", with_windows=True)]
    return Answer(shown, 0, float(iwae.log_mean_exp(particles.elbo)))


def _trace(model: Model, ink: np.ndarray, seed: int) -> Answer:
    """Every line, at the sheet's own resolution (docs/vectorize.md)."""
    del seed  # nothing is sampled
    traced = model.vectorize(1 - ink, "traced")
    return Answer([Shown(traced)], 0, l1=traced.l1)


KINDS: dict[str, Callable[[Model, np.ndarray, int], Answer]] = {
    "redraw": _redraw,
    "vary": _vary,
    "complete": _complete,
    "trace": _trace,
}


def _infer(model: Model, ink: np.ndarray, seed: int) -> tuple[np.ndarray, Particles]:
    """The [S, S] image that the model takes of [H, W] ink, and its drawings of it.

    Raises BadInput if the model draws no stroke.
    """
    image = images.model_input(ink, model.config.image_size, model.meta["config"]["data"]["name"])
    keys = jax.random.split(jax.random.key(seed), _PARTICLES)
    particles = _particles(model.config, model.params, image, keys)
    if not particles.best_of(1).strokes.presence.any():
        raise BadInput("the model draws nothing of this; draw more, or choose another model")
    return image, particles


@functools.partial(jax.jit, static_argnums=0)
def _particles(config: ModelConfig, params: Params, image: Array, keys: Array) -> Particles:
    """Drawings of a [H, W] image, one for each of [K] keys."""

    def one(key):
        drawing, _, elbo = iwae.sample_particle(config, params, image, key, _MOST_STROKES)
        canvases = canvases_of(config, drawing.ink, drawing.brush.canvas_slope)
        return Particles(Sketch(drawing.strokes, drawing.brush, canvases), elbo)

    return jax.vmap(one)(keys)


def _shown(model: Model, sketch: Sketch, source: str, with_windows: bool = False) -> list[Shown]:
    """The drawings of a batch as ink, perhaps with the frames of their strokes."""
    inks = model.to_ink(sketch, PAGE, f"{source} by {model.name}")
    if not with_windows:
        return [Shown(ink) for ink in inks]
    corners = windows(sketch, PAGE)
    return [Shown(ink, seen[: len(ink.strokes)]) for ink, seen in zip(inks, corners, strict=True)]
