"""What is compiled before anybody asks, in the order in which it is likely to be asked for."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

from dood_jax.demo.shapes import drawn, shapes
from dood_jax.demo.studio import KINDS, Studio


class Warming:
    """How far it is."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Every kind of answer of the first of the models, then a drawing by each of the others."""
        self._asked = [(kind, names[0]) for kind in KINDS] + [("redraw", name) for name in names[1:]]
        self._done = 0

    def steps(self, studio: Studio) -> Iterator[Callable[[], Any]]:
        """Each to be run in its turn."""
        ink = drawn(shapes()["house"])
        for kind, name in self._asked:
            yield functools.partial(studio.answer, kind, name, ink, 0)

    def done(self) -> None:
        """One more."""
        self._done += 1

    def progress(self) -> dict[str, Any]:
        """`ready`: what is answered at once, as `kind/model`; `warming`: what is compiled now, or ""."""
        names = [f"{kind}/{name}" for kind, name in self._asked]
        return {"ready": names[: self._done], "warming": [*names, ""][self._done]}
