"""The jobs of the demo: a queue that runs one at a time, and the programs that are compiled in advance."""

import asyncio
import functools
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from dood_jax.demo import images
from dood_jax.demo.service import KINDS, Service

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
