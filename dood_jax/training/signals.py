"""Ctrl-C and SIGTERM: finish the step, save, leave; of several processes all after the same step."""

import os
import signal
from types import FrameType

import jax
from jax.experimental import multihost_utils

_WATCHED = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Remembers the first stop signal while open; a second one acts at once.

    Of several processes JAX's runtime takes SIGTERM, whichever process gets it, and finds the step at which
    all of them can stop.
    """

    def __init__(self) -> None:
        """Starts with nothing received."""
        self.received: int | None = None
        self._previous = {}
        self._together = jax.process_count() > 1

    def __enter__(self) -> "StopSignals":
        """Takes over the handlers."""
        watched = _WATCHED[:1] if self._together else _WATCHED
        self._previous = {number: signal.signal(number, self._remember) for number in watched}
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the handlers back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def stop_now(self, call: int) -> bool:
        """Whether to stop before a training call; to be asked in every process, once a call, from 0."""
        if not self._together:
            return self.received is not None
        reached = multihost_utils.reached_preemption_sync_point(call)
        if reached:
            self.received = self.received or signal.SIGTERM
        return reached

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.received = number
        self.__exit__()
        if self._together:
            os.kill(os.getpid(), signal.SIGTERM)  # JAX's runtime knows this one alone
