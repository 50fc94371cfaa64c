"""The training loop: resume, step, log, evaluate, save."""

import itertools
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from absl import logging

from dood_jax import figures
from dood_jax.checkpointing.manager import Checkpoints
from dood_jax.config.groups import Config, TrainingConfig
from dood_jax.data import example_stream
from dood_jax.errors import BadInput
from dood_jax.inference import bounds, infer, test_images
from dood_jax.model import networks
from dood_jax.runtime import parallel, processes
from dood_jax.runtime.signals import RunLock, StopSignals
from dood_jax.training import ensemble
from dood_jax.training import metrics as run_logging
from dood_jax.training.metrics import MetricWriter, SkippedInARow
from dood_jax.training.state import TrainState
from dood_jax.training.step import make_optimizer, make_step

_FIGURE_COLUMNS = 16


def train(config: Config, workdir: Path) -> int | None:
    """Trains a model, going on from whatever is in `workdir`; returns the signal that stopped it, if any.

    Raises RunFailed if steps are not finite again and again, or what must be kept cannot be written.
    """
    devices = jax.devices()
    logging.info("training on %d x %s into %s", len(devices), devices[0].device_kind, workdir)
    training = config.training
    images, stream = ensemble.example_streams(config)
    optimizer = make_optimizer(config.optimizer, training.steps)
    step_once, place, share = parallel.over_devices(
        make_step(config, optimizer, _sampler(config)), devices, training, len(config.members)
    )
    evaluate = _evaluator(config, workdir, devices)
    images, stream = share(images), place(stream)
    with RunLock(workdir), Checkpoints(workdir, training.keep_checkpoints) as checkpoints:
        first = ensemble.first_state(config, optimizer)
        state = place(checkpoints.restore_latest(config, first) or first)
        step = parallel.fetch(state).steps_done
        _require_whole_calls(training, step)
        run_logging.show_log()
        logging.info("%d parameters, from step %d to %d", networks.count(state.params), step, training.steps)
        batch_size = training.batch_size * len(config.members)
        skips = SkippedInARow(training.max_skipped, workdir)
        with StopSignals() as signals, MetricWriter(workdir, step, training.steps, batch_size) as writer:
            for call in itertools.count():
                if _evaluation_due(training, step) and writer.last_held_out < step:
                    checkpoints.save(config, state)
                    writer.held_out(step, evaluate(state))
                if step >= training.steps or signals.stop_now(call):
                    break
                state, metrics = step_once(state, images, stream)
                writer.note_first_call()
                step += training.steps_per_call
                writer.add(metrics)
                if step % training.log_every == 0:
                    skips.note(step, writer.training(step), state)
                if step % training.checkpoint_every == 0:
                    checkpoints.save(config, state)
            checkpoints.save(config, state)
        return signals.received


def _sampler(config: Config) -> example_stream.Sampler:
    """How an example gets its image; BadInput if others shall be laid over it that are not there."""
    data = config.data
    if data.overlay_prob and (data.is_synthetic or len(data.sets) > 1):
        raise BadInput(
            f"data.overlay_prob={data.overlay_prob} is for one set, not {', '.join(data.sets)}; give 0"
        )
    if data.is_synthetic:
        return example_stream.sample_synthetic
    if data.overlay_prob:
        return example_stream.sampling_overlays(data.overlay_prob, config.model.source_size)
    return example_stream.sample_example


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
        name: test_images.images(config.data.only(name), config.evaluation) for name in config.data.sets
    }
    count = len(config.members)

    def evaluate(state: TrainState) -> dict[str, float | np.ndarray]:
        state = parallel.fetch(state)
        summaries = [
            _evaluate(
                config,
                ensemble.pick(state.params, count, which),
                images[member.name],
                devices,
                workdir / "figures" / ensemble.title(config.members, which),
                state.steps_done,
            )
            for which, member in enumerate(config.members)
        ]
        return ensemble.stack(summaries)

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
    settings = config.unrefined().evaluation
    keys = test_images.keys(settings, len(images))
    summary = bounds.bound(config.model, params, images, keys, settings, devices).summary()
    if not processes.is_first():
        return summary
    shown = images[:_FIGURE_COLUMNS]
    sketch = infer.infer(config.model, params, shown, keys, 1, settings.num_strokes, len(shown))
    title = f"step {step}: {summary['log_likelihood']:.0f} nats, {summary['strokes']:.1f} strokes"
    figures.step_by_step(folder / f"reconstruction-{step:06d}.png", shown, sketch.canvases, title)
    return summary
