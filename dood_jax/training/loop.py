"""The training loop: resume, step, log, validate, save."""

import functools
import itertools
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import optax
from absl import logging

from dood_jax import figures
from dood_jax.checkpointing.manager import Checkpoints
from dood_jax.command_line import show_log
from dood_jax.config.groups import Config, TrainingConfig
from dood_jax.data import example_stream
from dood_jax.data.example_stream import ExampleStream
from dood_jax.errors import BadInput
from dood_jax.inference import bounds, image_sets, infer
from dood_jax.model import networks
from dood_jax.runtime import parallel, processes
from dood_jax.runtime.parallel import DeviceGroup
from dood_jax.runtime.signals import RunLock, StopSignals
from dood_jax.training import state as train_state
from dood_jax.training.fitting import with_fitted_map
from dood_jax.training.losses import Metrics
from dood_jax.training.metrics import MetricWriter, NanGuard
from dood_jax.training.phases import Phase, is_end_of_recognition, phase_of, prior_steps
from dood_jax.training.state import TrainState, example_streams, member_title
from dood_jax.training.step import make_optimizer, make_step

_FIGURE_COLUMNS = 16  # images in the figure of a validation

Call = Callable[[TrainState], tuple[TrainState, Metrics]]


def train(config: Config, workdir: Path) -> int | None:
    """Trains a model into `workdir`, going on from whatever is there.

    Returns:
      The signal that stopped the run early, if any.

    Raises:
      BadInput: the folder is in use or holds another run, or the settings do not fit data and devices.
      RunFailed: steps are not finite again and again, or a checkpoint cannot be written.
    """
    devices, training = jax.devices(), config.training
    logging.info("training on %d x %s into %s", len(devices), devices[0].device_kind, workdir)
    optimizer = make_optimizer(config.optimizer, training.steps, prior_steps(config))
    examples = example_streams(config)
    call_of, place = _training_calls(config, optimizer, devices, *examples)
    validate = _make_validation(config, workdir)
    with RunLock(workdir), Checkpoints(workdir, training.keep_checkpoints) as checkpoints:
        state, step = _first_or_latest(config, optimizer, checkpoints)
        state = place(state)
        guard = NanGuard(training.max_skipped, workdir)
        writer = MetricWriter(workdir, step, training.steps, training.batch_size * len(config.members))
        with writer, StopSignals() as signals:
            for number in itertools.count():
                bound = None
                if _validation_due(training, step) and writer.last_validation < step:
                    summary = validate(phase_of(config, step).config, state)
                    writer.write_validation(step, summary)
                    bound = float(np.mean(summary["log_likelihood"]))
                # A step is saved together with its bound, by which the best one is kept.
                if bound is not None or (step and step % training.checkpoint_every == 0):
                    train_state.save(checkpoints, config, state, bound)
                if step >= training.steps or signals.stop_now(number):
                    break
                if is_end_of_recognition(config, step):
                    state = place(with_fitted_map(config, _sampler(config), *examples, state))
                phase = phase_of(config, step + 1)
                state, metrics = call_of(phase)(state)
                writer.add(metrics)
                step += training.steps_per_call
                if step % training.log_every == 0 or step == phase.end:
                    guard.check(step, writer.write_training(step), state)
            train_state.save(checkpoints, config, state)
        return signals.received


def _first_or_latest(
    config: Config, optimizer: optax.GradientTransformation, checkpoints: Checkpoints
) -> tuple[TrainState, int]:
    """The state that the run goes on from, on the host, and its step. From here on the log is shown."""
    fresh = train_state.fresh_state(config, optimizer)
    state = train_state.restore_latest(checkpoints, config, fresh) or train_state.first_state(config, fresh)
    step = state.steps_done
    _require_whole_calls(config.training, step)
    show_log(processes.is_first())
    count = networks.count(state.params)
    logging.info("%d parameters, from step %d to %d", count, step, config.training.steps)
    return state, step


