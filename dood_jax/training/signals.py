"""Ctrl-C and SIGTERM: finish the step, save, leave."""

import signal
from types import FrameType

_WATCHED = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Remembers the first stop signal while open; a second one acts at once."""

    def __init__(self) -> None:
        """Starts with nothing received."""
        self.received: int | None = None
        self._previous = {}

    def __enter__(self) -> "StopSignals":
        """Takes over the handlers."""
        self._previous = {number: signal.signal(number, self._remember) for number in _WATCHED}
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the handlers back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.received = number
        self.__exit__()
