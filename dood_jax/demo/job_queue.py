"""One model at a time: the queue of requests, and programs that are compiled before they are asked for.

What is compiled before anybody asks, in the order in which it is likely to be asked for.

One computation at a time: everybody's in the order they came, each client's only one.
"""

import asyncio
import functools
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from dood_jax.demo import images
from dood_jax.demo.animation import drawn, shapes
from dood_jax.demo.service import KINDS, Studio


class Warming:
    """How far it is."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Every kind of answer of the first of the models, a drawing by each of the others, the examples."""
        self._asked = [(kind, names[0]) for kind in KINDS] + [("redraw", name) for name in names[1:]]
        self._names = [*(f"{kind}/{name}" for kind, name in self._asked), "examples"]
        self._done = 0

    def steps(self, studio: Studio) -> Iterator[Callable[[], Any]]:
        """Each to be run in its turn."""
        ink = drawn(shapes()["house"])
        for kind, name in self._asked:
            yield functools.partial(studio.answer, kind, name, ink, 0)
        yield functools.partial(images.all_sets, 0, studio.inventor)

    def done(self) -> None:
        """One more."""
        self._done += 1

    def progress(self) -> dict[str, Any]:
        """`ready`: what is answered at once, as `redraw/mnist`; `warming`: what is compiled now, or ""."""
        return {"ready": self._names[: self._done], "warming": [*self._names, ""][self._done]}


_Result = TypeVar("_Result")
_MOST_WAITING = 8


class Busy(Exception):
    """A computation that is not begun; the message says when to come again."""


class Turns:
    """A thread of its own that does one thing after the other.

    It is no obstacle to the end of the program, whatever it is doing.
    """

    def __init__(self) -> None:
        """Starts the thread."""
        self._jobs: queue.SimpleQueue[tuple[Future, Callable]] = queue.SimpleQueue()
        self._clients: list[str] = []  # in order; the first one's is being done
        threading.Thread(target=self._work, daemon=True, name="dood demo").start()

    def ahead(self, client: str) -> int:
        """How many computations come before the client's; all of them if it waits for none."""
        return self._clients.index(client) if client in self._clients else len(self._clients)

    async def run(self, client: str, job: Callable[[], _Result]) -> _Result:
        """The job's result when its turn has come; raises Busy, and whatever the job raises."""
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
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:  # it is raised again where the result is awaited
                future.set_exception(error)