def _training_calls(
    config: Config,
    optimizer: optax.GradientTransformation,
    devices: list[jax.Device],
    images: np.ndarray,
    stream: ExampleStream,
) -> tuple[Callable[[Phase], Call], Callable[[TrainState], TrainState]]:
    """What makes `training.steps_per_call` steps of a phase over all devices; what brings a state onto them.

    Every phase is a program of its own, compiled when it begins.
    """

    def mapped_of(config):
        step = make_step(config, optimizer, _sampler(config))
        return parallel.over_devices(step, devices, config.training, len(config.members))

    whole = mapped_of(config)
    on_devices = whole.share(images), whole.place(stream)

    @functools.cache
    def call_of(phase):
        mapped = whole if phase.config == config else mapped_of(phase.config)
        return lambda state: mapped.step(state, *on_devices)

    return call_of, whole.place


def _sampler(config: Config) -> example_stream.Sampler:
    """How an example gets its image.

    Raises BadInput if other images of the set shall be laid over it where there is no such set.
    """
    data = config.data
    if data.overlay_prob and (data.is_synthetic or len(data.sets) > 1):
        raise BadInput(
            f"data.overlay_prob={data.overlay_prob} is for one set, not {', '.join(data.sets)}; give 0"
        )
    if data.is_synthetic:
        return example_stream.sample_synthetic
    if data.overlay_prob:
        return example_stream.overlay_sampler(data.overlay_prob, config.model.source_size)
    return example_stream.sample_example


def _validation_due(training: TrainingConfig, step: int) -> bool:
    """Whether a step is one after which the model is measured; the last step always is."""
    return step > 0 and (step % training.evaluate_every == 0 or step >= training.steps)


def _require_whole_calls(training: TrainingConfig, step: int) -> None:
    """Raises BadInput unless calls of several steps, from this step on, end at every multiple of theirs.

    Logging, validation, saving and the end of the run all happen at such multiples.
    """
    if step % training.steps_per_call:
        raise BadInput(
            f"training.steps_per_call={training.steps_per_call} does not divide step {step}, where this run"
            " goes on; give training.steps_per_call=1"
        )


def _make_validation(
    config: Config, workdir: Path
) -> Callable[[Config, TrainState], dict[str, float | np.ndarray]]:
    """What measures every model of a state on the validation images of its set, and draws a figure of it.

    It is given the settings of a phase, and infers as its steps do.

    The result has each metric as a number, or as an array [N] of N models.
    """
    images = {
        name: image_sets.validation_images(config.data.only(name), config.evaluation)
        for name in config.data.sets
    }
    count = len(config.members)

    def validate(config: Config, state: TrainState) -> dict[str, float | np.ndarray]:
        state = parallel.fetch(state)
        summaries = []
        for which, member in enumerate(config.members):
            params = parallel.pick(state.params, count, which)
            folder = workdir / "figures" / member_title(config.members, which)
            figure = folder / f"reconstruction-{state.steps_done:06d}.png"
            summaries.append(_validate_model(config, params, images[member.name], figure, state.steps_done))
        return parallel.stack(summaries)

    return validate


def _validate_model(
    config: Config, params: networks.Params, images: np.ndarray, figure: Path, step: int
) -> dict[str, float]:
    """The bound of one model on [N, H, W] images; the first process also writes the figure."""
    # What is measured after every so many steps must cost little.
    settings, mode = config.with_plain_inference().evaluation, config.training.parallel
    keys = image_sets.evaluation_keys(settings, len(images))
    bound = bounds.bound(config.model, params, images, keys, settings, DeviceGroup.all(mode))
    summary = bound.summary()
    if processes.is_first():
        # All are drawn, though few are shown: by the programs that the map of scales is fitted by.
        group = DeviceGroup.local(mode)
        effort = infer.Effort(num_strokes=settings.num_strokes)
        sketch = infer.infer(config.model, params, images, keys, effort, group)[:_FIGURE_COLUMNS]
        title = f"step {step}: {summary['log_likelihood']:.0f} nats, {summary['strokes']:.1f} strokes"
        figures.step_by_step(figure, images[:_FIGURE_COLUMNS], np.asarray(sketch.canvases), title)
    return summary
