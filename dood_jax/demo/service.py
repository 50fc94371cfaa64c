"""What the page asks of the models, the queue that serves one request at a time, and compilation in advance.

A request is to redraw an image, vary it, complete it, or trace every line of it.
"""

import asyncio
import functools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

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
from dood_jax.model.prior import pleasing_spread
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

        def generate(count: int, seed: int) -> np.ndarray:
            model = self.model(name)
            return np.asarray(model.sample(count, seed, spread=pleasing_spread(model.config)).canvases[:, -1])

        return generate


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
    on_grid = model.to_source_grid(image[None], best.canvases[:, -1])
    l1 = float(np.abs(on_grid[0] - image).sum())
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
    completed = model.complete(best, kept, seed, _MOST_ADDED, pleasing_spread(model.config))
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


_Result = TypeVar("_Result")
_MOST_WAITING = 8  # jobs in the queue


class Busy(Exception):
    """A job that is not taken; the message says when to come again."""


class JobQueue:
    """Runs jobs one after the other in a thread of its own: in the order they came, one for each client.

    The thread does not keep the program from ending, whatever it is doing.
    """

    def __init__(self) -> None:
        """Starts the thread."""
        self._jobs: queue.SimpleQueue[tuple[Future, Callable]] = queue.SimpleQueue()
        self._clients: list[str] = []  # in order; the job of the first one is running
        threading.Thread(target=self._work, daemon=True, name="dood demo").start()

    def ahead(self, client: str) -> int:
        """How many jobs come before that of a client; all of them if it waits for none."""
        return self._clients.index(client) if client in self._clients else len(self._clients)

    async def run(self, client: str, job: Callable[[], _Result]) -> _Result:
        """Waits for the job's turn and returns its result.

        Raises:
          Busy: the client has a job in the queue already, or the queue is full.
          Exception: whatever the job raises.
        """
        if client in self._clients:
            raise Busy("one drawing at a time: your last one is still being worked on")
        if len(self._clients) >= _MOST_WAITING:
            raise Busy(f"{_MOST_WAITING} drawings are waiting already; try again in a few seconds")
        self._clients.append(client)
        future: Future = Future()
        self._jobs.put((future, job))
        try:
            return await asyncio.wrap_future(future)
        finally:
            self._clients.remove(client)

    def _work(self) -> None:
        while True:
            future, job = self._jobs.get()
            if not future.set_running_or_notify_cancel():  # nobody waits for it any more
                continue
            try:
                future.set_result(job())
            except BaseException as error:  # it is raised again where the result is awaited
                future.set_exception(error)


class Warmup:
    """Jobs whose programs are compiled before anybody asks, in the order in which they are likely needed.

    They are every kind of answer of the first model, a drawing by each other model, and the examples.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        """Takes the names of the models that are offered."""
        self._asked = [(kind, names[0]) for kind in KINDS] + [("redraw", name) for name in names[1:]]
        self._names = [*(f"{kind}/{name}" for kind, name in self._asked), "examples"]
        self._done = 0

    def jobs(self, service: Service) -> Iterator[Callable[[], Any]]:
        """The jobs, to be run one by one; `job_done` is called after each."""
        ink = images.drawn(images.shapes()["house"])
        for kind, name in self._asked:
            yield functools.partial(service.answer, kind, name, ink, 0)
        yield functools.partial(images.all_examples, 0, service.generator)

    def job_done(self) -> None:
        """Counts one more job as done."""
        self._done += 1

    def progress(self) -> dict[str, Any]:
        """What is answered at once (`ready`, such as `redraw/mnist`), and what is being compiled, or ""."""
        return {"ready": self._names[: self._done], "compiling": [*self._names, ""][self._done]}
