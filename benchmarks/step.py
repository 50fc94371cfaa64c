"""Compile time and step time of the `fast` model: the scan over strokes against its unrolled form.

    python benchmarks/step.py [--batch_size=64] [--rounds=30] [--unrolls=1,6]

The forms take turns, step by step, so that a machine that drifts drifts for all of them.
"""

import dataclasses
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import jax
import numpy as np
from absl import app, flags

from dood_jax.data import sampler
from dood_jax.training import parallel
from dood_jax.training.config import Config, default_config, resolve
from dood_jax.training.optimizer import make_optimizer
from dood_jax.training.state import init_state
from dood_jax.training.step import make_step

_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Pictures a step.")
_ROUNDS = flags.DEFINE_integer("rounds", 30, "Timed steps of each form.")
_UNROLLS = flags.DEFINE_list(
    "unrolls", ["1", "6"], "Strokes unrolled in the scan; the first is the yardstick."
)


class Contender:
    """One compiled form of the step, with its own state."""

    def __init__(self, config: Config, unroll: int) -> None:
        """Compiles, and times that."""
        self.name = f"unroll {unroll}"
        model = dataclasses.replace(config.model, unroll=unroll)
        config = dataclasses.replace(config, model=model)
        optimizer = make_optimizer(config.optimizer, config.training.steps)
        step = make_step(config, optimizer, sampler.pick_resident)
        devices = jax.local_devices()[:1]
        self._step = parallel.data_parallel(step, devices, config.training.batch_size, "pmap")
        self._pictures = jax.device_put(_pictures(model.image_size))
        self._lessons = sampler.lessons(0, 0, len(self._pictures), config.training.batch_size)
        self._state = init_state(config.model, optimizer, jax.random.key(0))
        self.first = self.time_step()
        self.times: list[float] = []

    def time_step(self) -> float:
        """Seconds of one step, waited for."""
        started = time.perf_counter()
        self._state, metrics = self._step(self._state, self._pictures, self._lessons)
        jax.block_until_ready((self._state, metrics))
        return time.perf_counter() - started


def main(_: list[str]) -> None:
    """Prints a table."""
    settings = default_config()
    settings.training.batch_size = _BATCH_SIZE.value
    config = resolve(settings)
    contenders = [Contender(config, int(unroll)) for unroll in _UNROLLS.value]
    for _ in range(_ROUNDS.value):
        for contender in contenders:
            contender.times.append(contender.time_step())
    device = jax.devices()[0].device_kind
    print(f"batch {_BATCH_SIZE.value}, {_ROUNDS.value} steps each, {device}, jax {jax.__version__}")
    print(f"{'form':10} {'first step s':>12} {'median ms':>10} {'min ms':>8} {'images/s':>9} {'ratio':>6}")
    yardstick = statistics.median(contenders[0].times)
    for contender in contenders:
        median = statistics.median(contender.times)
        milliseconds = f"{1e3 * median:10.1f} {1e3 * min(contender.times):8.1f}"
        speed = f"{_BATCH_SIZE.value / median:9.0f} {yardstick / median:6.2f}"
        print(f"{contender.name:10} {contender.first:12.1f} {milliseconds} {speed}")


def _pictures(size: int) -> np.ndarray:
    """Pictures about as dark as digits: the step's time does not depend on what they show."""
    noise = np.random.default_rng(0).random((256, size, size))
    return (255 * noise * (noise > 0.85)).astype(np.uint8)


if __name__ == "__main__":
    app.run(main)
