"""What images cost: loading a set cold and from the cache, and the input's fraction of a training step.

    python benchmarks/input.py [--name=mnist] [--dir=DIR] [--image_size=50] [--batch_size=64] [--rounds=30]

Loading is timed in this process, cold with an empty cache of its own. The fraction is the time of choosing
the batch and gathering its images, compiled alone, over that of the whole step; they take turns.
"""

import functools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from dood_jax.config.groups import Config
from dood_jax.config.resolving import default_config, resolve
from dood_jax.data import example_stream, sources
from dood_jax.runtime import parallel
from dood_jax.training.state import init_state
from dood_jax.training.step import make_optimizer, make_step

_NAME = flags.DEFINE_string("name", "mnist", "A set that is files.")
_DIR = flags.DEFINE_string("dir", None, "The data directory; else as in training.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 50, "Pixels of a side.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "Images a step.")
_ROUNDS = flags.DEFINE_integer("rounds", 30, "Timed steps.")


def main(_: list[str]) -> None:
    """Prints a table."""
    settings = default_config()
    settings.data.update(name=_NAME.value, dir=_DIR.value, image_size=_IMAGE_SIZE.value)
    settings.training.batch_size = _BATCH_SIZE.value
    config = resolve(settings)
    device = f"{jax.devices()[0].device_kind} ({os.cpu_count()} cores), jax {jax.__version__}"
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache
        for state in ("cold", "cached"):
            seconds, images = _seconds(lambda: np.array(sources.load_configured(config.data, "train").images))
            print(f"load {config.data.name} {list(images.shape)} {state}: {seconds:.2f} s, {device}")
    _print_fraction(config, jax.device_put(images), device)


def _print_fraction(config: Config, images: jax.Array, device: str) -> None:
    training = config.training
    optimizer = make_optimizer(config.optimizer, training.steps)
    step = parallel.data_parallel(
        make_step(config, optimizer, example_stream.sample_example),
        jax.local_devices()[:1],
        training.batch_size,
        "pmap",
    )
    state = init_state(config.model, optimizer, jax.random.key(0))
    feed = jax.jit(functools.partial(_batch, config))
    stream = example_stream.make_stream(training.seed, 0, len(images), training.batch_size)
    state, _ = step(state, images, stream)
    feed(jnp.int32(0), images)
    whole, alone = [], []
    for round_ in range(_ROUNDS.value):
        seconds, (state, _) = _seconds(functools.partial(step, state, images, stream))
        whole.append(seconds)
        alone.append(_seconds(functools.partial(feed, jnp.int32(round_), images))[0])
    step_ms, input_ms = (1e3 * statistics.median(times) for times in (whole, alone))
    print(
        f"step of {training.batch_size}: {step_ms:.1f} ms, input alone {input_ms:.3f} ms"
        f" = {100 * input_ms / step_ms:.2f} %, medians of {_ROUNDS.value}, {device}"
    )


def _batch(config: Config, step: jax.Array, images: jax.Array) -> jax.Array:
    """[B, H, W] images of a step, as training sees them."""
    training = config.training
    indices = jnp.arange(training.batch_size)
    keys = example_stream.example_keys(training.seed, step, indices)
    stream = example_stream.make_stream(training.seed, 0, len(images), training.batch_size)
    rows = example_stream.rows(stream, step, indices, training.batch_size)
    return jax.vmap(example_stream.sample_example, in_axes=(None, 0, 0))(images, rows, keys).image


def _seconds(call: Callable) -> tuple[float, object]:
    """Of a call, waited for; and its result."""
    started = time.perf_counter()
    result = jax.block_until_ready(call())
    return time.perf_counter() - started, result


if __name__ == "__main__":
    app.run(main)
