"""The training loop: resume, step, log, evaluate, save."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from absl import logging

from dood_jax import figures
from dood_jax.data import sampler
from dood_jax.errors import BadInput
from dood_jax.model import networks
from dood_jax.training import datasets, evaluation, parallel
from dood_jax.training import logging as run_logging
from dood_jax.training.checkpoint import Checkpoints
from dood_jax.training.config import Config, TrainingConfig
from dood_jax.training.optimizer import make_optimizer
from dood_jax.training.signals import StopSignals
from dood_jax.training.state import TrainState, init_state
from dood_jax.training.step import make_step

_FIGURE_COLUMNS = 16


def train(config: Config, workdir: Path) -> int | None:
    """Trains a model, going on from whatever is in `workdir`; returns the signal that stopped it, if any."""
    if jax.process_count() > 1:
        raise BadInput(f"{jax.process_count()} processes; this version trains in one, over all its devices")
    devices = jax.local_devices()
    logging.info("training on %d x %s into %s", len(devices), devices[0].device_kind, workdir)
    images, pick = _pictures(config)
    optimizer = make_optimizer(config.optimizer, config.training.steps)
    training = config.training
    step_once = parallel.data_parallel(
        make_step(config, optimizer, pick), devices, training.batch_size, training.parallel
    )
    evaluate = _evaluator(config, workdir, devices)
    fresh = jax.jit(lambda key: init_state(config.model, optimizer, key))(
        sampler.stream(training.seed, "parameters")
    )
    state = parallel.replicate(fresh, devices)
    pictures = parallel.replicate(images, devices)
    with StopSignals() as signals, Checkpoints(workdir) as checkpoints:
        state = checkpoints.restore_latest(config, state) or state
        step = int(state.step)
        _require_whole_calls(training, step)
        run_logging.show_log()
        logging.info("%d parameters, from step %d to %d", networks.count(state.params), step, training.steps)
        with run_logging.MetricWriter(workdir, step, training.steps, training.batch_size) as writer:
            while signals.received is None:
                if _evaluation_due(training, step) and writer.last_held_out < step:
                    writer.held_out(step, evaluate(state))
                if step >= training.steps:
                    break
                state, metrics = step_once(state, pictures)
                step += training.steps_per_call
                writer.add(metrics)
                if step % training.log_every == 0:
                    writer.training(step)
                if step % training.checkpoint_every == 0:
                    checkpoints.save(config, state)
            checkpoints.save(config, state)
        return signals.received


def _evaluation_due(training: TrainingConfig, step: int) -> bool:
    return step > 0 and (step % training.evaluate_every == 0 or step >= training.steps)


def _require_whole_calls(training: TrainingConfig, step: int) -> None:
    """A run is resumed only where calls of several steps meet its end and all that happens between."""
    if step % training.steps_per_call:
        raise BadInput(
            f"training.steps_per_call={training.steps_per_call} does not divide step {step}, where this run"
            " goes on; give training.steps_per_call=1"
        )


def _pictures(config: Config) -> tuple[np.ndarray, sampler.Sampler]:
    """uint8 training pictures for the device and how an example takes one."""
    data = config.data
    if data.is_synthetic:
        return np.zeros((1, data.image_size, data.image_size), np.uint8), sampler.pick_synthetic
    return datasets.load(data, "train").images, sampler.pick_resident


def _evaluator(config: Config, workdir: Path, devices: list[jax.Device]) -> Callable[[TrainState], dict]:
    """Held-out bound and a step-by-step figure for a state."""
    settings = config.evaluation
    images = evaluation.held_out_images(config.data, settings)
    keys = evaluation.held_out_keys(settings, len(images))

    def evaluate(state: TrainState) -> dict[str, float]:
        params, step = jax.device_get(state.params), int(state.step)
        summary = evaluation.bound(config.model, params, images, keys, settings, devices).summary()
        shown = images[:_FIGURE_COLUMNS]
        sketch = evaluation.infer(config.model, params, shown, keys, 1, settings.num_strokes, len(shown))
        title = f"step {step}: {summary['log_likelihood']:.0f} nats, {summary['strokes']:.1f} strokes"
        path = workdir / "figures" / f"reconstruction-{step:06d}.png"
        figures.step_by_step(path, shown, sketch.canvases, title)
        return summary

    return evaluate
