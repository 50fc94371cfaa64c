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
from dood_jax.training import evaluation, members, parallel, start
from dood_jax.training import logging as run_logging
from dood_jax.training.checkpoint import Checkpoints
from dood_jax.training.config import Config, TrainingConfig
from dood_jax.training.optimizer import make_optimizer
from dood_jax.training.signals import StopSignals
from dood_jax.training.state import TrainState
from dood_jax.training.step import make_step

_FIGURE_COLUMNS = 16


def train(config: Config, workdir: Path) -> int | None:
    """Trains a model, going on from whatever is in `workdir`; returns the signal that stopped it, if any."""
    if jax.process_count() > 1:
        raise BadInput(f"{jax.process_count()} processes; this version trains in one, over all its devices")
    devices = jax.local_devices()
    logging.info("training on %d x %s into %s", len(devices), devices[0].device_kind, workdir)
    training = config.training
    images, lessons = members.lessons(config)
    optimizer = make_optimizer(config.optimizer, training.steps)
    pick = sampler.pick_synthetic if config.data.is_synthetic else sampler.pick_resident
    step_once, place = parallel.over_devices(
        make_step(config, optimizer, pick), devices, training, len(config.members)
    )
    evaluate = _evaluator(config, workdir, devices)
    pictures, lessons = parallel.replicate(images, devices), place(lessons)
    state = place(start.first_state(config, optimizer))
    with StopSignals() as signals, Checkpoints(workdir) as checkpoints:
        state = checkpoints.restore_latest(config, state) or state
        step = state.steps_done
        _require_whole_calls(training, step)
        run_logging.show_log()
        logging.info("%d parameters, from step %d to %d", networks.count(state.params), step, training.steps)
        batch_size = training.batch_size * len(config.members)
        with run_logging.MetricWriter(workdir, step, training.steps, batch_size) as writer:
            while signals.received is None:
                if _evaluation_due(training, step) and writer.last_held_out < step:
                    writer.held_out(step, evaluate(state))
                if step >= training.steps:
                    break
                state, metrics = step_once(state, pictures, lessons)
                writer.note_first_call()
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


def _evaluator(config: Config, workdir: Path, devices: list[jax.Device]) -> Callable[[TrainState], dict]:
    """Held-out bounds and a step-by-step figure for the state of each member."""
    images = {
        name: evaluation.held_out_images(config.data.only(name), config.evaluation)
        for name in config.data.sets
    }
    count = len(config.members)

    def evaluate(state: TrainState) -> dict[str, float | np.ndarray]:
        params = jax.device_get(state.params)
        summaries = [
            _evaluate(
                config,
                members.pick(params, count, which),
                images[member.name],
                devices,
                workdir / "figures" / members.title(config.members, which),
                state.steps_done,
            )
            for which, member in enumerate(config.members)
        ]
        return members.stack(summaries)

    return evaluate


def _evaluate(
    config: Config,
    params: networks.Params,
    images: np.ndarray,
    devices: list[jax.Device],
    folder: Path,
    step: int,
) -> dict[str, float]:
    """Of one model: the held-out bound, and a figure in the folder."""
    settings = config.evaluation
    keys = evaluation.held_out_keys(settings, len(images))
    summary = evaluation.bound(config.model, params, images, keys, settings, devices).summary()
    shown = images[:_FIGURE_COLUMNS]
    sketch = evaluation.infer(config.model, params, shown, keys, 1, settings.num_strokes, len(shown))
    title = f"step {step}: {summary['log_likelihood']:.0f} nats, {summary['strokes']:.1f} strokes"
    figures.step_by_step(folder / f"reconstruction-{step:06d}.png", shown, sketch.canvases, title)
    return summary
